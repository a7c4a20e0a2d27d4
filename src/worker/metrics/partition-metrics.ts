/**
 * The metrics of one partition, from its rows in D1. docs/reference/operations.md says what each means, and which alert
 * to set.
 *
 * PARTITIONMETRICS1. Counters come from the counter row in the last segment and the manifest (counters.ts), so they
 *     never fall.
 */
import type { MeteredPartition } from "../../adapters/d1-metrics.ts";
import {
  COMMIT_BOUNDS_MS,
  countOf,
  GROUP_BOUNDS,
  laterOf,
  readCounters,
  type Counter,
} from "../../engine/base/counters.ts";
import { operationsOf } from "../../cost/prices.ts";
import { stamp } from "../../engine/base/ids.ts";
import { openingBytes, type Manifest } from "../../engine/snapshot/manifest.ts";
import { readRiding, type RidingStats } from "../../engine/recovery/open-partition.ts";
import { predictRecovery } from "../../engine/checkpoint/policy.ts";
import { dollarsFor, type Meter } from "../../cost/prices.ts";
import { UNMEASURED } from "../../engine/recovery/recovery-rates.ts";
import { stampMs } from "../../engine/base/hybrid-clock.ts";
import type { Exposition, Family } from "./exposition.ts";
import { FAMILIES } from "./metric-list.ts";

type Labels = Readonly<Record<string, string | number>>;

/** The bill's names, in the metric's label. */
const METERS: readonly (readonly [Meter, string])[] = [
  ["objectRequests", "object_requests"],
  ["objectRowsWritten", "object_rows_written"],
  ["d1RowsRead", "d1_rows_read"],
  ["d1RowsWritten", "d1_rows_written"],
  ["r2ClassA", "r2_class_a"],
  ["r2ClassB", "r2_class_b"],
];

/** The parsed rows that D1 has of a partition. */
interface View {
  readonly one: MeteredPartition;
  readonly manifest: Glanced | null;
  readonly riding: Partial<RidingStats>;
  readonly tailBytes: number;
  readonly now: number;
  /** Returns a counter. */
  readonly n: (name: Counter) => number;
  readonly add: (family: Family, value: number, more?: Labels) => void;
}

/** `tailBytes`: counted by D1, if the last segment doesn't tell. */
export function addPartition(
  to: Exposition,
  labels: Labels,
  one: MeteredPartition,
  tailBytes: number,
  now: number,
): void {
  const manifest = manifestOf(one);
  const riding = readRiding(one.stats);
  const row = laterOf([riding.counters, manifest?.counters].map(readCounters));
  const n = (name: Counter): number => countOf(row, name);
  const add = (family: Family, value: number, more: Labels = {}): void => to.add(family, { ...labels, ...more }, value);
  const view = { one, manifest, riding, tailBytes, now, n, add };
  addEvents(view);
  const commits = [...COMMIT_BOUNDS_MS.map((bound) => n(`commit<=${bound}`)), n("commit>")];
  to.addHistogram(FAMILIES.commit, labels, COMMIT_BOUNDS_MS.map(seconds), commits, seconds(n("commitMs")));
  const groups = [...GROUP_BOUNDS.map((bound) => n(`group<=${bound}`)), n("group>")];
  to.addHistogram(FAMILIES.group, labels, GROUP_BOUNDS, groups, n("groupEvents"));
  addSnapshots(view);
  addRecoveries(view);
  addOperations(view);
  const operations = operationsOf(row);
  for (const [meter, name] of METERS) add(FAMILIES.dollars, dollarsFor(meter, operations[meter] ?? 0), { meter: name });
  addWriter(view);
}

function addEvents({ one, manifest, riding, tailBytes, now, n, add }: View): void {
  for (const outcome of ["applied", "refused", "quarantined", "duplicate", "reused"] as const)
    add(FAMILIES.events, n(outcome === "duplicate" ? "duplicates" : outcome), { outcome });
  add(FAMILIES.timers, n("timers"));
  add(FAMILIES.calls, n("slices"));
  add(FAMILIES.segments, n("segments"));
  add(FAMILIES.head, headOf(one));
  add(FAMILIES.tailEvents, headOf(one) - one.snapshotSeq);
  add(FAMILIES.tailBytes, tailBytes);
  add(FAMILIES.tailAge, one.tailStamp === null ? 0 : ageOf(stampMs(stamp(one.tailStamp)), now));
  // If no segment is left in the log, the values of the last segment are known from the snapshot that covers it.
  const { keys, stateBytes, quarantined } = { ...manifest, ...riding };
  add(FAMILIES.keys, keys ?? 0);
  add(FAMILIES.state, stateBytes ?? 0);
  add(FAMILIES.quarantine, quarantined ?? 0);
}

function addSnapshots({ manifest, now, n, add }: View): void {
  for (const kind of ["full", "delta"] as const) {
    add(FAMILIES.snapshots, n(`${kind}Snapshots`), { kind });
    add(FAMILIES.snapshotBytes, n(`${kind}Bytes`), { kind });
  }
  add(FAMILIES.snapshotFailures, n("snapshotFailures"));
  add(FAMILIES.snapshotSeconds, seconds(n("snapshotMs")));
  add(FAMILIES.archiveBytes, n("archiveBytes"));
  if (manifest === null) return;
  const { number, at, ms, snapshot } = manifest;
  add(FAMILIES.lastManifest, number);
  add(FAMILIES.lastTime, seconds(Date.parse(at)));
  add(FAMILIES.lastAge, ageOf(Date.parse(at), now));
  add(FAMILIES.lastSeconds, seconds(ms));
  add(FAMILIES.lastBytes, snapshot.bytes);
}

const PHASES = [
  ["d1", "openMs"],
  ["load", "loadMs"],
  ["replay", "replayMs"],
] as const;

function addRecoveries({ one, manifest, riding, tailBytes, n, add }: View): void {
  add(FAMILIES.recoveries, n("recoveries"));
  for (const [phase, name] of PHASES) {
    add(FAMILIES.recoverySeconds, seconds(n(name)), { phase });
    const took = riding.lastRecovery?.phases?.[name];
    if (took !== undefined) add(FAMILIES.lastRecovery, seconds(took), { phase });
  }
  add(FAMILIES.replayed, n("replayedEvents"));
  add(FAMILIES.fallbacks, n("fallbacks"));
  const { stateMs, tailMs } = predictRecovery({
    openingBytes: manifest === null ? 0 : openingBytes(manifest),
    tailEvents: headOf(one) - one.snapshotSeq,
    tailBytes,
    rates: riding.rates ?? manifest?.rates ?? UNMEASURED,
  });
  add(FAMILIES.estimated, seconds(stateMs + tailMs));
}

function addOperations({ n, add }: View): void {
  add(FAMILIES.cache, n("cacheHits"), { result: "hit" });
  add(FAMILIES.cache, n("cacheMisses"), { result: "miss" });
  add(FAMILIES.d1Queries, n("d1Queries"));
  add(FAMILIES.d1Read, n("d1RowsRead"));
  add(FAMILIES.d1Written, n("d1RowsWritten"));
  add(FAMILIES.r2, n("r2ClassA"), { class: "a" });
  add(FAMILIES.r2, n("r2ClassB"), { class: "b" });
  add(FAMILIES.r2, n("r2Deletes"), { class: "free" });
  add(FAMILIES.ownWritten, n("ownRowsWritten"));
  add(FAMILIES.wakes, n("wakes"));
}

/** Adds both identities of a take-over: the holder of the epoch, and the writer before it. */
function addWriter({ one, manifest, riding, add }: View): void {
  const { lastEpoch } = one;
  const taken = lastEpoch !== null && lastEpoch > one.rowEpoch;
  const epoch = taken ? lastEpoch : one.rowEpoch;
  const [writer, code] = taken ? [riding.writer ?? NOBODY.writer, one.lastCode!] : [one.writer, one.code];
  const wrote =
    lastEpoch === null ? { ...NOBODY, ...manifest } : { epoch: lastEpoch, writer: riding.writer ?? NOBODY.writer };
  const before = wrote.epoch === epoch ? (riding.before ?? NOBODY) : wrote;
  add(FAMILIES.epochs, epoch);
  add(FAMILIES.writer, 1, { epoch, writer, code, previous_epoch: before.epoch, previous_writer: before.writer });
}

const headOf = ({ last, snapshotSeq }: MeteredPartition): number => last ?? snapshotSeq;
const NOBODY = { epoch: 0, writer: "" };

/** Returns the tail's bytes, or null if D1 must count them. */
export function tailBytesOf(one: MeteredPartition): number | null {
  if (one.last === null || one.last === one.snapshotSeq) return 0;
  const { tail } = readRiding(one.stats);
  return tail?.[0] === one.version ? tail[1] + (one.lastBytes ?? 0) : null;
}

type Glanced = Omit<Manifest, "archive" | "history">;

function manifestOf({ manifest }: MeteredPartition): Glanced | null {
  if (manifest === null) return null;
  const read = JSON.parse(manifest) as Partial<Glanced> | null;
  return read?.format === "keyframe.manifest" ? (read as Glanced) : null;
}

const seconds = (ms: number): number => ms / 1_000;
const ageOf = (ms: number, now: number): number => Math.max(0, seconds(now - ms));
