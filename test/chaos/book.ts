/*
 * The events that main must hold, while other lines of history become main.
 *
 * 1. An event that was acknowledged on main must be on main, until the list of a promotion names it. Then its id is free.
 * 2. Between the request for a promotion and its list, nobody can tell which line has answered. Such answers wait for the
 *    list: what it names may be on the new main or not, and all else must be there.
 */
import type { Effect } from "./drawn-event.ts";
import { COUNTED, type OperatorName } from "./ledger.ts";

/** The periods in which a request was sent and its answer heard. */
export interface Answered {
  readonly sent: number;
  readonly heard: number;
}

export class Book {
  /** Of every event that was ever drawn, by its id. */
  readonly effects = new Map<string, Effect>();
  readonly #must = new Set<string>();
  readonly #may = new Set<string>();
  /** Even while one line is main, odd while a promotion is under way. */
  #period = 0;
  /** The list of each promotion, by its period. */
  readonly #lists = new Map<number, ReadonlySet<string>>();
  #waiting: (() => void)[] = [];

  get period(): number {
    return this.#period;
  }

  mustHold(id: string): boolean {
    return this.#must.has(id);
  }

  mayHold(id: string): boolean {
    return this.#must.has(id) || this.#may.has(id);
  }

  get all(): IterableIterator<string> {
    return this.#must.values();
  }

  /** `judge` hears whether the line is known that answered, at once or after the promotion. */
  whenListed({ sent, heard }: Answered, judge: (sure: boolean) => void): void {
    if (sent === heard && heard % 2 === 0) judge(true);
    else if (heard % 2 === 0) judge(false);
    else this.#waiting.push(() => judge(false));
  }

  acknowledge(ids: readonly string[], answered: Answered): void {
    this.whenListed(answered, (sure) => {
      const { sent, heard } = answered;
      const lists = sure ? [] : [...this.#lists].filter(([period]) => sent <= period && period <= heard);
      for (const id of ids) (lists.some(([, list]) => list.has(id)) ? this.#may : this.#must).add(id);
    });
  }

  /** Some of these events may be on main, though their request was refused. */
  mayTake(ids: readonly string[]): void {
    for (const id of ids) this.#may.add(id);
  }

  /** A promotion is asked for: from now on another line may be main. */
  begin(): void {
    this.#period += 1;
  }

  /** It is done. `taken`: events that the new main has instead. */
  promoted(givenUp: ReadonlySet<string>, taken: Iterable<string>): void {
    for (const id of givenUp) this.#must.delete(id);
    for (const id of taken) this.#must.add(id);
    this.#lists.set(this.#period, givenUp);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const judge of waiting) judge();
    this.#period += 1;
  }

  /** How many events each key of those who count must have by now. */
  counts(): Map<OperatorName, Map<string, number>> {
    const counts = new Map<OperatorName, Map<string, number>>();
    for (const id of this.#must) {
      const { operator, key } = this.effects.get(id)!;
      if (COUNTED[operator] === undefined) continue;
      const byKey = counts.get(operator) ?? new Map<string, number>();
      counts.set(operator, byKey.set(key, 1 + (byKey.get(key) ?? 0)));
    }
    return counts;
  }
}
