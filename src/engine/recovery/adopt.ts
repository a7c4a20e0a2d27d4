/**
 * Adopting: somebody decides how a partition resumes after its database was restored to an older point
 * (rewind-check.ts), and what it gives up.
 *
 * ADOPT1. `d1`: D1's present row and log are the truth. `r2`: the newest snapshot that R2 gives back is the truth
 *     (rebuild.ts), and D1's log is deleted.
 * ADOPT2. Either way the row begins a new incarnation. The version of the row is above all versions that D1, R2 or the
 *     mark know of (REBUILD4 of rebuild.ts). So events that were given up never come back, neither from a writer nor
 *     from an archive (incarnation.ts). With `d1`, D1's log above its snapshot stays. The first manifest of the new
 *     incarnation archives all of that log, so older archives count below it (INCARNATION1).
 * ADOPT3. Adopting changes nothing if D1 was not restored to an older point.
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
import type { FileEnvironment } from "../operator/environment.ts";

export type Truth = "d1" | "r2";

/** The facts in D1 and in the partition's own object now. `opening` is null if D1 has no row. */
interface Situation {
  readonly opening: Opening | null;
  readonly mark: HighWaterMark | null;
}

export type Adopted =
  | {
      readonly tag: "row";
      readonly row: PartitionRow;
      /** The partition resumes after this event. */
      readonly seq: Seq;
      readonly manifest: number | null;
      /** Events that were once in the log, as far as is known, and manifests above the one that counts now. */
      readonly givenUp: { readonly seqs: Range | null; readonly manifests: Range | null };
      readonly passedOver: readonly string[];
      /**
       * Restore points and pins of D1 stay up to manifest number `upTo`. The manifest that was current until now
       * becomes a restore point (`displaced`), as with a snapshot, since somebody may have pinned it.
       */
      readonly roots: { readonly upTo: number; readonly displaced: Point | null };
    }
  | { readonly tag: "not_rewound" }
  | { readonly tag: "nothing" }
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

type Range = readonly [from: number, to: number];

/**
 * Decides what to write, and writes nothing.
 *
 * @throws Failure if R2 doesn't answer, or if newer code could read what R2 holds
 */
export async function adopt(
  env: FileEnvironment,
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

/**
 * If a later incarnation has begun since, D1 doesn't know which of its roots it began from. So none of them counts
 * (INCARNATION1 of incarnation.ts).
 */
function rootsAfter(
  { clock }: Pick<FileEnvironment, "clock">,
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
