/**
 * Changed keys: how many keys of an operator have another state at another moment, and the first of them, in bounded
 * time and memory.
 *
 * CHANGED1. The differences are those of a diff (differences.ts). A count that reached a bound, or a part that can't be
 *     read, says "at least".
 */
import { messageOf } from "../base/errors.ts";
import { CHANGED_KEYS, CHANGED_NAMED } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import { differences, type DifferencePage, type PastState } from "./differences.ts";

export interface ChangedKeys {
  readonly count: number;
  /** False if there may be more. */
  readonly complete: boolean;
  readonly first: readonly string[];
  /** Why a part could not be read. */
  readonly flaws: readonly string[];
}

/** A partition at both moments. */
export type Pair = readonly [from: PastState, to: PastState];

/** Counts the keys that differ, one partition after the other, until that time. */
export async function changedKeys(clock: Clock, pairs: readonly Pair[], untilMs: number): Promise<ChangedKeys> {
  const first: string[] = [];
  const flaws: string[] = [];
  let count = 0;
  for (const [from, to] of pairs) {
    try {
      const found = await before(clock, untilMs, differences(from, to, { prefix: "", only: null }));
      if (found === "late") return { count, complete: false, first, flaws };
      if (found.tag === "gone") {
        flaws.push("retention has given up a moment");
        continue;
      }
      for (;;) {
        const next: IteratorResult<DifferencePage, void> | "late" = await before(clock, untilMs, found.pages.next());
        if (next === "late") return { count, complete: false, first, flaws };
        if (next.done === true) break;
        count += next.value.items.length;
        first.push(...next.value.items.slice(0, CHANGED_NAMED - first.length).map(({ key }) => key));
        if (count >= CHANGED_KEYS) return { count, complete: false, first, flaws };
      }
    } catch (error) {
      flaws.push(messageOf(error));
    }
  }
  return { count, complete: flaws.length === 0, first, flaws };
}

/** Returns "late" if the work isn't done by then. Its result is dropped. */
async function before<T>(clock: Clock, untilMs: number, work: Promise<T>): Promise<T | "late"> {
  work.catch(() => undefined);
  let cancel = (): void => undefined;
  const late = new Promise<"late">((resolve) => {
    cancel = clock.after(Math.max(0, untilMs - clock.now()), () => resolve("late"));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
