/** Ids that occur twice in one request, with different contents. They are known before any partition is called. */
import { PRINT_WORDS } from "../../engine/base/hash.ts";

export const REUSED_HERE =
  "this source and id belong to another event of this request, with other content or another key; give every event its own id";

/**
 * Returns places of events whose source and id occurred earlier with other content. `prints`: those of one partition.
 */
export function reusedIn(prints: Uint32Array): number[] {
  const seen = new Map<string, string>();
  const reused: number[] = [];
  for (let at = 0; at < prints.length; at += PRINT_WORDS) {
    const who = prints.subarray(at, at + 4).join(" ");
    const what = prints.subarray(at + 4, at + PRINT_WORDS).join(" ");
    const before = seen.get(who);
    if (before === undefined) seen.set(who, what);
    else if (before !== what) reused.push(at / PRINT_WORDS);
  }
  return reused;
}
