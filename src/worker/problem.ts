/** Problem documents (RFC 9457): the body of every error answer. They never hold a stack trace (IN3). */
export interface ProblemParts {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** Further members. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly retryAfterSec?: number;
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  410: "Gone",
  412: "Precondition failed",
  413: "Content too large",
  415: "Unsupported media type",
  422: "Unprocessable content",
  428: "Precondition required",
  429: "Too many requests",
  500: "Internal error",
  503: "Service unavailable",
};

export function problem({ status, code, detail, more, retryAfterSec }: ProblemParts): Response {
  const body = {
    type: `urn:keyframe:problem:${code}`,
    title: TITLES[status] ?? "Error",
    status,
    detail,
    code,
    ...more,
  };
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (status === 503 || retryAfterSec !== undefined) headers.set("retry-after", String(retryAfterSec ?? 1));
  if (status === 401) headers.set("www-authenticate", 'Bearer realm="keyframe"');
  return new Response(JSON.stringify(body), { status, headers });
}

/** `methods`: all methods that the resource has (RFC 9110, 15.5.6). */
export function notAllowed(methods: readonly string[], detail: string): Response {
  const response = problem({ status: 405, code: "method_not_allowed", detail });
  response.headers.set("allow", methods.join(", "));
  return response;
}
