/** Answers of apps that are none: what a test says in short, as the app would say it (src/worker/problem.ts). */

/** A body with a `code` as a problem document; any other stays as it is. */
export function asProblem(status: number, body: unknown): unknown {
  if (status < 400 || typeof body !== "object" || body === null || !("code" in body)) return body;
  return { type: `urn:keyframe:problem:${String(body.code)}`, ...body };
}
