/**
 * Who may do what: bearer tokens from the environment (api.md).
 *
 * U1. Without any token set, only requests to a loopback host name are served: an app deployed without secrets is shut.
 * U2. Where any is set, a route whose token is not set is shut. Admin may all.
 * U3. Tokens are compared in constant time, as digests, and never logged.
 */
import type { Env } from "./app.ts";
import { problem } from "./problem.ts";

export type Role = "ingest" | "read" | "admin";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** The host name of a URL that the platform has parsed already. */
const hostOf = (url: string): string => /^https?:\/\/(\[[^\]]*\]|[^/:?#]*)/.exec(url)?.[1] ?? "";

/** Null where the request may go on, else the answer that stops it. */
export async function denied(request: Request, env: Env, role: Role): Promise<Response | null> {
  const tokens = { ingest: env.INGEST_TOKEN, read: env.READ_TOKEN, admin: env.ADMIN_TOKEN };
  if (!tokens.ingest && !tokens.read && !tokens.admin) {
    if (LOOPBACK.has(hostOf(request.url))) return null;
    return problem({
      status: 401,
      code: "shut",
      detail:
        "no token is set, so only requests to a loopback host are served; set the secrets INGEST_TOKEN, READ_TOKEN and ADMIN_TOKEN",
    });
  }
  const given = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (given === undefined)
    return problem({
      status: 401,
      code: "no_token",
      detail: `this route needs the ${role} token as "Authorization: Bearer …"`,
    });
  const digest = await sha256(given);
  const matches = await Promise.all([tokens.ingest, tokens.read, tokens.admin].map((token) => same(token, digest)));
  const [ingest, read, admin] = matches;
  if (admin || (role === "ingest" && ingest) || (role === "read" && read)) return null;
  if (ingest || read)
    return problem({
      status: 403,
      code: "wrong_role",
      detail: `this token may not use this route; it needs the ${role} token`,
    });
  return problem({ status: 401, code: "bad_token", detail: "the token isn't known here" });
}

const encoder = new TextEncoder();
const sha256 = (text: string): Promise<ArrayBuffer> => crypto.subtle.digest("SHA-256", encoder.encode(text));

async function same(token: string | undefined, digest: ArrayBuffer): Promise<boolean> {
  // Digests have one length, which timingSafeEqual insists on; an unset token still costs the same.
  const equal = crypto.subtle.timingSafeEqual(await sha256(token ?? ""), digest);
  return Boolean(token) && equal;
}
