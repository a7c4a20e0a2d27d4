/**
 * Adopting: somebody decides with what a partition goes on whose database was set back (rewind-check.ts), and what is given up for that.
 *
 * ADOPT1. `d1`: D1's present is the truth, row and log as they stand. `r2`: the newest snapshot that R2 gives back (rebuild.ts), and D1's
 *     log goes.
 * ADOPT2. Either way the row begins a new life with a version above all that D1, R2 or the mark know of (Z4): what is given up never
 *     comes back, neither by a writer nor from an archive (incarnation.ts). D1's log above its snapshot stays with `d1`, and the first
 *     manifest of the new life archives all of it, so older archives count below that (L1).
 * ADOPT3. What isn't set back is left alone.
 */
import { readOrNull } from "../snapshot/rollback-pins.ts";
import { attemptOf, epoch, incarnationOf, nextIncarnation, seq, type Seq } from "../base/ids.ts";
import { emptyRow } from "./open-partition.ts";
import { pointOf, type Manifest } from "../snapshot/manifest.ts";
import type { Opening, PartitionRow, Point } from "../base/records.ts";
import { behind, logFacts } from "../log/fence.ts";
import { markFromStore } from "./rewind-check.ts";
import type { HighWaterMark } from "../base/records.ts";
import { rebuild, highestName, type Top } from "./rebuild.ts";
import type { Library } from "../snapshot/object-reader.ts";
import type { Surroundings } from "./environment.ts";

export type Truth = "d1" | "r2";

/** What D1 and the partition's own object say now. `opening` is null where there is no row. */
export interface Situation {
  readonly opening: Opening | null;
  readonly mark: HighWaterMark | null;
}

export type Adopted =
  | {
      readonly tag: "row";
      readonly row: PartitionRow;
      /** It goes on after this event. */
      readonly seq: Seq;
      readonly manifest: number | null;
      /** Events that were in the log once, as far as is known, and manifests above the one that counts now. */
      readonly givenUp: { readonly seqs: Range | null; readonly manifests: Range | null };
      readonly passedOver: readonly string[];
      /**
       * What becomes of D1's restore points and pins: those up to a manifest's number stay. What was current until then, and somebody
       * may have pinned, becomes a restore point, as with a snapshot.
       */
      readonly roots: { readonly upTo: number; readonly displaced: Point | null };
    }
  | { readonly tag: "not_rewound" }
  | { readonly tag: "nothing" }
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

export type Range = readonly [from: number, to: number];

/** Decides; nothing is written here. @throws Failure where R2 doesn't answer, or newer code could read what it holds */
export async function adopt(
  env: Library & Pick<Surroundings, "operator">,
  { opening, mark }: Situation,
  truth: Truth,
  seed: number,
): Promise<Adopted> {
  const row = opening?.row ?? emptyRow(seed);
  const head = opening?.head ?? seq(0);
  const known = [mark, await markFromStore(env, row)].filter((one) => one !== null);
  if (!known.some((one) => behind(one, logFacts(row, head)) !== null)) return { tag: "not_rewound" };
  const top = topOfAll(row, known, await highestName(env));
  const reached = Math.max(head, ...known.map((one) => one.head));
  const current = row.manifest === null ? null : readOrNull(row.manifest, env.codec);
  if (truth === "d1") {
    return {
      tag: "row",
      row: { ...row, epoch: nextIncarnation(top.epoch), version: top.version },
      seq: head,
      manifest: current?.number ?? null,
      givenUp: { seqs: above(head, reached), manifests: above(row.version, top.version) },
      passedOver: [],
      roots: { upTo: row.version, displaced: null },
    };
  }
  const found = await rebuild(env, seed, top);
  if (found.tag !== "found") return found;
  const { manifest, passedOver } = found;
  return {
    tag: "row",
    row: found.row,
    seq: manifest.seq,
    manifest: manifest.number,
    givenUp: { seqs: above(manifest.seq, reached), manifests: above(manifest.number, top.version) },
    passedOver,
    roots: rootsAfter(env, row, manifest, current),
  };
}

/** Where a later life has begun since, D1 doesn't know from which of its roots: none of them counts (INCARNATION1 of incarnation.ts). */
function rootsAfter(
  { clock }: Pick<Library, "clock">,
  row: PartitionRow,
  manifest: Manifest,
  current: Manifest | null,
): { readonly upTo: number; readonly displaced: Point | null } {
  const { epoch: by } = attemptOf(manifest.attempt)!;
  if (incarnationOf(by) > incarnationOf(row.epoch)) return { upTo: 0, displaced: null };
  const older = current !== null && current.number < manifest.number;
  return { upTo: manifest.number, displaced: older ? pointOf(current, false, clock.now()) : null };
}

const topOfAll = (row: PartitionRow, known: readonly HighWaterMark[], store: Top | null): Top => ({
  version: Math.max(row.version, store?.version ?? 0, ...known.map(({ version }) => version)),
  epoch: epoch(Math.max(row.epoch, store?.epoch ?? 0, ...known.map((one) => one.epoch))),
});

const above = (from: number, to: number): Range | null => (to > from ? [from + 1, to] : null);
