/**
 * Headers of every answer: they restrict browsers, and let the origins that the app names read the answer (CORS).
 *
 * HARDENING1. Pages of other origins may do nothing unless the app allows it. No cookies are used, so none are ever
 *     allowed.
 * HARDENING2. A header that a route has set stays: pages that need more have a policy of their own.
 */
const HEADERS: readonly (readonly [name: string, value: string])[] = [
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
  // States change, and are private: a browser may keep a copy only if it revalidates the copy before each use.
  ["cache-control", "private, no-cache"],
];

export interface Cors {
  /** Such as "https://app.example.com"; "*" allows every page. */
  readonly origins: readonly string[];
}

const METHODS = "GET, POST, PUT, DELETE";
const EXPOSED = "etag, keyframe-stamp, retry-after";
const PREFLIGHT_SEC = "600";
const NAMES = /^[\w\- ,]{0,1000}$/;

/** @throws if an origin is malformed */
export function checkCors(cors: Cors): Cors {
  for (const origin of cors.origins)
    if (origin !== "*" && (!URL.canParse(origin) || new URL(origin).origin !== origin))
      throw new Error(
        `cors.origins has ${JSON.stringify(origin)}; an origin is scheme, host and port alone, such as "https://app.example.com", or "*"`,
      );
  return cors;
}

/**
 * Answers a browser's preflight request. Returns null if the request is no preflight, or if its origin isn't allowed.
 */
export function preflight({ method, headers }: Request, cors: Cors | null): Response | null {
  if (method !== "OPTIONS" || !headers.has("access-control-request-method") || !mayRead(headers, cors)) return null;
  const wanted = headers.get("access-control-request-headers") ?? "";
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": METHODS,
      // Name each header: "*" would leave out Authorization.
      ...(wanted !== "" && NAMES.test(wanted) ? { "access-control-allow-headers": wanted } : {}),
      "access-control-max-age": PREFLIGHT_SEC,
    },
  });
}

export function hardened(response: Response, request: Request, cors: Cors | null): Response {
  const answer = mutable(response);
  for (const [name, value] of HEADERS) if (!answer.headers.has(name)) answer.headers.set(name, value);
  if (cors === null) return answer;
  // Caches must not give one origin's answer to another origin.
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

/** Copies an answer of another Worker or object, because its headers can't be changed. */
function mutable(response: Response): Response {
  try {
    response.headers.set(HEADERS[0]![0], HEADERS[0]![1]);
    return response;
  } catch {
    return new Response(response.body, response);
  }
}
