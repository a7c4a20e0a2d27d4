/**
 * Replay: the log above a base, from the archive where D1 has cut it, else from D1, page by page (RECOVERY3 of recovery.ts).
 *
 * REPLAY1. The keys of some segments are brought into memory together, and then these are applied.
 */
import { laterOf, readCounters } from "../base/counters.ts";
import { Damage, Failure, isUnreadable } from "../base/errors.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import { belowManifest, incarnationOf, manifestOf, manifestPrefix, type Seq, seq } from "../base/ids.ts";
import { LOAD_BYTES, OPEN_ATTEMPTS, PAGE_BYTES } from "../base/limits.ts";
import { readMinutes } from "../base/minutes.ts";
import type { Clock, Codec, Watchers } from "../base/ports.ts";
import type { Opening, Page, PartitionRow, Segment } from "../base/records.ts";
import { persistent, sleep } from "../base/retry.ts";
import type { ReadSegment } from "../log/archive.ts";
import { readSegment } from "../log/segment.ts";
import type { Loader } from "../snapshot/key-loader.ts";
import { readArchive, readManifestObject } from "../snapshot/manifest-object.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import { readOrNull } from "../snapshot/rollback-pins.ts";
import type { KeyedState } from "../state/keyed-state.ts";
import type { StateMachine } from "../state/state-machine.ts";
import type { Environment, Surroundings } from "./environment.ts";
import { archiveLimits } from "./incarnation.ts";
import { type OpenPartition, readRiding } from "./open-partition.ts";

/** After a replay (W2): of what changed since the current snapshot, the newest. Perhaps they have heard of it. */
export function notifyWatchers(watchers: Watchers | null, { seq: head, state }: { seq: Seq; state: KeyedState }): void {
  if (watchers === null) return;
  watchers.opened(head);
  for (const key of watchers.keys) {
    const change = state.change(key);
    // One that can't be migrated is no state to show; who asks hears why.
    if (change !== null && change.version === undefined) watchers.changed(key, change.text, change.seq);
  }
}

/** A fold, and what brings the keys that it needs. */
export interface Replaying {
  readonly machine: StateMachine;
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
  env: Surroundings,
  opening: Opening,
  base: Manifest | null,
  folding: Replaying,
  to: number = Number.POSITIVE_INFINITY,
): Promise<Replayed> {
  const { operator, clock } = env;
  const { machine } = folding;
  let foreign = base !== null && base.operatorVersion !== operator.version;
  const begun = clock.now();
  const work = { events: 0, ms: 0 };
  let tailBytes = 0;
  let last: Segment | null = null;
  for await (const page of tail(env, opening, base, folding)) {
    const rows = page.rows.filter((row) => row.seq <= to);
    if (rows.length > 0) {
      const [from, started] = [machine.seq, clock.now()];
      await replayRows(env, rows, folding);
      work.ms += (await afterTurn(clock)) - started;
      work.events += machine.seq - from;
    }
    tailBytes += rows.reduce((sum, row) => sum + row.bytes, 0);
    last = rows.at(-1) ?? last;
    foreign ||= rows.some((row) => row.operatorVersion !== operator.version);
    if (machine.seq >= to) break;
  }
  return { tailBytes, replayMs: clock.now() - begun, work, foreign, last };
}

/**
 * Brings what was opened without an epoch up to a later opening of the same manifest. False: they don't fit together, or not all of it
 * can be read, and a recovery is needed, which knows where else to begin.
 */
export async function catchUp(env: Environment, open: OpenPartition, opening: Opening): Promise<boolean> {
  if (open.row.version !== opening.row.version || incarnationOf(open.row.epoch) !== incarnationOf(opening.row.epoch))
    return false;
  const { machine } = open;
  const sinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
  let last: Segment | null = null;
  try {
    for (let page: Page = opening; ; page = await nextPage(env, opening.row, page.rows.at(-1)!.last)) {
      const rows = page.rows.filter((row) => row.last > machine.seq);
      if (rows[0] !== undefined && rows[0].seq !== machine.seq + 1) return false;
      const before = machine.seq;
      await replayRows(env, rows, open);
      const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
      open.caughtUp(machine.seq - before, bytes, sinceMs);
      last = rows.at(-1) ?? last;
      if (!page.more) break;
    }
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
  restoreCounters(env, opening.row, last);
  logDisowned(env, machine);
  notifyWatchers(env.host.watchers?.() ?? null, machine);
  return true;
}

/** What was applied once, and other code refuses, is never set aside without a word. */
export function logDisowned({ host, id: { partition, operator } }: Surroundings, { disowned }: StateMachine): void {
  if (disowned.events > 0) host.note("replay set events aside", { partition, operator, ...disowned });
  disowned.events = disowned.first = 0;
}

/** The counters go on from what was logged last (COUNTERS2 of counters.ts). */
export function restoreCounters(
  { counters, minutes, codec, host }: Environment,
  { manifest, previous }: PartitionRow,
  last: Segment | null,
): void {
  const manifests = [manifest, previous].map((text) => (text === null ? null : readOrNull(text, codec)));
  const { counters: row, minutes: told, writer } = readRiding(last?.stats ?? null);
  const counted = [row, host.highWaterMark()?.counters, ...manifests.map((one) => one?.counters)].map(readCounters);
  counters.restore(counted);
  minutes.restore([told, ...manifests.map((one) => one?.minutes)].map(readMinutes), laterOf(counted));
  const made = last ?? manifests[0];
  const holder = { epoch: made?.epoch ?? 0, writer: (last === null ? manifests[0]?.writer : writer) ?? "" };
  if (made != null && holder.epoch >= (counters.before?.epoch ?? 0)) counters.before = holder;
}

/** Applies rows of the log, whose keys are brought into memory together. */
async function replayRows(env: Surroundings, rows: readonly Segment[], { machine, loader }: Replaying): Promise<void> {
  await replaySegments(
    rows.map((row) => ({ row, events: readSegment(row, env.codec) })),
    { machine, loader },
  );
}

async function replaySegments(segments: readonly ReadSegment[], { machine, loader }: Replaying): Promise<void> {
  if (machine.state.complete) return segments.forEach((segment) => machine.replay(segment));
  for (let from = 0; from < segments.length;) {
    const most = machine.state.keysIn(LOAD_BYTES);
    const keys = new Set<string>();
    let to = from;
    for (; to < segments.length && (to === from || keys.size < most); to++)
      for (const key of neededKeys(segments[to]!)) keys.add(key);
    await loader.pinned([...keys]);
    try {
      for (; from < to; from++) machine.replay(segments[from]!);
    } finally {
      machine.state.unpin([...keys]);
    }
  }
}

/** Of the events whose handlers run: what was refused or quarantined stays so (ONE6). */
function neededKeys({ events: { keys, outcomes } }: ReadSegment): string[] {
  return keys.filter((_, i) => (outcomes.get(i)?.tag ?? "applied") === "applied");
}

/** The pages of D1's log above the fold, after replaying from the archive what D1 has cut (R3). */
async function* tail(
  env: Surroundings,
  opening: Opening,
  base: Manifest | null,
  folding: Replaying,
): AsyncGenerator<Page> {
  const { machine } = folding;
  // The opening's page begins above the current snapshot; a fall-back starts further down and reads its own.
  let page: Page = opening.row.snapshotSeq === machine.seq ? opening : await nextPage(env, opening.row, machine.seq);
  const first = page.rows[0]?.seq ?? seq(opening.row.snapshotSeq + 1);
  if (first > machine.seq + 1) {
    await replayArchive(env, opening.row, folding, base, seq(first - 1));
    page = await nextPage(env, opening.row, machine.seq);
  }
  for (;;) {
    // The next page comes while this one is replayed.
    const next = page.more ? nextPage(env, opening.row, page.rows.at(-1)!.last) : null;
    next?.catch(() => undefined);
    yield page;
    if (next === null) return;
    page = await next;
  }
}

export async function nextPage(env: Surroundings, row: PartitionRow, after: Seq): Promise<Page> {
  const page = await persistent(env.clock, env.host, "D1", OPEN_ATTEMPTS, () => env.log.page(after));
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
  env: Surroundings,
  row: PartitionRow,
  folding: Replaying,
  base: Manifest | null,
  to: Seq,
): Promise<void> {
  const { id } = env;
  const { machine } = folding;
  let flaw: Damage | Failure | null = null;
  const from = base === null ? "" : belowManifest(id, base.number);
  const limitOf = await archiveLimits(env, row.epoch, from);
  for (let after = from; ;) {
    const { names, more } = await listNames(env, manifestPrefix(id), after);
    for (const name of names) {
      if (machine.seq >= to) return;
      if (base !== null && manifestOf(name)?.attempt === base.attempt) continue;
      try {
        await replayObject(await fetchObject(env, name), env.codec, folding, Math.min(to, limitOf(name)));
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        if (flaw === null || error instanceof Failure) flaw = error;
      }
    }
    after = names.at(-1) ?? after;
    if (!more) break;
  }
  if (machine.seq < to) throw flaw ?? new Damage(`the archive ends at seq ${machine.seq}, the log begins at ${to + 1}`);
}

async function replayObject(file: Uint8Array, codec: Codec, folding: Replaying, to: number): Promise<void> {
  const { machine } = folding;
  if (machine.seq >= to || readManifestObject(file, codec).manifest.archive.to <= machine.seq) return;
  let next: ReadSegment[] = [];
  let [end, bytes] = [machine.seq, 0];
  try {
    for (const segment of readArchive(file, codec, machine.seq)) {
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
export async function afterTurn(clock: Clock): Promise<number> {
  await sleep(clock, 0);
  return clock.now();
}
