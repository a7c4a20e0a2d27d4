/**
 * What every answer carries: headers that keep browsers from doing more with it than they should, and for the origins that the
 * app names, leave to read it (CORS).
 *
 * HARDENING1. Nothing is allowed to pages of other origins unless the app says so. No cookies are used, so none are ever allowed.
 * HARDENING2. A header that a route has set stays: the pages that need more have a policy of their own.
 */
const HEADERS: readonly (readonly [name: string, value: string])[] = [
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
  // States change, and are nobody else's: a copy may be kept only to ask whether it still holds.
  ["cache-control", "private, no-cache"],
];

export interface Cors {
  /** Such as "https://app.example.com"; "*" for every page there is. */
  readonly origins: readonly string[];
}

const METHODS = "GET, POST, PUT, DELETE";
const EXPOSED = "etag, retry-after";
const PREFLIGHT_SEC = "600";
const NAMES = /^[\w\- ,]{0,1000}$/;

/** @throws where an origin is none */
export function checkCors(cors: Cors): Cors {
  for (const origin of cors.origins)
    if (origin !== "*" && (!URL.canParse(origin) || new URL(origin).origin !== origin))
      throw new Error(
        `cors.origins has ${JSON.stringify(origin)}; an origin is scheme, host and port alone, such as "https://app.example.com", or "*"`,
      );
  return cors;
}

/** The answer to a browser that asks before it sends; null: this is no such question, or not from an origin that may. */
export function preflight({ method, headers }: Request, cors: Cors | null): Response | null {
  if (method !== "OPTIONS" || !headers.has("access-control-request-method") || !mayRead(headers, cors)) return null;
  const wanted = headers.get("access-control-request-headers") ?? "";
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": METHODS,
      // Named one by one: "*" would leave out Authorization.
      ...(wanted !== "" && NAMES.test(wanted) ? { "access-control-allow-headers": wanted } : {}),
      "access-control-max-age": PREFLIGHT_SEC,
    },
  });
}

export function hardened(response: Response, request: Request, cors: Cors | null): Response {
  const answer = mutable(response);
  for (const [name, value] of HEADERS) if (!answer.headers.has(name)) answer.headers.set(name, value);
  if (cors === null) return answer;
  // Caches must not give one origin's answer to another.
  answer.headers.append("vary", "Origin");
  if (!mayRead(request.headers, cors)) return answer;
  answer.headers.set("access-control-allow-origin", cors.origins.includes("*") ? "*" : request.headers.get("origin")!);
  answer.headers.set("access-control-expose-headers", EXPOSED);
  answer.headers.set("cross-origin-resource-policy", "cross-origin");
  return answer;
}

export function mayRead(headers: Headers, cors: Cors | null): boolean {
  const origin = headers.get("origin");
  return cors !== null && origin !== null && (cors.origins.includes("*") || cors.origins.includes(origin));
}

/** What another Worker or object answered has headers that can't be changed. */
function mutable(response: Response): Response {
  try {
    response.headers.set(HEADERS[0]![0], HEADERS[0]![1]);
    return response;
  } catch {
    return new Response(response.body, response);
  }
}
