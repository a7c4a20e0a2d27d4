/** The one error that the client throws, or rejects with. */

/** What became of an event. */
export type Fate =
  /** It counts. `quarantined`: a handler threw, and its operator set the event aside. */
  | { readonly tag: "accepted"; readonly id: string; readonly quarantined: boolean }
  /**
   * It was decided before: it was sent before, or an answer to it got lost. `forgotten`: an operator knows by the batch's number
   * alone that it was sent before; whether it counted or was rejected then isn't known any more.
   */
  | { readonly tag: "duplicate"; readonly id: string; readonly forgotten: boolean }
  /** A handler said no. */
  | {
      readonly tag: "refused";
      readonly id: string;
      readonly operator: string;
      readonly code: string;
      readonly detail: unknown;
      /** Other operators, which have it all the same. */
      readonly acceptedBy: readonly string[];
    }
  /** It is malformed, doesn't fit the schema, reuses an id, or nobody wants its type. */
  | {
      readonly tag: "rejected";
      readonly id: string;
      readonly code: string;
      readonly message: string;
      /** Operators that have it all the same. */
      readonly acceptedBy: readonly string[];
    };

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

/** An event of a call that failed, without a fate. */
export interface Undecided {
  readonly tag: "undecided";
  /** To be sent again with. */
  readonly id: string;
  /** False: it is known not to count. */
  readonly mayCount: boolean;
}

interface Facts {
  readonly status?: number | null;
  readonly problem?: Problem | null;
  readonly ids?: readonly string[];
  readonly fates?: readonly (Fate | Undecided)[];
}

/**
 * `code` is the problem document's where the app answered with one, else one of the client's own:
 *
 * | code | |
 * |---|---|
 * | `gave_up` | no answer that decides within the time given |
 * | `producer_stopped` | it isn't known whether an earlier numbered batch counts; go on with a new client and a higher epoch |
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
  /** Ids of the events of which it isn't known whether they count: send them again with the same ids. */
  readonly ids: readonly string[];
  /** What became of each event of a `send`, by its place in the call; empty for anything else. */
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

  /** The same, of a call with events of which it isn't known whether they count. */
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
