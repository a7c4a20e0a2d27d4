/** The one error that the client throws, or rejects with. */

/** A problem document (RFC 9457) as the app sends it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  /** In words; an operator's refusal has its own detail here. */
  readonly detail: unknown;
  readonly [member: string]: unknown;
}

/**
 * `code` is the problem document's where the app answered with one, else one of the client's own:
 *
 * | code | |
 * |---|---|
 * | `gave_up` | no answer that decides within the time given; whether it counted is not known, and the same ids may be sent again |
 * | `producer_stopped` | an earlier numbered batch was given up; go on with a new client and a higher epoch |
 * | `buffer_full` | far more events wait than the buffer holds; `await ready()` before `send` |
 * | `closed` | the client was closed before |
 * | `not_json` | JSON can't carry what was given |
 * | `unexpected_answer` | what answered is not the app |
 * | `invalid_options` | the client can't work like this |
 */
export class KeyframeError extends Error {
  readonly code: string;
  /** Of the last answer; null: there was none. */
  readonly status: number | null;
  readonly detail: string;
  readonly problem: Problem | null;

  constructor(code: string, detail: string, status: number | null = null, problem: Problem | null = null) {
    super(`${detail} (${status === null ? code : `${status} ${code}`})`);
    this.name = "KeyframeError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.problem = problem;
  }
}
