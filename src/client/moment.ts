/**
 * A moment of the past, as the app takes it with `at=` (docs/reference/api.md, "Moments").
 *
 * CLIENT3. All reads of one `kf.at(…)` are of one stamp: that of the first answer. So they are one consistent cut, also
 *     if the moment is `now`, or if a scan has many pages.
 */
import { isWholeNumber, membersOf, type Answer } from "./answer.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { withParam } from "./paths.ts";

/**
 * A time, a stamp as an answer named it, a time ago as `-90m`, a savepoint's name, or `now`. On another timeline as
 * `fix@now`.
 */
export type MomentLike = string | number | Date;

/** The members of a read of the past that are about its moment. */
export interface AboutMoment {
  /** The stamp that was read. Asked again with it, the answer is the same for ever. */
  readonly at: number;
  /** False if another version of the operator applied events that were read. */
  readonly exact: boolean;
}

/** @throws KeyframeError `invalid_options` */
export function momentText(moment: MomentLike): string {
  if (typeof moment === "string") return moment;
  const sound = moment instanceof Date ? !Number.isNaN(moment.getTime()) : isWholeNumber(moment);
  if (!sound) throw new KeyframeError("invalid_options", `${String(moment)} is no moment`);
  return moment instanceof Date ? moment.toISOString() : String(moment);
}

/**
 * Splits `timeline@when`. The timeline is null if the moment names none.
 * @throws KeyframeError `invalid_options`
 */
export function momentOn(moment: MomentLike): { readonly timeline: string | null; readonly when: string } {
  const text = momentText(moment);
  const end = text.indexOf("@");
  return end === -1 ? { timeline: null, when: text } : { timeline: text.slice(0, end), when: text.slice(end + 1) };
}

/** A moment of the timeline that the requests name. */
export class PinnedMoment {
  readonly #given: string;
  #stamp: number | null = null;
  /** The read whose answer will name the stamp. */
  #first: Promise<Answer> | null = null;

  constructor(moment: string) {
    this.#given = moment;
  }

  /** Null before the first answer. */
  get stamp(): number | null {
    return this.#stamp;
  }

  /** Asks for a path at this moment. Reads that begin before the first answer wait for it. */
  async read(path: string, ask: (path: string) => Promise<Answer>): Promise<Answer> {
    while (this.#stamp === null && this.#first !== null) await this.#first.catch(() => undefined);
    const answer = ask(withParam(path, "at", this.#stamp === null ? this.#given : String(this.#stamp)));
    if (this.#stamp !== null) return answer;
    this.#first = answer
      .then((heard) => {
        const stamp = membersOf(heard.body)["at"];
        if (isWholeNumber(stamp)) this.#stamp = stamp;
        return heard;
      })
      .finally(() => (this.#first = null));
    return this.#first;
  }
}

/**
 * Returns the stamp that an answer about the past names.
 * @throws KeyframeError if it names none, so that nobody takes the present for the past
 */
export function stampIn(answer: Answer): number {
  const { at } = membersOf(answer.body);
  if (isWholeNumber(at)) return at;
  const why = "the answer names no stamp, so it may be about the present: the app may be older than moments";
  throw new KeyframeError("unexpected_answer", why, { status: answer.status });
}
