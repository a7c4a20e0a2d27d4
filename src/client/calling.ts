/** One request to the app, asked again until its answer isn't a passing failure. */
import { keyframeErrorOf, mayCount, passes, type Answer, type Call } from "./answer.ts";
import type { Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { Patience } from "./patience.ts";

/** The means of an operator client to ask the app. */
export interface Calling {
  readonly http: Http;
  readonly patience: () => Patience;
  readonly uuid: () => string;
}

/**
 * Resolves with the first answer that isn't a passing failure. `ids` is set if an attempt before it may have counted.
 *
 * @throws KeyframeError when the patience ends
 */
export async function decided(
  { http, patience: begin }: Calling,
  call: Call,
  ids: readonly string[],
): Promise<{ readonly answer: Answer; readonly ids: readonly string[] }> {
  const patience = begin();
  let unknown: readonly string[] = [];
  for (;;) {
    const answer = await http.exchange(call);
    if (mayCount(answer)) unknown = ids;
    if (answer.tag !== "none" && !passes(answer)) return { answer, ids: unknown };
    // Only failures pass.
    if (answer.tag === "good") throw new Error("a good answer is final");
    await patience.wait(answer).catch((error: unknown) => {
      throw error instanceof KeyframeError ? error.about(unknown) : error;
    });
  }
}

/**
 * Returns the body of a good answer.
 * @throws KeyframeError
 */
export function success(answer: Answer): unknown {
  if (answer.tag !== "good") throw keyframeErrorOf(answer);
  return answer.body;
}
