/** The order of keys: that of their UTF-8 bytes, in memory, in files and in answers. */
import { compareUtf8 } from "./json.ts";

const SURROGATE = /[\ud800-\udfff]/;

/** Sorts in place. The built-in order is that of UTF-16, which is the same unless a surrogate is in a key. */
export function sortKeys(keys: string[]): string[] {
  return keys.some((key) => SURROGATE.test(key)) ? keys.sort(compareUtf8) : keys.sort();
}

/** Sorts in place. */
export function sortByKey<T>(items: (readonly [string, T])[]): (readonly [string, T])[] {
  if (items.some(([key]) => SURROGATE.test(key))) return items.sort(([a], [b]) => compareUtf8(a, b));
  return items.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Index of the first key at or (not inclusive) above `bound`. */
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

/** Index of the first key above `after` that is not below `prefix`. */
export const firstOf = (keys: ArrayLike<string>, prefix: string, after: string): number =>
  compareUtf8(prefix, after) > 0 ? lowerBound(keys, prefix, true) : lowerBound(keys, after, false);
