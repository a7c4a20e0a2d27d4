/** The order of keys is the order of their UTF-8 bytes: in memory, in files and in answers. */
import { compareUtf8 } from "./json.ts";

const SURROGATE = /[\ud800-\udfff]/;

/** Sorts in place. The built-in order is UTF-16, which is the same unless a key has a surrogate. */
export function sortKeys(keys: string[]): string[] {
  return keys.some((key) => SURROGATE.test(key)) ? keys.sort(compareUtf8) : keys.sort();
}

/** Sorts in steps, between which other work may run. Sorting a large state in one step would block everything else. */
export function* sortByKey<T>(items: readonly (readonly [string, T])[]): Generator<void, (readonly [string, T])[]> {
  const native = !items.some(([key]) => SURROGATE.test(key));
  const order = native
    ? (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
    : (a: string, b: string): number => compareUtf8(a, b);
  let runs: (readonly [string, T])[][] = [];
  for (let from = 0; from < items.length; from += SORTED_AT_ONCE) {
    if (from > 0) yield;
    runs.push(items.slice(from, from + SORTED_AT_ONCE).sort(([a], [b]) => order(a, b)));
  }
  while (runs.length > 1) {
    const merged: typeof runs = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(i + 1 < runs.length ? yield* mergeRuns(runs[i]!, runs[i + 1]!, order) : runs[i]!);
    runs = merged;
  }
  return runs[0] ?? [];
}

const SORTED_AT_ONCE = 8_192;

function* mergeRuns<T>(
  a: readonly (readonly [string, T])[],
  b: readonly (readonly [string, T])[],
  order: (a: string, b: string) => number,
): Generator<void, (readonly [string, T])[]> {
  const merged: (readonly [string, T])[] = [];
  for (let [i, j] = [0, 0]; i < a.length || j < b.length;) {
    const fromA = j >= b.length || (i < a.length && order(a[i]![0], b[j]![0]) <= 0);
    merged.push(fromA ? a[i++]! : b[j++]!);
    if (merged.length % SORTED_AT_ONCE === 0) yield;
  }
  return merged;
}

/** Returns the index of the first key above `bound`, or at `bound` if `inclusive`. */
export function lowerBound(keys: ArrayLike<string>, bound: string, inclusive: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareUtf8(keys[middle]!, bound);
    if (order < 0 || (order === 0 && !inclusive)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the index of the first key above `after` that is not below `prefix`. */
export const firstOf = (keys: ArrayLike<string>, prefix: string, after: string): number =>
  compareUtf8(prefix, after) > 0 ? lowerBound(keys, prefix, true) : lowerBound(keys, after, false);
