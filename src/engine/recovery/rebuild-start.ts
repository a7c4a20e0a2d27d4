/**
 * The start of a line, from R2 alone: what the line that another one starts from had of a partition up to that stamp
 * (ORIGIN1). D1 has lost both.
 *
 * START1. The manifests of the later line say the seq above which its log begins. So the earlier line is whole if R2
 *     brings it exactly to that seq.
 * START2. If it isn't whole, its row says that everything up to the stamp is given up, so nobody takes a part of it for
 *     all. The later line has snapshots of its own then, and needs the earlier one only for its past.
 * START3. If the later line has no manifest of the partition, it resumes from as much as R2 has of the earlier one, as
 *     any partition resumes from its last snapshot.
 * START4. The row names the newest snapshot of the earlier line, for its own readers. The snapshot from which the stamp is
 *     read becomes a restore point beside it.
 */
import { epoch, nextIncarnation, seq, type Seq, stamp, type Stamp } from "../base/ids.ts";
import type { LogStart, PartitionRow } from "../base/records.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { emptyRow } from "./open-partition.ts";
import { highestName, rebuild, type Top, higher } from "./rebuild.ts";
import { rebuildAt, type RebuiltAt } from "./rebuild-at.ts";

/**
 * How far the line before had come where this one starts. `kept`: D1 has that line still, and nothing was lost there.
 * `lost`: R2 doesn't have all of it.
 */
export type Begun = LogStart | "kept" | "lost";

export interface StartWish {
  readonly seed: number;
  /** The later line starts here. */
  readonly at: Stamp;
  /** The seq above which the later line's log begins, or null if R2 has no manifest of it. */
  readonly expected: Seq | null;
  readonly begun: Begun;
  /** The highest numbers that others than R2 have seen. */
  readonly known: Top;
}

export type RebuiltStart =
  | {
      readonly tag: "found";
      readonly row: PartitionRow;
      /** A snapshot at or before the stamp that the row doesn't name. */
      readonly point: Manifest | null;
      /** The rows up to the stamp that no snapshot of the row covers. Null if there are none. */
      readonly tail: Pick<RebuiltAt, "log" | "rows"> | null;
      readonly reached: LogStart;
      /** False if D1 may have had more up to the stamp, for all that this line's objects show. */
      readonly complete: boolean;
      readonly passedOver: readonly string[];
    }
  /** The moments up to the stamp are lost. The row says so. */
  | { readonly tag: "lost"; readonly row: PartitionRow; readonly retainFrom: Stamp }
  /** R2 has no manifest of it. */
  | { readonly tag: "nothing" }
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

/** @throws Failure if other code could read the partition, or if R2 doesn't answer */
export async function rebuildStart(env: FileEnvironment, wish: StartWish): Promise<RebuiltStart> {
  const { seed, at, expected, begun, known } = wish;
  const then = await rebuildAt(env, seed, at, known);
  if (then.tag === "nothing") return then;
  const whole = then.tag === "found" && isWhole(then, begun, expected);
  if (!whole && expected !== null) return lostStart(wish, (await highestName(env)) ?? known);
  if (!whole) return { tag: "unreadable", passedOver: [...then.passedOver, ...whyOf(then, begun)] };
  const { base, passedOver, complete } = then;
  const from = startOf(then, begun);
  const reached = { seq: then.seq, stamp: then.stamp === 0 ? from.stamp : then.stamp };
  const found = { tag: "found", reached, complete, passedOver } as const;
  const newest = await rebuild(env, seed, known);
  // Every row up to the stamp is archived below a snapshot of a later one.
  if (newest.tag === "found" && newest.manifest.stamp > at)
    return { ...found, row: newest.row, point: base, tail: null };
  return { ...found, row: rowAt(then, begun), point: null, tail: then };
}

/** The row of a partition whose log up to the stamp is lost: it had a snapshot of the last event, which is gone. */
export function lostStart(
  { seed, at, expected, known }: Pick<StartWish, "seed" | "at" | "expected" | "known">,
  shown: Top,
): Extract<RebuiltStart, { tag: "lost" }> {
  const top = higher(shown, known);
  const covers = { snapshotSeq: expected ?? seq(1), snapshotStamp: at };
  const row = { ...emptyRow(seed), ...covers, epoch: nextIncarnation(top.epoch), version: top.version };
  return { tag: "lost", row, retainFrom: stamp(at + 1) };
}

/** Returns the row of a rebuild, with the stamp at which a log without a snapshot begins. */
export const rowAt = (then: RebuiltAt, begun: Begun): PartitionRow =>
  then.base === null ? { ...then.row, snapshotStamp: startOf(then, begun).stamp } : then.row;

const startOf = ({ row }: RebuiltAt, begun: Begun): LogStart =>
  typeof begun === "string" ? { seq: row.startSeq, stamp: stamp(0) } : begun;

const isWhole = (then: RebuiltAt, begun: Begun, expected: Seq | null): boolean =>
  brokenStart(then, begun) === null && (expected === null || then.seq === expected);

/** Returns why the log can't be read from its beginning, if that is needed, or null. */
export function brokenStart({ base, row }: RebuiltAt, begun: Begun): string | null {
  if (base !== null || begun === "kept") return null;
  if (begun !== "lost" && row.startSeq === begun.seq) return null;
  const end = begun === "lost" ? "isn't whole" : `ends at ${begun.seq}`;
  return `its log begins above seq ${row.startSeq}, but what R2 has of the line that it starts from ${end}`;
}

function whyOf(then: Awaited<ReturnType<typeof rebuildAt>>, begun: Begun): readonly string[] {
  const why = then.tag === "found" ? brokenStart(then, begun) : null;
  return why === null ? [] : [why];
}

/** The row of a partition of which R2 has nothing on this line: it begins where the line before it had come. */
export const beginningAt = (seed: number, { seq: from, stamp: of }: LogStart, known: Top): PartitionRow => ({
  ...emptyRow(seed),
  startSeq: from,
  snapshotSeq: from,
  snapshotStamp: of,
  epoch: nextIncarnation(known.epoch),
  version: known.version,
});

export const NOTHING_KNOWN: Top = { version: 0, epoch: epoch(0) };
