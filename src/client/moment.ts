/**
 * A moment of the past, as the app takes it with `at=` (docs/reference/api.md, "Moments").
 *
 * CLIENT3. All reads of one `kf.at(…)` are of one stamp: that of the first answer. So they are one consistent cut, also
 *     if the moment is `now`, or if a scan has many pages.
 */
import { isWholeNumber, membersOf, type Answer } from "./answer.ts";
import { KeyframeError } from "./keyframe-error.ts";

/** A time, a stamp as an answer named it, a time ago as `-90m`, a savepoint's name, or `now`. */
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

export class PinnedMoment {
  readonly #given: string;
  #stamp: number | null = null;
  /** The read whose answer will name the stamp. */
  #first: Promise<Answer> | null = null;

  /** @throws KeyframeError `invalid_options` */
  constructor(moment: MomentLike) {
    this.#given = momentText(moment);
  }

  /** Null before the first answer. */
  get stamp(): number | null {
    return this.#stamp;
  }

  /** Asks for a path at this moment. Reads that begin before the first answer wait for it. */
  async read(path: string, ask: (path: string) => Promise<Answer>): Promise<Answer> {
    while (this.#stamp === null && this.#first !== null) await this.#first.catch(() => undefined);
    const at = new URLSearchParams({ at: this.#stamp === null ? this.#given : String(this.#stamp) }).toString();
    const answer = ask(`${path}${path.includes("?") ? "&" : "?"}${at}`);
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
