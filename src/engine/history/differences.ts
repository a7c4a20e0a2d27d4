/**
 * Differences: the keys of a partition whose states differ between two moments.
 *
 * DIFF1. A key that differs was touched by an applied event that was logged between the moments: an event, an edit, an
 *     erasure or a retry. So the log between names the keys, and only these keys are read, at both moments. If the
 *     moments are on two lines of history, the log between goes down to their common past on either line.
 * DIFF2. Each state is that of past.ts: migrated, as this code gives it. Texts are compared. So a migration alone is no
 *     difference.
 * DIFF3. Memory doesn't grow with the log or the keys (PAST3). A pass takes the lowest keys that have room.
 * DIFF4. A savepoint keeps its own moment, and not the log up to the next one. If the log between isn't kept, all keys
 *     are compared.
 */
import { seq, type Seq, stamp, type Stamp } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { PASS } from "../base/limits.ts";
import { persistent } from "../base/retry.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { type Chunks, read } from "../snapshot/reads.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import type { Keys } from "../state/state-machine.ts";
import { keptSnapshots } from "../recovery/kept-snapshots.ts";
import { type Gone, goneAt, goneWithOrigin, unlessRemoved } from "../recovery/past-state.ts";
import { KeyRange, type Pass } from "./key-range.ts";
import { type Bottom, logBelow } from "./log-reader.ts";
import { goneMeanwhile, openRange, pastRange } from "./past.ts";

/** The state of a partition at a moment of its history. The stamp is settled (settle.ts). */
export interface PastState {
  readonly env: LogEnvironment;
  readonly at: Stamp;
}

/** The keys that are compared: those with the prefix, or of these the only one. */
export interface ComparedKeys {
  readonly prefix: string;
  readonly only: string | null;
}

export interface KeyDifference {
  readonly key: string;
  /** Null if the key has no state. */
  readonly from: KeyEntry | null;
  readonly to: KeyEntry | null;
}

export interface DifferencePage {
  /** In the order of the keys. */
  readonly items: readonly KeyDifference[];
  /** False if another version of the operator applied events that were read (PastFacts). */
  readonly exact: boolean;
}

export interface Differences {
  readonly tag: "differences";
  /** @throws Damage, Failure */
  readonly pages: AsyncGenerator<DifferencePage, void>;
}

/**
 * Finds the differences between two moments, of one line of history or of two that have a common past. Only D1's rows
 * and heads are read before the answer. `from` may be the later moment.
 *
 * @throws Damage, Failure
 */
export async function differences(
  from: PastState,
  to: PastState,
  keys: ComparedKeys,
  pass: Pass = PASS,
): Promise<Differences | Gone> {
  const logs: Stretch[] = [];
  let kept = true;
  for (const state of [from, to]) {
    const gone = await goneWithLine(state);
    if (gone !== null) return gone;
  }
  for (const range of rangesBetween(from, to)) {
    const log = await stretchOf(range);
    if (log.tag === "gone") return log;
    if (log.tag === "stretch") logs.push(log);
    kept &&= log.tag !== "not kept";
  }
  return { tag: "differences", pages: pagesOf(from, to, kept ? logs : null, keys, pass) };
}

/** A part of a line's log: above one stamp, up to another. */
interface LogRange {
  readonly env: LogEnvironment;
  readonly above: Stamp;
  readonly upTo: Stamp;
  /** The states that are read from this line, or from which another line started. */
  readonly states: readonly Stamp[];
}

/** Returns the parts of the logs that lie between two states. Null stands for the beginning of all history. */
function rangesBetween(a: PastState | null, b: PastState | null): LogRange[] {
  const [x, y] = [ownLine(a), ownLine(b)];
  // A line has a higher number than the one that it started from.
  const later = (x?.env.id.line ?? 0) > (y?.env.id.line ?? 0) ? x : y;
  if (later === null) return [];
  const { env, at } = later;
  if (x !== null && y !== null && x.env.id.line === y.env.id.line) {
    const [above, upTo] = x.at < y.at ? [x.at, y.at] : [y.at, x.at];
    return [{ env, above, upTo, states: [above, upTo] }];
  }
  const rest = rangesBetween(env.origin ?? null, later === x ? y : x);
  return [{ env, above: env.origin?.at ?? stamp(0), upTo: at, states: [at] }, ...rest];
}

/** Returns the state on the line that has it: a line has nothing up to its start (ORIGIN2). */
function ownLine(state: PastState | null): PastState | null {
  const origin = state?.env.origin;
  return state !== null && origin !== undefined && state.at <= origin.at
    ? ownLine({ env: origin.env, at: state.at })
    : state;
}

/** Returns null unless the state is of a line that was removed (ORIGIN3). */
async function goneWithLine(state: PastState): Promise<Gone | null> {
  const { origin, clock } = state.env;
  const own = ownLine(state);
  if (own === null || own === state || origin === undefined) return null;
  const found = await unlessRemoved(async () => ({ roots: await persistent(clock, "D1", () => own.env.log.roots()) }));
  return found === null ? goneWithOrigin(state.env, origin) : null;
}

interface Stretch extends LogRange {
  readonly tag: "stretch";
  /** All rows of the range are above this seq, and begin below the other. Null for the end of the log. */
  readonly floor: Seq;
  readonly before: Seq | null;
}

/** Finds the range in the log. "none": no row lies in it. "not kept": retention has given up a part of it. */
async function stretchOf(range: LogRange): Promise<Stretch | { readonly tag: "none" | "not kept" } | Gone> {
  const { env, above, upTo, states } = range;
  const { clock, log } = env;
  if (above === upTo) return { tag: "none" };
  const found = await unlessRemoved(async () => ({ roots: await persistent(clock, "D1", () => log.roots()) }));
  if (found === null) return { tag: "not kept" };
  const { roots } = found;
  if (roots === null) return { tag: "none" };
  const gone = states.map((at) => goneAt(roots, at)).find((one) => one !== null);
  if (gone !== undefined) return gone;
  if ((await persistent(clock, "D1", () => log.explain(seq(0)))).headStamp <= above) return { tag: "none" };
  if (above < roots.retainFrom) return { tag: "not kept" };
  const kept = keptSnapshots(env, roots);
  const covering = kept.find(({ stamp }) => stamp >= upTo);
  return {
    tag: "stretch",
    ...range,
    floor: kept.findLast(({ stamp }) => stamp <= above)?.seq ?? roots.row.startSeq,
    before: covering === undefined ? null : seq(covering.seq + 1),
  };
}

/** `logs`: null if they aren't kept. */
async function* pagesOf(
  from: PastState,
  to: PastState,
  logs: readonly Stretch[] | null,
  keys: ComparedKeys,
  pass: Pass,
): AsyncGenerator<DifferencePage, void> {
  for (let after = ""; ;) {
    const within = (key: string): boolean => compares(keys, key) && compareUtf8(key, after) > 0;
    const touched = logs === null ? null : await touchedIn(logs, within, pass);
    if (touched === null) return yield* ofAllKeys(from, to, keys, after, pass);
    const end = yield* ofKeys(from, to, touched, pass);
    if (end === null) return;
    after = end;
  }
}

const compares = ({ prefix, only }: ComparedKeys, key: string): boolean =>
  key.startsWith(prefix) && (only === null || key === only);

/** Returns the keys that applied events touched. Returns null if retention has given up a part of the logs. */
async function touchedIn(logs: readonly Stretch[], within: Keys, pass: Pass): Promise<KeyRange | null> {
  const range = new KeyRange(within, pass, () => 0);
  for (const log of logs) if ((await touch(range, log)) === "given up") return null;
  return range;
}

async function touch(range: KeyRange, { env, above, upTo, floor, before }: Stretch): Promise<Bottom> {
  const log = logBelow(env, before);
  for (;;) {
    const step = await log.next();
    if (step.done === true) return step.value;
    const { row, events } = step.value;
    if (row.stamp <= above) return "beginning";
    if (row.stamp <= upTo)
      for (const [i, key] of events.keys.entries())
        if ((events.outcomes.get(i)?.tag ?? "applied") === "applied" && (env.share?.holds(key) ?? true))
          range.admits(key);
    if (row.seq <= floor + 1) return "beginning";
  }
}

/** Compares the touched keys, as far as both states have room. Returns the last key that was compared, or null. */
async function* ofKeys(
  from: PastState,
  to: PastState,
  touched: KeyRange,
  pass: Pass,
): AsyncGenerator<DifferencePage, string | null> {
  const all = touched.keys;
  if (all.length === 0) return null;
  const wanted = new Set(all);
  const left = await openRange(from.env, from.at, (key) => wanted.has(key), pass);
  if (left.tag === "gone") throw goneMeanwhile();
  const right = await openRange(to.env, to.at, (key) => wanted.has(key) && left.range.covers(key), pass);
  if (right.tag === "gone") throw goneMeanwhile();
  const keys = all.filter((key) => left.range.covers(key) && right.range.covers(key));
  const exact = left.exact && right.exact;
  for (let done = 0; done < keys.length;) {
    const before = await read(left, keys.slice(done), pass.bytes);
    const after = await read(right, keys.slice(done, done + before.length), pass.bytes);
    const pairs = after.map((entry, i) => ({ key: keys[done + i]!, from: before[i] ?? null, to: entry }));
    yield { items: pairs.filter(differs), exact };
    done += after.length;
  }
  return right.range.end ?? left.range.end ?? touched.end;
}

const differs = ({ from, to }: KeyDifference): boolean => from?.text !== to?.text || from?.version !== to?.version;

/** Keys of a page if all keys are compared. */
const PAGE_KEYS = 500;

/** Compares all keys above `after` (DIFF4). */
async function* ofAllKeys(
  from: PastState,
  to: PastState,
  keys: ComparedKeys,
  after: string,
  pass: Pass,
): AsyncGenerator<DifferencePage, void> {
  const prefix = keys.only ?? keys.prefix;
  const [left, right] = [
    await pastRange(from.env, from.at, prefix, after, pass),
    await pastRange(to.env, to.at, prefix, after, pass),
  ];
  if (left.tag === "gone" || right.tag === "gone") throw goneMeanwhile();
  const exact = left.exact && right.exact;
  let [items, chars]: [KeyDifference[], number] = [[], 0];
  for await (const pair of pairsOf(entriesOf(left.chunks, prefix), entriesOf(right.chunks, prefix))) {
    if (!compares(keys, pair.key) || !differs(pair)) continue;
    items.push(pair);
    chars += (pair.from?.text.length ?? 0) + (pair.to?.text.length ?? 0);
    if (items.length < PAGE_KEYS && chars < pass.bytes) continue;
    yield { items, exact };
    [items, chars] = [[], 0];
  }
  yield { items, exact };
}

type Entry = readonly [key: string, entry: KeyEntry];

/** Yields the keys that have a state, up to the last one with the prefix. */
async function* entriesOf(chunks: Chunks, prefix: string): AsyncGenerator<Entry, void> {
  for await (const chunk of chunks as AsyncIterable<Entries>)
    for (const [key, entry] of chunk) {
      if (!key.startsWith(prefix)) return;
      if (entry !== null) yield [key, entry];
    }
}

/** Yields each key of two states, which come in the order of the keys. */
async function* pairsOf(a: AsyncGenerator<Entry, void>, b: AsyncGenerator<Entry, void>): AsyncGenerator<KeyDifference> {
  const take = async (of: AsyncGenerator<Entry, void>): Promise<Entry | null> => (await of.next()).value ?? null;
  let [x, y] = [await take(a), await take(b)];
  while (x !== null || y !== null) {
    const order = x === null ? 1 : y === null ? -1 : compareUtf8(x[0], y[0]);
    const [from, to] = [order <= 0 ? x : null, order >= 0 ? y : null];
    yield { key: (from ?? to)![0], from: from?.[1] ?? null, to: to?.[1] ?? null };
    if (from !== null) x = await take(a);
    if (to !== null) y = await take(b);
  }
}
