/**
 * What D1's word means for a partition that asked whether what it shows is all there is, or what became of a file that it can't read:
 * decided from facts alone.
 */
import { supersededBy } from "./commit.ts";
import { seq, type Epoch, type Seq } from "./ids.ts";
import { FRESH_ASK_MS } from "./limits.ts";
import type { Open } from "./open.ts";
import type { Explanation, PartitionRow } from "./ports.ts";
import type { Surroundings } from "./recovery.ts";
import { lostSince, type Facts } from "./rewound.ts";
import { limited } from "./store-call.ts";

export type Word =
  | { readonly tag: "fresh" }
  /** What D1 has more is our own first group, which will be heard of. */
  | { readonly tag: "ours" }
  /** Others have written since it was opened. */
  | { readonly tag: "behind" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/** Null: D1 doesn't answer. That must not stop reads of what is committed (LOG3); the platform keeps one object alive. */
export const asked = ({ clock, log }: Pick<Surroundings, "clock" | "log">, head: Seq): Promise<Explanation | null> =>
  limited(clock, "D1", () => log.explain(seq(head + 1)), FRESH_ASK_MS).catch(() => null);

/**
 * `ours`: the epoch; null: none yet. `before`: what was known when D1 was asked. `groups`: those that aren't in the log yet, as far as
 * is known.
 */
export function wordOf(
  known: Explanation,
  ours: Epoch | null,
  before: Facts,
  groups: { readonly begun: boolean; isOurs(group: string | null): boolean },
): Word {
  const lost = lostSince(before, known);
  if (lost !== null) return { tag: "rewound", why: `D1 says ${lost}` };
  // Only we can have written.
  if (ours !== null) return known.epoch === ours ? { tag: "fresh" } : { tag: "fenced", why: supersededBy(ours, known) };
  // A late snapshot of the writer before takes nothing from our groups.
  if (known.head === before.head && (groups.begun || known.version === before.version)) return { tag: "fresh" };
  if (groups.isOurs(known.group)) return { tag: "ours" };
  if (!groups.begun) return { tag: "behind" };
  // The groups build on less, so they never get there.
  return { tag: "fenced", why: `others have written up to seq ${known.head}, manifest number ${known.version}` };
}

export type Doubt =
  | { readonly tag: "damaged" }
  /** There is no row, or a later snapshot doesn't need it. */
  | { readonly tag: "replaced" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/** `open` reads from the file; `known` is what the partition has opened since, or the same. */
export function doubtOf(row: PartitionRow | null, open: Open, known: Open, file: string | null): Doubt {
  if (row === null) return { tag: "replaced" };
  if (open.epoch !== null && row.epoch !== open.epoch)
    return { tag: "fenced", why: `epoch ${open.epoch} was superseded by epoch ${row.epoch}` };
  if (row.version < known.row.version)
    return { tag: "rewound", why: `D1 says manifest number ${row.version} where it had reached ${known.row.version}` };
  // A reader may be behind: it reads the later snapshot when it opens anew. A writer that is didn't hear of its own, and may never.
  const behind = row.version !== known.row.version && open.epoch === null;
  const ours = open.loader.stored?.files.some(({ name }) => name === file) ?? false;
  return behind || known !== open || !ours ? { tag: "replaced" } : { tag: "damaged" };
}
