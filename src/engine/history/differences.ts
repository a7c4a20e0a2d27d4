/**
 * Differences: the keys of a partition whose states differ between two moments.
 *
 * DIFF1. A key that differs was touched by an applied event that was logged between the moments: an event, an edit, an
 *     erasure or a retry. So the log between names the keys, and only these keys are read, at both moments.
 * DIFF2. Each state is that of past.ts: migrated, as this code gives it. Texts are compared. So a migration alone is no
 *     difference.
 * DIFF3. Memory doesn't grow with the log or the keys (PAST3). A pass takes the lowest keys that have room.
 * DIFF4. A savepoint keeps its own moment, and not the log up to the next one. If the log between isn't kept, all keys
 *     are compared.
 */
import { seq, type Seq, type Stamp } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { PASS } from "../base/limits.ts";
import { persistent } from "../base/retry.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { type Chunks, read } from "../snapshot/reads.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import type { Keys } from "../state/state-machine.ts";
import { keptSnapshots } from "../recovery/kept-snapshots.ts";
import { type Gone, goneAt } from "../recovery/past-state.ts";
import { KeyRange, type Pass } from "./key-range.ts";
import { logBelow } from "./log-reader.ts";
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
 * Finds the differences between two moments. Only D1's row and head are read before the answer. `from` may be the later
 * moment.
 *
 * @throws Damage, Failure
 */
export async function differences(
  from: PastState,
  to: PastState,
  keys: ComparedKeys,
  pass: Pass = PASS,
): Promise<Differences | Gone> {
  const log = await logBetween(from, to);
  if (log !== null && log.tag === "gone") return log;
  return { tag: "differences", pages: log === null ? none() : pagesOf(from, to, log, keys, pass) };
}

async function* none(): AsyncGenerator<DifferencePage, void> {}

/** The part of the log that names the keys that may differ: above one stamp, up to another. */
interface Stretch {
  readonly tag: "stretch";
  readonly env: LogEnvironment;
  readonly above: Stamp;
  readonly upTo: Stamp;
  /** All rows of the stretch are above this seq, and begin below the other. Null for the end of the log. */
  readonly floor: Seq;
  readonly before: Seq | null;
}

/** Both moments are on one line of history. Returns null if no row lies between them. */
async function logBetween(
  { env, at: from }: PastState,
  { at: to }: PastState,
): Promise<Stretch | { readonly tag: "not kept" } | Gone | null> {
  if (from === to) return null;
  const { clock, log } = env;
  const roots = await persistent(clock, "D1", () => log.roots());
  if (roots === null) return null;
  const gone = goneAt(roots, from) ?? goneAt(roots, to);
  if (gone !== null) return gone;
  const [above, upTo] = from < to ? [from, to] : [to, from];
  if ((await persistent(clock, "D1", () => log.explain(seq(0)))).headStamp <= above) return null;
  if (above < roots.retainFrom) return { tag: "not kept" };
  const kept = keptSnapshots(env, roots);
  const covering = kept.find(({ stamp }) => stamp >= upTo);
  return {
    tag: "stretch",
    env,
    above,
    upTo,
    floor: kept.findLast(({ stamp }) => stamp <= above)?.seq ?? seq(0),
    before: covering === undefined ? null : seq(covering.seq + 1),
  };
}

async function* pagesOf(
  from: PastState,
  to: PastState,
  log: Stretch | { readonly tag: "not kept" },
  keys: ComparedKeys,
  pass: Pass,
): AsyncGenerator<DifferencePage, void> {
  for (let after = ""; ;) {
    const within = (key: string): boolean => compares(keys, key) && compareUtf8(key, after) > 0;
    const touched = log.tag === "stretch" ? await touchedIn(log, within, pass) : null;
    if (touched === null) return yield* ofAllKeys(from, to, keys, after, pass);
    const end = yield* ofKeys(from, to, touched, pass);
    if (end === null) return;
    after = end;
  }
}

const compares = ({ prefix, only }: ComparedKeys, key: string): boolean =>
  key.startsWith(prefix) && (only === null || key === only);

/** Returns the keys that applied events of the stretch touched. Returns null if retention has given up a part of it. */
async function touchedIn(
  { env, above, upTo, floor, before }: Stretch,
  within: Keys,
  pass: Pass,
): Promise<KeyRange | null> {
  const range = new KeyRange(within, pass, () => 0);
  const log = logBelow(env, before);
  for (;;) {
    const step = await log.next();
    if (step.done === true) return step.value === "given up" ? null : range;
    const { row, events } = step.value;
    if (row.stamp <= above) return range;
    if (row.stamp <= upTo)
      for (const [i, key] of events.keys.entries())
        if ((events.outcomes.get(i)?.tag ?? "applied") === "applied") range.admits(key);
    if (row.seq <= floor + 1) return range;
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
