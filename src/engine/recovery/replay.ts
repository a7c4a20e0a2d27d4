/**
 * Replay: the log above a base, from the archive if D1 has cut it, else from D1, page by page (RECOVERY3 of
 * recovery.ts).
 *
 * REPLAY1. The keys of several segments are loaded into memory together. Then these segments are applied.
 */
import { laterOf, readCounters } from "../base/counters.ts";
import { Damage, Failure, isUnreadable } from "../base/errors.ts";
import { assertOurs } from "../log/fence.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import { incarnationOf, type Seq, seq } from "../base/ids.ts";
import { LOAD_BYTES } from "../base/limits.ts";
import { readMinutes } from "../base/minutes.ts";
import type { Clock, Watchers } from "../base/ports.ts";
import type { Opening, SegmentPage, PartitionRow, Segment } from "../base/records.ts";
import { persistent, sleep } from "../base/retry.ts";
import type { ReadSegment } from "../log/archive.ts";
import { readSegment } from "../log/segment.ts";
import type { Loaded } from "../snapshot/key-loader.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { readOrNull } from "../snapshot/rollback-pins.ts";
import type { KeyedState } from "../state/keyed-state.ts";
import { TIMER_TYPE } from "../state/timers.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { archivedSegments, type Within } from "./archived-log.ts";
import { type OpenPartition, readRiding } from "./open-partition.ts";
import type { Environment, LogEnvironment } from "../operator/environment.ts";

/**
 * Tells watchers the newest changes since the current snapshot, after a replay (WATCH2 of watch-route.ts). Watchers may
 * know them already.
 */
export function notifyWatchers(watchers: Watchers | null, { seq: head, state }: { seq: Seq; state: KeyedState }): void {
  if (watchers === null) return;
  watchers.opened(head);
  for (const key of watchers.keys) {
    const change = state.change(key);
    // A key that can't be migrated has no state to show. A read of it says why.
    if (change !== null && change.version === undefined) watchers.changed(key, change.text, change.seq);
  }
}

export interface Replayed {
  readonly tailBytes: number;
  readonly replayMs: number;
  /** Events of D1's log, and the time that applying them took, without the waits for pages. */
  readonly work: { readonly events: number; readonly ms: number };
  /** The last row of D1's log that was replayed. Null if none was. */
  readonly last: Segment | null;
}

/** Brings the state of a base up to the end of the log, or to the last row within. */
export async function replay(
  env: LogEnvironment,
  opening: Opening,
  base: Manifest | null,
  folding: Loaded,
  within: Within = () => true,
): Promise<Replayed> {
  const { clock } = env;
  const { machine } = folding;
  const begun = clock.now();
  const work = { events: 0, ms: 0 };
  let tailBytes = 0;
  let last: Segment | null = null;
  for await (const portion of portionsAbove(env, opening, base, () => machine.seq, within)) {
    if (portion.tag === "archived") {
      await replaySegments(portion.segments, folding);
      continue;
    }
    const rows = portion.rows.filter(within);
    if (rows.length > 0) {
      const [from, started] = [machine.seq, clock.now()];
      await replayRows(env, rows, folding);
      work.ms += (await afterTurn(clock)) - started;
      work.events += machine.seq - from;
    }
    tailBytes += rows.reduce((sum, row) => sum + row.bytes, 0);
    last = rows.at(-1) ?? last;
  }
  return { tailBytes, replayMs: clock.now() - begun, work, last };
}

/**
 * Brings a partition that was opened without an epoch up to a later opening of the same manifest. Returns false if the
 * two don't fit together, or if not all of the log can be read. The caller then needs a recovery, which knows other
 * bases.
 */
export async function catchUp(env: Environment, open: OpenPartition, opening: Opening): Promise<boolean> {
  if (open.row.version !== opening.row.version || incarnationOf(open.row.epoch) !== incarnationOf(opening.row.epoch))
    return false;
  const { machine } = open;
  const sinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
  let last: Segment | null = null;
  try {
    for (let page: SegmentPage = opening; ; page = await nextPage(env, opening.row, page.rows.at(-1)!.last)) {
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

/** Notes events that were applied once and that this code refuses: none is quarantined silently. */
export function logDisowned({ host, id: { partition, operator } }: Environment, { disowned }: StateMachine): void {
  if (disowned.events > 0) host.note("replay quarantined events", { partition, operator, ...disowned });
  disowned.events = disowned.first = 0;
}

/** Resumes the counters from the last logged ones (COUNTERS2 of counters.ts). */
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

/** Applies rows of the log, after loading their keys into memory together. */
async function replayRows(env: LogEnvironment, rows: readonly Segment[], { machine, loader }: Loaded): Promise<void> {
  await replaySegments(
    rows.map((row) => ({ row, events: readSegment(row, env.codec) })),
    { machine, loader },
  );
}

async function replaySegments(segments: readonly ReadSegment[], { machine, loader }: Loaded): Promise<void> {
  return withKeys(segments, { machine, loader }, (loaded) => loaded.forEach((segment) => machine.replay(segment)));
}

/** Runs `apply` on the segments, in order, while the keys that they need are in memory (REPLAY1). */
export async function withKeys(
  segments: readonly ReadSegment[],
  { machine, loader }: Loaded,
  apply: (segments: readonly ReadSegment[]) => void | Promise<void>,
): Promise<void> {
  if (machine.state.complete) return apply(segments);
  for (let from = 0; from < segments.length;) {
    const most = machine.state.keysIn(LOAD_BYTES);
    const keys = new Set<string>();
    let to = from;
    for (; to < segments.length && (to === from || keys.size < most); to++)
      for (const key of neededKeys(segments[to]!, machine.anew !== null)) if (machine.holds(key)) keys.add(key);
    await loader.pinned([...keys]);
    try {
      await apply(segments.slice(from, to));
    } finally {
      machine.state.unpin([...keys]);
    }
    from = to;
  }
}

/** Returns the keys of events that change a state. Refused and quarantined events change none (ONE6), unless all are
 *  decided anew. A timer that fired is gone in any case. */
function neededKeys({ events: { keys, events, outcomes } }: ReadSegment, anew: boolean): readonly string[] {
  if (anew) return keys;
  return keys.filter((_, i) => (outcomes.get(i)?.tag ?? "applied") === "applied" || events[i]!["type"] === TIMER_TYPE);
}

/** Consecutive segments of a log. */
export type Portion =
  | { readonly tag: "archived"; readonly segments: readonly ReadSegment[] }
  /** Rows of D1. The last ones may not be within. */
  | { readonly tag: "page"; readonly rows: readonly Segment[] };

/**
 * Yields the log above `at`, which the caller raises with each portion: from the archive if D1 has cut it, else D1's
 * pages (RECOVERY3). Ends with the first portion that has a row that isn't within.
 *
 * @throws Damage, Failure
 */
export async function* portionsAbove(
  env: LogEnvironment,
  opening: Opening,
  base: Manifest | null,
  at: () => Seq,
  within: Within,
): AsyncGenerator<Portion> {
  // The opening's page begins above the current snapshot. A fallback starts lower and reads its own page.
  let page: SegmentPage = opening.row.snapshotSeq === at() ? opening : await nextPage(env, opening.row, at());
  // A reader without the epoch may find that a promotion has cut further rows meanwhile.
  for (;;) {
    const first = page.rows[0]?.seq ?? seq(opening.row.snapshotSeq + 1);
    if (first <= at() + 1) break;
    if (yield* archivedUpTo(env, opening.row, base, at(), seq(first - 1), within)) return;
    page = await nextPage(env, opening.row, at());
  }
  for (;;) {
    const [first] = page.rows;
    // Rows that aren't within are never applied, so the state machine wouldn't notice a hole before them.
    if (first !== undefined && first.seq > at() + 1) throw holeBefore(first, at());
    // Fetch the next page while this one is replayed.
    const next = page.more ? nextPage(env, opening.row, page.rows.at(-1)!.last) : null;
    next?.catch(() => undefined);
    yield { tag: "page", rows: page.rows };
    if (next === null || !page.rows.every(within)) return;
    page = await next;
  }
}

export async function nextPage(env: LogEnvironment, row: PartitionRow, after: Seq): Promise<SegmentPage> {
  const page = await persistent(env.clock, "D1", () => env.log.page(after));
  assertOurs(row.epoch, page, " while it read the tail");
  return page;
}

/**
 * Yields archived segments up to `to`. Returns true if a row that isn't within came before.
 *
 * @throws Damage if the archive ends below `to`
 */
async function* archivedUpTo(
  env: LogEnvironment,
  row: PartitionRow,
  base: Manifest | null,
  after: Seq,
  to: Seq,
  within: Within,
): AsyncGenerator<Portion, boolean> {
  const archived = archivedSegments(env, row, { base, after, to, within });
  for (;;) {
    const next = await archived.next();
    if (next.done !== true) {
      yield { tag: "archived", segments: next.value };
      continue;
    }
    const end = next.value;
    if (end.tag === "short")
      throw end.flaw ?? new Damage(`the archive ends at seq ${end.seq}, the log begins at ${to + 1}`);
    return end.tag === "beyond";
  }
}

const holeBefore = ({ seq: first, last }: Segment, at: Seq): Failure =>
  new Failure("log_broken", `after seq ${at} comes a segment ${first}..${last}: the log has a hole (LOG4)`);

/** Returns the time after a turn. On the platform, the clock stands still during computation. */
export async function afterTurn(clock: Clock): Promise<number> {
  await sleep(clock, 0);
  return clock.now();
}
