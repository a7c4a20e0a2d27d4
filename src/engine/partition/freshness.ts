/**
 * Judges D1's answer for a partition that asked one of two questions: is its state the latest, or what happened to a
 * file that it can't read. The judgement uses facts alone.
 */
import { seq, type Epoch, type Seq } from "../base/ids.ts";
import { FRESH_ASK_MS } from "../base/limits.ts";
import type { Explanation, PartitionRow } from "../base/records.ts";
import { limited } from "../base/retry.ts";
import { superseded } from "../log/fence.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Environment } from "../operator/environment.ts";

/**
 * Returns null if D1 doesn't answer. A silent D1 must not stop reads of committed state (LOG3): the platform keeps one
 * object alive.
 */
export const explainHead = (
  { clock, log }: Pick<Environment, "clock" | "log">,
  head: Seq,
): Promise<Explanation | null> =>
  limited(clock, "D1", () => log.explain(seq(head + 1)), FRESH_ASK_MS).catch(() => null);

export type DamageVerdict =
  | { readonly tag: "damaged" }
  /** The row is missing, or a later snapshot doesn't need the file. */
  | { readonly tag: "replaced" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/**
 * Judges a file that can't be read. `ours` is the held epoch, or null. `open` reads from the file. `known` is what the
 * partition has opened since, or the same.
 */
export function judgeDamage(
  row: PartitionRow | null,
  ours: Epoch | null,
  open: OpenPartition,
  known: OpenPartition,
  file: string | null,
): DamageVerdict {
  if (row === null) return { tag: "replaced" };
  const why = ours === null ? null : superseded(ours, row);
  if (why !== null) return { tag: "fenced", why };
  if (row.version < known.row.version)
    return {
      tag: "rewound",
      why: `D1 is below its high-water mark: manifest number ${row.version} instead of ${known.row.version}`,
    };
  // A reader may be behind: it reads the later snapshot when it opens again. A writer that is behind missed the answer
  // about its own snapshot, and may never get it.
  const behind = row.version !== known.row.version && ours === null;
  const isRead = open.loader.stored?.files.some(({ name }) => name === file) ?? false;
  return behind || known !== open || !isRead ? { tag: "replaced" } : { tag: "damaged" };
}
