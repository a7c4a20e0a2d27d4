/**
 * Replay: the log above a base, from the archive where D1 has cut it, else from D1, page by page (R3 of recovery.ts).
 *
 * B1. The keys of some segments are brought into memory together, and then these are applied.
 */
import { readArchive, readManifestObject, type ReadSegment } from "./archive.ts";
import { laterOf, readCounters } from "./counters.ts";
import { Damage, Failure, isUnreadable } from "./errors.ts";
import type { Fold } from "./fold.ts";
import { belowManifest, manifestOf, lifeOf, manifestPrefix, seq, type Seq } from "./ids.ts";
import { LOAD_BYTES, OPEN_ATTEMPTS, PAGE_BYTES } from "./limits.ts";
import { archiveLimits } from "./lives.ts";
import type { Loader } from "./loader.ts";
import type { Manifest } from "./manifest.ts";
import type { Metered } from "./metering.ts";
import { readMinutes } from "./minutes.ts";
import { readRiding, type Open } from "./open.ts";
import { readOrNull } from "./pins.ts";
import type { Clock, Codec, Opening, Page, PartitionRow } from "./ports.ts";
import type { Surroundings } from "./recovery.ts";
import { readSegment, type Segment } from "./segment.ts";
import { fetchObject, listNames } from "./shelf.ts";
import { stampMs } from "./stamp.ts";
import { persistent, sleep } from "./store-call.ts";
import { tellReplayed } from "./watchers.ts";

/** A fold, and what brings the keys that it needs. */
export interface Folding {
  readonly fold: Fold;
  readonly loader: Loader;
}

export interface Replayed {
  readonly tailBytes: number;
  readonly replayMs: number;
  /** Of D1's log: events, and how long applying them took, without the waits for its pages. */
  readonly work: { readonly events: number; readonly ms: number };
  /** A segment of another operator version was replayed, or the base was of one. */
  readonly foreign: boolean;
  /** The last row of D1's log that was replayed; null: none was. */
  readonly last: Segment | null;
}

/** Brings the state of a base up to the end of the log, or to `to`, which ends a segment. */
export async function replay(
  around: Surroundings,
  opening: Opening,
  base: Manifest | null,
  folding: Folding,
  to: number = Number.POSITIVE_INFINITY,
): Promise<Replayed> {
  const { operator, clock } = around;
  const { fold } = folding;
  let foreign = base !== null && base.operatorVersion !== operator.version;
  const begun = clock.now();
  const work = { events: 0, ms: 0 };
  let tailBytes = 0;
  let last: Segment | null = null;
  for await (const page of tail(around, opening, base, folding)) {
    const rows = page.rows.filter((row) => row.seq <= to);
    if (rows.length > 0) {
      const [from, started] = [fold.seq, clock.now()];
      await replayRows(around, rows, folding);
      work.ms += (await ticked(clock)) - started;
      work.events += fold.seq - from;
    }
    tailBytes += rows.reduce((sum, row) => sum + row.bytes, 0);
    last = rows.at(-1) ?? last;
    foreign ||= rows.some((row) => row.operatorVersion !== operator.version);
    if (fold.seq >= to) break;
  }
  return { tailBytes, replayMs: clock.now() - begun, work, foreign, last };
}

/**
 * Brings what was opened without an epoch up to a later opening of the same manifest. False: they don't fit together, or not all of it
 * can be read, and a recovery is needed, which knows where else to begin.
 */
export async function catchUp(around: Metered, open: Open, opening: Opening): Promise<boolean> {
  if (open.row.version !== opening.row.version || lifeOf(open.row.epoch) !== lifeOf(opening.row.epoch)) return false;
  const { fold, tail } = open;
  let last: Segment | null = null;
  try {
    for (let page: Page = opening; ; page = await nextPage(around, opening.row, page.rows.at(-1)!.last)) {
      const rows = page.rows.filter((row) => row.last > fold.seq);
      if (rows[0] !== undefined && rows[0].seq !== fold.seq + 1) return false;
      const before = fold.seq;
      await replayRows(around, rows, open);
      tail.events += fold.seq - before;
      tail.bytes += rows.reduce((sum, row) => sum + row.bytes, 0);
      last = rows.at(-1) ?? last;
      if (!page.more) break;
    }
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
  tail.sinceMs ??= opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
  goOn(around, opening.row, last);
  noteDisowned(around, fold);
  tellReplayed(around.host.watchers?.() ?? null, fold);
  return true;
}

/** What was applied once, and other code refuses, is never set aside without a word. */
export function noteDisowned({ host, id: { partition, operator } }: Surroundings, { disowned }: Fold): void {
  if (disowned.events > 0) host.note("replay set events aside", { partition, operator, ...disowned });
  disowned.events = disowned.first = 0;
}

/** The counters go on from what was logged last (N2 of counters.ts). */
export function goOn(
  { counters, minutes, codec, host }: Metered,
  { manifest, previous }: PartitionRow,
  last: Segment | null,
): void {
  const manifests = [manifest, previous].map((text) => (text === null ? null : readOrNull(text, codec)));
  const { counters: row, minutes: told, writer } = readRiding(last?.stats ?? null);
  const counted = [row, host.mark()?.counters, ...manifests.map((one) => one?.counters)].map(readCounters);
  counters.restore(counted);
  minutes.restore([told, ...manifests.map((one) => one?.minutes)].map(readMinutes), laterOf(counted));
  const made = last ?? manifests[0];
  const holder = { epoch: made?.epoch ?? 0, writer: (last === null ? manifests[0]?.writer : writer) ?? "" };
  if (made != null && holder.epoch >= (counters.before?.epoch ?? 0)) counters.before = holder;
}

/** Applies rows of the log, whose keys are brought into memory together. */
async function replayRows(around: Surroundings, rows: readonly Segment[], { fold, loader }: Folding): Promise<void> {
  await replaySegments(
    rows.map((row) => ({ row, events: readSegment(row, around.codec) })),
    { fold, loader },
  );
}

async function replaySegments(segments: readonly ReadSegment[], { fold, loader }: Folding): Promise<void> {
  if (fold.state.complete) return segments.forEach((segment) => fold.replay(segment));
  for (let from = 0; from < segments.length;) {
    const most = fold.state.keysIn(LOAD_BYTES);
    const keys = new Set<string>();
    let to = from;
    for (; to < segments.length && (to === from || keys.size < most); to++)
      for (const key of neededKeys(segments[to]!)) keys.add(key);
    await loader.pinned([...keys]);
    try {
      for (; from < to; from++) fold.replay(segments[from]!);
    } finally {
      fold.state.unpin([...keys]);
    }
  }
}

/** Of the events whose handlers run: what was refused or quarantined stays so (ONE6). */
function neededKeys({ events: { keys, outcomes } }: ReadSegment): string[] {
  return keys.filter((_, i) => (outcomes.get(i)?.tag ?? "applied") === "applied");
}

/** The pages of D1's log above the fold, after replaying from the archive what D1 has cut (R3). */
async function* tail(
  around: Surroundings,
  opening: Opening,
  base: Manifest | null,
  folding: Folding,
): AsyncGenerator<Page> {
  const { fold } = folding;
  // The opening's page begins above the current snapshot; a fall-back starts further down and reads its own.
  let page: Page = opening.row.snapshotSeq === fold.seq ? opening : await nextPage(around, opening.row, fold.seq);
  const first = page.rows[0]?.seq ?? seq(opening.row.snapshotSeq + 1);
  if (first > fold.seq + 1) {
    await replayArchive(around, opening.row, folding, base, seq(first - 1));
    page = await nextPage(around, opening.row, fold.seq);
  }
  for (;;) {
    // The next page comes while this one is replayed.
    const next = page.more ? nextPage(around, opening.row, page.rows.at(-1)!.last) : null;
    next?.catch(() => undefined);
    yield page;
    if (next === null) return;
    page = await next;
  }
}

export async function nextPage(around: Surroundings, row: PartitionRow, after: Seq): Promise<Page> {
  const page = await persistent(around.clock, around.host, "D1", OPEN_ATTEMPTS, () => around.log.page(after));
  if (page.epoch !== row.epoch)
    throw new Failure("fenced", `epoch ${row.epoch} was superseded by ${page.epoch} while it read the tail`);
  return page;
}

/**
 * Replays archived segments up to `to`. What stands above the base was first covered by a later manifest than the base's,
 * so the archives of earlier versions can't hold it (R5). Attempts that were never made current share their version with
 * one that was, and may overlap with it; any row counts once, and an archive that can't be read is missed only where no
 * other one has its rows.
 */
async function replayArchive(
  around: Surroundings,
  row: PartitionRow,
  folding: Folding,
  base: Manifest | null,
  to: Seq,
): Promise<void> {
  const { id } = around;
  const { fold } = folding;
  let flaw: Damage | Failure | null = null;
  const from = base === null ? "" : belowManifest(id, base.number);
  const limitOf = await archiveLimits(around, row.epoch, from);
  for (let after = from; ;) {
    const { names, more } = await listNames(around, manifestPrefix(id), after);
    for (const name of names) {
      if (fold.seq >= to) return;
      if (base !== null && manifestOf(name)?.attempt === base.attempt) continue;
      try {
        await replayObject(await fetchObject(around, name), around.codec, folding, Math.min(to, limitOf(name)));
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        if (flaw === null || error instanceof Failure) flaw = error;
      }
    }
    after = names.at(-1) ?? after;
    if (!more) break;
  }
  if (fold.seq < to) throw flaw ?? new Damage(`the archive ends at seq ${fold.seq}, the log begins at ${to + 1}`);
}

async function replayObject(file: Uint8Array, codec: Codec, folding: Folding, to: number): Promise<void> {
  const { fold } = folding;
  if (fold.seq >= to || readManifestObject(file, codec).manifest.archive.to <= fold.seq) return;
  let next: ReadSegment[] = [];
  let [end, bytes] = [fold.seq, 0];
  try {
    for (const segment of readArchive(file, codec, fold.seq)) {
      if (segment.row.last > to) break;
      if (segment.row.seq !== end + 1) continue;
      next.push(segment);
      end = segment.row.last;
      bytes += segment.row.bytes;
      if (bytes < PAGE_BYTES) continue;
      const full = next;
      next = [];
      bytes = 0;
      await replaySegments(full, folding);
    }
  } finally {
    // What stands before damage counts: another archive may go on from there.
    await replaySegments(next, folding);
  }
}

/** The time after a turn: on the platform a clock stands still while nothing but computing goes on. */
export async function ticked(clock: Clock): Promise<number> {
  await sleep(clock, 0);
  return clock.now();
}
