/** The one error that the client throws, or rejects with. */

/** The outcome of an event for its sender. */
export type Fate =
  /** The event counts. `quarantined`: a handler threw, and its operator quarantined the event. */
  | { readonly tag: "accepted"; readonly id: string; readonly quarantined: boolean }
  /**
   * The event was decided before: it was sent before, or an answer to it got lost.
   * `forgotten`: an operator knows the event by its batch's number alone. Whether it counted or was rejected isn't
   * known any more.
   */
  | { readonly tag: "duplicate"; readonly id: string; readonly forgotten: boolean }
  /** A handler refused the event. */
  | {
      readonly tag: "refused";
      readonly id: string;
      readonly operator: string;
      readonly code: string;
      readonly detail: unknown;
      /** Other operators, which accepted the event. */
      readonly acceptedBy: readonly string[];
    }
  /** The event is malformed, doesn't fit the schema, reuses an id, or no operator takes its type. */
  | {
      readonly tag: "rejected";
      readonly id: string;
      readonly code: string;
      readonly message: string;
      /** Operators that accepted the event. */
      readonly acceptedBy: readonly string[];
    };

/** A problem document (RFC 9457) as the app sends it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  /** The detail in words. An operator's refusal has its own detail here. */
  readonly detail: unknown;
  readonly [member: string]: unknown;
}

/** An event of a failed call, without a fate. */
export interface Undecided {
  readonly tag: "undecided";
  /** The id to send the event with again. */
  readonly id: string;
  /** False if the event is known not to count. */
  readonly mayCount: boolean;
}

interface Facts {
  readonly status?: number | null;
  readonly problem?: Problem | null;
  readonly ids?: readonly string[];
  readonly fates?: readonly (Fate | Undecided)[];
}

/**
 * `code` is the problem document's if the app answered with one, or one of the client's own:
 *
 * | code | |
 * |---|---|
 * | `gave_up` | no answer that decides within the time given |
 * | `producer_stopped` | an earlier numbered batch may count; continue with a new client and a higher epoch |
 * | `buffer_full` | far more events wait than the buffer holds; `await ready()` before `send` |
 * | `closed` | the client was closed before |
 * | `not_json` | JSON can't carry the value |
 * | `unexpected_answer` | the answer isn't the app's |
 * | `invalid_options` | the client can't work with these options |
 */
export class KeyframeError extends Error {
  readonly code: string;
  /** The status of the last answer, or null if there was none. */
  readonly status: number | null;
  readonly detail: string;
  readonly problem: Problem | null;
  /** Ids of the events that may count. Send those events again with the same ids. */
  readonly ids: readonly string[];
  /** The outcome of each event of a `send`, by its place in the call. Empty for any other call. */
  readonly fates: readonly (Fate | Undecided)[];
  readonly #said: string;

  constructor(code: string, detail: string, { status = null, problem = null, ids = [], fates = [] }: Facts = {}) {
    const said = `${detail}${unknown(ids)}`;
    super(`${said} (${status === null ? code : `${status} ${code}`})`);
    this.name = "KeyframeError";
    this.code = code;
    this.status = status;
    this.detail = said;
    this.problem = problem;
    this.ids = ids;
    this.fates = fates;
    this.#said = detail;
  }

  /** The same error, for a call with events that may count. */
  about(ids: readonly string[], fates: readonly (Fate | Undecided)[] = []): KeyframeError {
    const { code, status, problem } = this;
    return new KeyframeError(code, this.#said, { status, problem, ids, fates });
  }
}

const MOST_NAMED = 3;

function unknown(ids: readonly string[]): string {
  if (ids.length === 0) return "";
  const named = ids.slice(0, MOST_NAMED).map((id) => JSON.stringify(id));
  const more = ids.length > named.length ? `, and ${ids.length - named.length} more` : "";
  const what = ids.length === 1 ? "whether it counts" : "which of them count";
  return `; ${what} is not known: send again with the same id${ids.length === 1 ? "" : "s"}, ${named.join(", ")}${more}`;
}
