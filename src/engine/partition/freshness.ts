/**
 * What D1's word means for a partition that asked whether what it shows is all there is, or what became of a file that it can't read:
 * decided from facts alone.
 */
import { seq, type Epoch, type Seq } from "../base/ids.ts";
import { FRESH_ASK_MS } from "../base/limits.ts";
import type { Explanation, PartitionRow } from "../base/records.ts";
import { limited } from "../base/retry.ts";
import type { Surroundings } from "../recovery/environment.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";

/** Null: D1 doesn't answer. That must not stop reads of what is committed (LOG3); the platform keeps one object alive. */
export const explainHead = (
  { clock, log }: Pick<Surroundings, "clock" | "log">,
  head: Seq,
): Promise<Explanation | null> =>
  limited(clock, "D1", () => log.explain(seq(head + 1)), FRESH_ASK_MS).catch(() => null);

export type DamageVerdict =
  | { readonly tag: "damaged" }
  /** There is no row, or a later snapshot doesn't need it. */
  | { readonly tag: "replaced" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/** `ours` is the epoch that is held, or null; `open` reads from the file; `known` is what the partition has opened since, or the same. */
export function judgeDamage(
  row: PartitionRow | null,
  ours: Epoch | null,
  open: OpenPartition,
  known: OpenPartition,
  file: string | null,
): DamageVerdict {
  if (row === null) return { tag: "replaced" };
  if (ours !== null && row.epoch !== ours)
    return { tag: "fenced", why: `epoch ${ours} was superseded by epoch ${row.epoch}` };
  if (row.version < known.row.version)
    return { tag: "rewound", why: `D1 says manifest number ${row.version} where it had reached ${known.row.version}` };
  // A reader may be behind: it reads the later snapshot when it opens anew. A writer that is didn't hear of its own, and may never.
  const behind = row.version !== known.row.version && ours === null;
  const isRead = open.loader.stored?.files.some(({ name }) => name === file) ?? false;
  return behind || known !== open || !isRead ? { tag: "replaced" } : { tag: "damaged" };
}
