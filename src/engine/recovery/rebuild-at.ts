/**
 * Rebuild at a moment: the row and the log of a partition as of a stamp, from R2 alone. So all partitions of all
 * operators come back at one consistent moment (TIME1).
 *
 * REBUILDAT1. The base is the newest intact snapshot at or before the stamp. The archived rows above it, up to the stamp,
 *     become D1's log again. So the partition opens like any other: from its snapshot and its log. If no snapshot is
 *     that old, the log alone is the base, if it is archived from its beginning.
 * REBUILDAT2. The row begins a new incarnation, whose first archive holds all rows above the base. So what was logged
 *     after the stamp is given up for good (INCARNATION1), and so are incarnations that were given up before.
 * REBUILDAT3. It is complete if the archive shows a later row, or ends with a row of the stamp itself. Otherwise D1 may
 *     have had more up to the stamp. Nobody takes that for complete without saying so.
 * REBUILDAT4. An empty state is never a guess: without a base, the archive must show the first row of the log. On a line
 *     that starts from another one, the log begins above `startSeq` of the row. The other line may not reach that seq
 *     (rebuild-start.ts).
 */
import { Damage, isUnreadable, messageOf } from "../base/errors.ts";
import {
  belowManifest,
  epoch,
  manifestName,
  manifestOf,
  manifestPrefix,
  nextIncarnation,
  seq,
  stamp,
  type Seq,
  type Stamp,
} from "../base/ids.ts";
import type { PartitionRow, Segment } from "../base/records.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { listNames } from "../snapshot/object-reader.ts";
import { fetchManifest } from "./kept-snapshots.ts";
import { load } from "./past-state.ts";
import { archivedSegments, type ArchiveEnd } from "./archived-log.ts";
import { archiveLimits } from "./incarnation.ts";
import { emptyRow } from "./open-partition.ts";
import {
  assertReachable,
  higher,
  highestName,
  namesBetween,
  newestFirst,
  newestManifest,
  rowOf,
  type Top,
} from "./rebuild.ts";

/** Facts of some rows, by which a copy of them is known to be whole. */
export interface RowTotals {
  readonly rows: number;
  readonly checksums: number;
}

export interface RebuiltAt {
  readonly tag: "found";
  readonly base: Manifest | null;
  readonly row: PartitionRow;
  /** The last event that comes back, and the stamp of its row. */
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** False if D1 may have had more up to the moment (REBUILDAT3). `why` names the object that can't be read, if any. */
  readonly complete: boolean;
  readonly why: string | null;
  /** The archived events after the moment, which are given up. */
  readonly givenUp: number;
  readonly log: RowTotals;
  readonly passedOver: readonly string[];
  /** The rows above the base, in portions. */
  rows(): AsyncGenerator<readonly Segment[]>;
}

type RebuildAt =
  | RebuiltAt
  | { readonly tag: "nothing" }
  /** R2 doesn't give back the state at the moment, nor a state before it. */
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

/** Manifests that are tried, and objects that may add nothing to the log. */
const TRIES = 50;

/** As `rebuild`, up to `at`. @throws Failure */
export async function rebuildAt(
  env: FileEnvironment,
  seed: number,
  at: Stamp,
  known: Top = { version: 0, epoch: epoch(0) },
): Promise<RebuildAt> {
  const shown = await highestName(env);
  if (shown === null) return { tag: "nothing" };
  const newest = manifestOf((await namesBetween(env, shown.version, shown.version)).at(-1)!)!;
  const top = higher(shown, known);
  const newer = await newestManifest(env);
  const startSeq = newer?.startSeq ?? seq(0);
  const search = { env, seed, at, newest, startSeq };
  const passedOver: string[] = [];
  for await (const base of basesAt(search, shown.version, passedOver)) {
    const found = await upTo(search, base);
    if (found.tag === "unreadable") {
      passedOver.push(found.why);
      continue;
    }
    const begun = { ...emptyRow(seed), startSeq, snapshotSeq: startSeq };
    const empty = { ...begun, epoch: nextIncarnation(top.epoch), version: top.version };
    return {
      ...found,
      base,
      row: base === null ? empty : rowOf(base, seed, top),
      givenUp: Math.max(0, (newer?.seq ?? 0) - found.seq),
      passedOver,
    };
  }
  return { tag: "unreadable", passedOver };
}

interface Search {
  readonly env: FileEnvironment;
  readonly seed: number;
  readonly at: Stamp;
  /** The newest manifest by name, whose incarnation is the one that counts. */
  readonly newest: Pick<PartitionRow, "epoch" | "attempt">;
  /** The log begins above. */
  readonly startSeq: Seq;
}

/** Yields usable snapshots at or before the moment, newest first, and null for the log from its beginning. */
async function* basesAt(search: Search, top: number, passedOver: string[]): AsyncGenerator<Manifest | null> {
  const { env, seed, at, newest } = search;
  const from = await lastAtOrBefore(env, at, top);
  for await (const found of newestFirst(env, from)) {
    try {
      if (found.tag === "damaged") throw found.why;
      const { manifest } = found;
      // Snapshots of an incarnation that was given up, or of the part of one, are passed over in silence.
      if (manifest.stamp > at || !(await counts(env, newest, manifest))) continue;
      const { loader } = await load(env, { seed, startSeq: seq(0) }, manifest, false);
      await loader.stored!.check(manifest);
      yield manifest;
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      assertReachable(error);
      passedOver.push(`manifest ${found.version}: ${messageOf(error)}`);
      if (passedOver.length === TRIES) return;
    }
  }
  yield null;
}

async function counts(
  env: FileEnvironment,
  newest: Search["newest"],
  { number, attempt, seq: of }: Manifest,
): Promise<boolean> {
  const limitOf = await archiveLimits(env, newest, belowManifest(env.id, number));
  return of <= limitOf(manifestName(env.id, number, attempt));
}

/**
 * Returns the last version whose snapshot is at or before the moment, or 0. Stamps rise with versions, except where an
 * incarnation was given up. There, an older snapshot serves as well.
 */
async function lastAtOrBefore(env: FileEnvironment, at: Stamp, top: number): Promise<number> {
  let [low, high] = [0, top + 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const found = await firstManifest(env, middle, high);
    if (found === null || found.stamp > at) high = middle;
    else low = found.number;
  }
  return low;
}

/** Returns the first readable manifest of the versions from `from` on and below `to`. */
async function firstManifest(env: FileEnvironment, from: number, to: number): Promise<Manifest | null> {
  for (let after = belowManifest(env.id, from); ;) {
    const { names, more } = await listNames(env, manifestPrefix(env.id), after);
    for (const name of names) {
      const made = manifestOf(name);
      if (made === null || made.version >= to) return null;
      if (made.piece !== null) continue;
      try {
        return await fetchManifest(env, made.version, made.attempt);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
      }
    }
    after = names.at(-1) ?? after;
    if (!more) return null;
  }
}

type UpTo =
  | Pick<RebuiltAt, "tag" | "seq" | "stamp" | "complete" | "why" | "log" | "rows">
  | { readonly tag: "unreadable"; readonly why: string };

/** Reads the archived log above a base, up to the moment. */
async function upTo({ env, at, newest, startSeq }: Search, base: Manifest | null): Promise<UpTo> {
  const archived = (): ReturnType<typeof archivedSegments> =>
    archivedSegments(env, newest, {
      base,
      after: base?.seq ?? startSeq,
      to: Number.POSITIVE_INFINITY,
      within: ({ stamp: of }) => of <= at,
      tries: TRIES,
    });
  let end: ArchiveEnd;
  let [last, of] = [base?.seq ?? startSeq, base?.stamp ?? stamp(0)];
  const log = { rows: 0, checksums: 0 };
  try {
    for (const reading = archived(); ;) {
      const next = await reading.next();
      if (next.done === true) {
        end = next.value;
        break;
      }
      for (const { row } of next.value) {
        [last, of] = [row.last, row.stamp];
        log.rows += 1;
        log.checksums += row.checksum;
      }
    }
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    assertReachable(error);
    return { tag: "unreadable", why: messageOf(error) };
  }
  const flaw = end.tag === "short" ? end.flaw : null;
  // Other code, or the store, may give back what is missing (REBUILD3).
  if (flaw instanceof Damage) assertReachable(flaw);
  else if (flaw?.code === "unknown_format") throw flaw;
  const complete = end.tag === "beyond" || of === at;
  const why = flaw === null ? null : messageOf(flaw);
  if (base === null && log.rows === 0 && !complete)
    return { tag: "unreadable", why: why ?? "no snapshot is that old, and the log isn't archived from its beginning" };
  return {
    tag: "found",
    seq: last,
    stamp: of,
    complete,
    why,
    log,
    rows: async function* () {
      for await (const portion of archived()) yield portion.map(({ row }) => row);
    },
  };
}
