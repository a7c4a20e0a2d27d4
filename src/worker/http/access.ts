/**
 * Access: bearer tokens from the environment (api.md), or the app's own `authorize` instead.
 *
 * ACCESS1. If no token is set, only requests to a loopback host name are served: an app deployed without secrets is
 *     closed. Requests from pages of other hosts are refused too: a browser sends them, though it hides the answer.
 * ACCESS2. If any token is set, routes whose own token is missing are closed. The admin token opens every route.
 *     METRICS_TOKEN opens GET /metrics to a scraper without other rights. METRICS_TOKEN doesn't count as a token that
 *     is set.
 * ACCESS3. Tokens are compared in constant time, as digests, and never logged.
 * ACCESS4. A caller bound to a key prefix may send, ask and read only below the prefix. Every route with a key checks
 *     the prefix. Routes for admins read all keys, so they are closed to the caller. A prefix ends with a separator:
 *     "ac" would open the keys of "acme".
 */
import type { Env } from "../env.ts";
import { mayRead, type Cors } from "./hardening.ts";
import { problem } from "../problem.ts";

export type Role = "ingest" | "read" | "metrics" | "admin";

/** The rights of a caller. */
export interface Grant {
  /** "ingest": send and ask. "read": operators and their state. "metrics": GET /metrics. "admin": everything. */
  readonly may: readonly Role[];
  /**
   * Only keys that begin with this prefix. If it is set, "admin" opens no route for admins. Its last character is a
   * separator, such as "/", that no name before it holds: `${encodeURIComponent(tenant)}/`. Default: all keys.
   */
  readonly keyPrefix?: string;
}

/**
 * Identifies the caller and its rights, in place of the tokens. Returns null if the caller is unknown: 401. If it
 * throws, that is a bug: 500, and the request does nothing. It must not read the body.
 */
export type Authorize<E extends Env = Env> = (request: Request, env: E) => Grant | null | Promise<Grant | null>;

const EVERYTHING: Grant = { may: ["admin"] };

/** Returns the grant of the request, or the answer that stops the request. */
export async function admitted(
  request: Request,
  env: Env,
  role: Role,
  authorize: Authorize | null,
  cors: Cors | null,
): Promise<Grant | Response> {
  if (authorize === null) return (await denied(request, env, role, cors)) ?? EVERYTHING;
  const grant = await authorize(request, env);
  if (grant === null)
    return problem({ status: 401, code: "unknown_caller", detail: "the app doesn't know this caller" });
  const { may } = grant;
  const keyPrefix = soundPrefix(grant.keyPrefix, "authorize");
  if (!may.includes(role) && !may.includes("admin"))
    return problem({
      status: 403,
      code: "wrong_role",
      detail: `this caller may not use this route; it is for those who may "${role}"`,
    });
  if ((role === "admin" || role === "metrics") && keyPrefix !== "")
    return problem({
      status: 403,
      code: "key_not_allowed",
      detail: "this caller is bound to a key prefix, and this route looks at all keys",
    });
  return grant;
}

/**
 * Returns the prefix of the caller's keys; "" for all keys.
 *
 * @throws if the prefix would open keys of other callers: the app or binding that set it has a bug, so nobody gets in
 */
export function soundPrefix(keyPrefix: unknown, from: string): string {
  if (keyPrefix === undefined) return "";
  if (typeof keyPrefix === "string" && SEPARATED.test(keyPrefix)) return keyPrefix;
  // The log shows an error's name and not its message, so the name says what is wrong.
  const unsound = new Error(
    `${from} gave the keyPrefix ${JSON.stringify(keyPrefix)}: it must end with a separator that no name holds, such as "acme/", or keys of others begin with it too; omit it if there is no bound`,
  );
  unsound.name = "InvalidKeyPrefix";
  throw unsound;
}

/** Tests that the last character is a separator: no letter, mark or digit. */
const SEPARATED = /[^\p{L}\p{M}\p{N}]$/u;

/** The answer about a key that this caller may not see. It must not tell whether the key has a state. */
export const keyNotAllowed = (key: string): Response =>
  problem({ status: 403, code: "key_not_allowed", detail: `this caller may not use the key ${JSON.stringify(key)}` });

/** Longer tokens are refused without the cost of a digest. */
const TOKEN_CHARS = 4_096;

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Returns the host name of a URL that the platform has parsed already. */
const hostOf = (url: string): string => /^https?:\/\/(\[[^\]]*\]|[^/:?#]*)/.exec(url)?.[1] ?? "";

/** ACCESS1: no token is set, and the request names a host other than loopback. */
export const isShut = (request: Request, env: Env): boolean =>
  !env.INGEST_TOKEN && !env.READ_TOKEN && !env.ADMIN_TOKEN && !LOOPBACK.has(hostOf(request.url));

/** Checks the tokens. Returns null if the request may proceed. */
async function denied(request: Request, env: Env, role: Role, cors: Cors | null): Promise<Response | null> {
  const tokens = { ingest: env.INGEST_TOKEN, read: env.READ_TOKEN, admin: env.ADMIN_TOKEN };
  if (!tokens.ingest && !tokens.read && !tokens.admin) {
    const origin = request.headers.get("origin");
    // A page of another host, in a browser on this machine, could send a request, though not read the answer.
    if (origin !== null && !LOOPBACK.has(hostOf(origin)) && !mayRead(request.headers, cors))
      return problem({
        status: 403,
        code: "origin_not_allowed",
        detail:
          "no token is set, so pages of other hosts may not send requests, but those that `cors` names; set the secrets",
      });
    if (!isShut(request, env)) return null;
    return problem({
      status: 401,
      code: "closed",
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
  if (given.length > TOKEN_CHARS) return problem({ status: 401, code: "bad_token", detail: "no token is that long" });
  const digest = await digestOf(given);
  const known = [tokens.ingest, tokens.read, env.METRICS_TOKEN, tokens.admin];
  const [ingest, read, metrics, admin] = await Promise.all(known.map((token) => same(token, digest)));
  if (admin || (role === "ingest" && ingest) || (role === "read" && read) || (role === "metrics" && metrics))
    return null;
  if (ingest || read || metrics)
    return problem({
      status: 403,
      code: "wrong_role",
      detail: `this token may not use this route; it needs the ${role} token`,
    });
  return problem({ status: 401, code: "bad_token", detail: "the token isn't known here" });
}

const encoder = new TextEncoder();
export const digestOf = (text: string): Promise<ArrayBuffer> => crypto.subtle.digest("SHA-256", encoder.encode(text));

async function same(token: string | undefined, digest: ArrayBuffer): Promise<boolean> {
  // Digests have one length, as timingSafeEqual requires. An unset token must cost the same time.
  const equal = crypto.subtle.timingSafeEqual(await digestOf(token ?? ""), digest);
  return Boolean(token) && equal;
}
