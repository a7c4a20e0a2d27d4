/**
 * The queue of a partition's timers: which keys may have one that is due.
 *
 * QUEUE1. An entry is a hint: the key has no timer before its time, and may have none at all. The key's state decides
 *     (TIMER1). So an event that moves a timer to later leaves the hint where it is.
 * QUEUE2. Each key with timers has a hint at or before the first of them: in memory if the key changed since the current
 *     snapshot, else in the newest file that holds the key.
 * QUEUE3. Files list their keys by due time, in blocks that are read when they are due. So pending timers take memory
 *     only while their keys are among the changed ones.
 * QUEUE4. A snapshot says before which time nothing was pending. Hints of older files before that time are of timers
 *     that have fired.
 * QUEUE5. The queue knows what is decided and not in the log yet. A snapshot holds less than that, so a hint that went
 *     with what is decided counts for snapshots until that is in the log.
 */
import TinyQueue from "tinyqueue";
import type { Seq } from "../base/ids.ts";

/** `due`: milliseconds since 1970. `seq`: the event that left the key's timers. */
interface Hint {
  readonly due: number;
  readonly key: string;
  readonly seq: Seq;
}

export type DueKey = readonly [due: number, key: string];

/** A run of blocks of one file, in the order of due times. */
export interface DueRun {
  /** The first due time of each block. */
  readonly firsts: readonly number[];
  /** Reads a block. @throws Damage, Failure */
  read(block: number): Promise<readonly DueKey[]>;
}

class Cursor {
  readonly #run: DueRun;
  readonly #from: number;
  #block: number;
  #keys: readonly DueKey[] | null = null;
  #at = 0;

  /** Begins at the first key that is due at or after `from`. */
  constructor(run: DueRun, from: number) {
    this.#run = run;
    this.#from = from;
    const after = run.firsts.findIndex((first) => first >= from);
    this.#block = Math.max(0, (after < 0 ? run.firsts.length : after) - 1);
  }

  /** Nothing further is due before this time. */
  get head(): number {
    if (this.#keys !== null) return this.#keys[this.#at]![0];
    const first = this.#run.firsts[this.#block];
    return first === undefined ? Number.POSITIVE_INFINITY : Math.max(first, this.#from);
  }

  get isLoaded(): boolean {
    return this.#keys !== null;
  }

  async load(): Promise<void> {
    const block = this.#block;
    const keys = await this.#run.read(block);
    if (this.#keys !== null || this.#block !== block) return;
    this.#at = keys.findIndex(([due]) => due >= this.#from);
    if (this.#at >= 0) this.#keys = keys;
    else this.#block += 1;
  }

  /** Returns the next key of the loaded block. */
  shift(): DueKey {
    const found = this.#keys![this.#at++]!;
    if (this.#at < this.#keys!.length) return found;
    this.#keys = null;
    this.#block += 1;
    return found;
  }
}

const NEVER = Number.POSITIVE_INFINITY;
/** Hints of keys that changed often are thinned out above this number. */
const THINNED_FROM = 4_096;

export class TimerQueue {
  #changed = new TinyQueue<Hint>([], byDue);
  #cursors: readonly Cursor[] = [];
  /** Keys that are being fired. They stay due until that is done. */
  #taken: DueKey[] = [];
  /** The first due time of hints that went with events up to `until` (QUEUE5). */
  #gone: { readonly due: number; readonly until: Seq }[] = [];
  #thinAt = THINNED_FROM;

  /** No timer is due before this time. Infinity if none is pending. */
  get next(): number {
    let next = Math.min(this.#changed.peek()?.due ?? NEVER, this.#taken[0]?.[0] ?? NEVER);
    for (const { head } of this.#cursors) if (head < next) next = head;
    return next;
  }

  /** Nothing was pending before this time when everything up to `committed` had happened. */
  pendingFrom(committed: Seq): number {
    this.#gone = this.#gone.filter(({ until }) => until > committed);
    return Math.min(this.next, ...this.#gone.map(({ due }) => due));
  }

  #went(due: number, until: Seq): void {
    const last = this.#gone.at(-1);
    if (last?.until !== until) this.#gone.push({ due, until });
    else if (due < last.due) this.#gone[this.#gone.length - 1] = { due, until };
  }

  /** The event `seq` left the key with a timer that is due then, and its first one. */
  add(key: string, due: number, at: Seq): void {
    this.#changed.push({ due, key, seq: at });
    if (this.#changed.length >= this.#thinAt) this.#thin();
  }

  /** Keeps the first hint of each key. */
  #thin(): void {
    const first = new Map<string, Hint>();
    for (const hint of this.#changed.data) {
      const known = first.get(hint.key);
      if (known === undefined || hint.due < known.due)
        first.set(hint.key, known === undefined || hint.seq > known.seq ? hint : { ...hint, seq: known.seq });
      else if (hint.seq > known.seq) first.set(hint.key, { ...known, seq: hint.seq });
    }
    this.#changed = new TinyQueue([...first.values()], byDue);
    this.#thinAt = Math.max(THINNED_FROM, 2 * first.size);
  }

  /**
   * Drops hints of changed keys that have become wrong with events up to `until`, as far as they are next. `dueOf` tells
   * when a key's first timer is due, null if it has none, or undefined if its state isn't in memory.
   */
  trim(dueOf: (key: string) => number | null | undefined, until: Seq): void {
    for (let hint = this.#changed.peek(); hint !== undefined; hint = this.#changed.peek()) {
      const due = dueOf(hint.key);
      if (due === undefined || due === hint.due) return;
      this.#changed.pop();
      this.#went(hint.due, until);
      if (due !== null) this.#changed.push({ ...hint, due });
    }
  }

  /**
   * The current snapshot stands in these runs and holds every event up to `saved`. It had nothing pending before `from`.
   */
  begin(runs: readonly DueRun[], from: number, saved: Seq): void {
    this.#cursors = runs.map((run) => new Cursor(run, from));
    this.#changed = new TinyQueue(
      this.#changed.data.filter((hint) => hint.seq > saved),
      byDue,
    );
    this.#thinAt = Math.max(THINNED_FROM, 2 * this.#changed.length);
  }

  /**
   * Takes keys that may have a timer due at or before `upTo`, at most so many, in the order of their hints. Call `done`
   * once their timers have fired, and each key that has further ones was added. @throws Damage, Failure
   */
  async take(upTo: number, most: number): Promise<readonly string[]> {
    const keys = new Set<string>();
    this.#taken = [];
    try {
      while (keys.size < most) {
        const cursor = this.#nextCursor();
        const changed = this.#changed.peek()?.due ?? NEVER;
        const head = cursor?.head ?? NEVER;
        if (Math.min(changed, head) > upTo) break;
        if (changed <= head) {
          const { key, due } = this.#changed.pop()!;
          this.#note(keys, due, key);
        } else if (cursor!.isLoaded) this.#note(keys, ...cursor!.shift());
        else await cursor!.load();
      }
    } catch (error) {
      this.giveBack();
      throw error;
    }
    return [...keys];
  }

  #nextCursor(): Cursor | null {
    let next: Cursor | null = null;
    for (const one of this.#cursors) if (next === null || one.head < next.head) next = one;
    return next;
  }

  /** Hints come in the order of their times, so the first one of a key is the one that counts. */
  #note(keys: Set<string>, due: number, key: string): void {
    if (keys.has(key)) return;
    keys.add(key);
    this.#taken.push([due, key]);
  }

  /** The taken keys were fired, with events up to `until`. */
  done(until: Seq): void {
    if (this.#taken.length > 0) this.#went(this.#taken[0]![0], until);
    this.#taken = [];
  }

  /** The taken keys weren't fired. */
  giveBack(): void {
    for (const [due, key] of this.#taken) this.#changed.push({ due, key, seq: LAST });
    this.#taken = [];
  }
}

/** Keys that were taken may be pending in a file that was read past, so no snapshot may drop them. */
const LAST = Number.MAX_SAFE_INTEGER as Seq;

function byDue(a: Hint, b: Hint): number {
  return a.due - b.due;
}
