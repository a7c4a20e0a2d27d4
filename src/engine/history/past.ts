/**
 * Past: the state of a partition at a stamp (TIME3).
 *
 * PAST1. The state is rebuilt as a recovery rebuilds it: from the newest kept snapshot at or before the stamp, and the
 *     log above that snapshot up to the stamp. Only D1 and R2 are read. No epoch is taken, nothing is woken, and no
 *     cache of a living partition is used.
 * PAST2. The stamp must be settled (settle.ts). Then the same stamp gives the same state for ever.
 * PAST3. Memory doesn't grow with the log. Only events of wanted keys are applied (MACHINE4). If the log touched too
 *     many keys of a range, the range ends earlier, and another pass over the log reads the rest.
 * PAST4. Retention and snapshots go on meanwhile. If a file is deleted under a reader, an older snapshot gives the same
 *     state. If none is left, D1 says that the moment is gone.
 */
import { Damage, Failure } from "../base/errors.ts";
import type { Seq, Stamp } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { PASS } from "../base/limits.ts";
import type { Roots, Segment } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { load } from "../recovery/recovery.ts";
import { replay } from "../recovery/replay.ts";
import type { Loaded } from "../snapshot/key-loader.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { type Chunks, chunksOf, read } from "../snapshot/reads.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import type { Keys } from "../state/state-machine.ts";
import { keptSnapshots, passesOver } from "./kept-snapshots.ts";
import { KeyRange, type Pass } from "./key-range.ts";

/** Retention has given up the moment. `oldest`: the first stamp that can still be read. */
export interface Gone {
  readonly tag: "gone";
  readonly oldest: Stamp;
}

/** Facts of a partition at a stamp. */
export interface PastFacts {
  /** The last event at or before the stamp. */
  readonly seq: Seq;
  /** Stamp of that event's segment, or 0. */
  readonly stamp: Stamp;
  /** False if another version of the operator applied some of these events at their time. The present version gives
   *  their state, as a recovery would. */
  readonly exact: boolean;
}

export type PastKeys = (PastFacts & { readonly tag: "read"; readonly entries: readonly (KeyEntry | null)[] }) | Gone;

/** Returns the keys' entries at the stamp, from the first on, as `read` does. @throws Damage, Failure */
export async function pastKeys(
  env: LogEnvironment,
  at: Stamp,
  keys: readonly string[],
  maxChars: number,
): Promise<PastKeys> {
  const wanted = new Set(keys);
  const past = await openPast(env, at, () => (key) => wanted.has(key));
  if (past.tag === "gone") return past;
  const { seq, stamp, exact } = past;
  return { tag: "read", seq, stamp, exact, entries: await read(past, keys, maxChars) };
}

export type PastRange = (PastFacts & { readonly tag: "read"; readonly chunks: Chunks }) | Gone;

/**
 * Returns the keys above `after` that begin with `prefix`, at the stamp. The first pass over the log is made before the
 * answer, further passes when their chunks are read.
 *
 * @throws Damage, Failure
 */
export async function pastRange(
  env: LogEnvironment,
  at: Stamp,
  prefix: string,
  after: string,
  pass: Pass = PASS,
): Promise<PastRange> {
  const first = await openRange(env, at, behind(prefix, after), pass);
  if (first.tag === "gone") return first;
  const { seq, stamp, exact } = first;
  return { tag: "read", seq, stamp, exact, chunks: chunksFrom(env, at, prefix, after, pass, first) };
}

async function* chunksFrom(
  env: LogEnvironment,
  at: Stamp,
  prefix: string,
  after: string,
  pass: Pass,
  first: OpenRange,
): AsyncGenerator<Entries> {
  for (let [past, from] = [first, after]; ;) {
    const { end } = past.range;
    const chunks = chunksOf(past, prefix, from, false) as AsyncIterable<Entries>;
    const begun = from;
    const within = (key: string): boolean =>
      compareUtf8(key, begun) > 0 && (end === null || compareUtf8(key, end) <= 0);
    for await (const chunk of chunks) {
      yield chunk.filter(([key]) => within(key));
      if (end !== null && chunk.length > 0 && compareUtf8(chunk.at(-1)![0], end) > 0) break;
    }
    if (end === null) return;
    const next = await openRange(env, at, behind(prefix, end), pass);
    if (next.tag === "gone") throw goneMeanwhile();
    [past, from] = [next, end];
  }
}

const behind =
  (prefix: string, after: string): Keys =>
  (key) =>
    key.startsWith(prefix) && compareUtf8(key, after) > 0;

export const goneMeanwhile = (): Failure =>
  new Failure("moment_gone", "retention gave up the moment while it was read");

/** The state at a stamp, of the keys that one pass brought there. */
export type OpenRange = Past & { readonly range: KeyRange };

/** Brings keys to their state at the stamp, as many of those within as fit into one pass. @throws Damage, Failure */
export async function openRange(
  env: LogEnvironment,
  at: Stamp,
  within: Keys,
  pass: Pass = PASS,
): Promise<OpenRange | Gone> {
  let range: KeyRange;
  const past = await openPast(env, at, (held) => {
    range = new KeyRange(within, pass, held);
    return (key) => range.admits(key);
  });
  return past.tag === "gone" ? past : { ...past, range: range! };
}

interface Past extends PastFacts, Loaded {
  readonly tag: "open";
}

/** Snapshots that are tried, before or after others have changed what is kept. */
const BASES = 6;
const ROUNDS = 3;

/** Brings the wanted keys to their state at the stamp. `wanted` is called for each attempt. */
async function openPast(
  env: LogEnvironment,
  at: Stamp,
  wanted: (heldBytes: () => number) => Keys,
): Promise<Past | Gone> {
  const { clock, log } = env;
  for (let round = 1; ; round++) {
    const roots = await persistent(clock, "D1", () => log.roots());
    const gone = roots === null ? null : goneAt(roots, at);
    if (gone !== null) return gone;
    try {
      return await fromKept(env, roots, at, wanted);
    } catch (error) {
      // A writer that took an epoch, or a snapshot that was given up, is no reason against another look.
      const passes = passesOver(error) || (error instanceof Failure && error.code === "fenced");
      if (!passes || round === ROUNDS) throw error;
    }
  }
}

/** Returns null if the state at the stamp can be read. */
export const goneAt = ({ retainFrom, savepoints }: Roots, at: Stamp): Gone | null =>
  at < retainFrom && !savepoints.includes(at) ? { tag: "gone", oldest: retainFrom } : null;

async function fromKept(
  env: LogEnvironment,
  roots: Roots | null,
  at: Stamp,
  wanted: (heldBytes: () => number) => Keys,
): Promise<Past> {
  if (roots === null) return fromBase(env, 0, at, null, wanted);
  const kept = keptSnapshots(env, roots).filter(({ stamp }) => stamp <= at);
  const bases: (() => Promise<Manifest | null>)[] = kept.slice(-BASES).map(({ manifest }) => manifest);
  // A savepoint from before the first snapshot keeps the archives from the beginning on (RETENTION6).
  if (roots.archiveFrom <= 1 || (kept.length === 0 && roots.savepoints.includes(at)))
    bases.unshift(() => Promise.resolve(null));
  let flaw: unknown = new Damage(`no kept snapshot of partition ${env.id.partition} is at or before stamp ${at}`);
  for (const base of bases.toReversed()) {
    try {
      return await fromBase(env, roots.row.seed, at, await base(), wanted);
    } catch (error) {
      if (!passesOver(error)) throw error;
      flaw = error;
    }
  }
  throw flaw;
}

/** `base`: null for the whole log. */
async function fromBase(
  env: LogEnvironment,
  seed: number,
  at: Stamp,
  base: Manifest | null,
  wanted: (heldBytes: () => number) => Keys,
): Promise<Past> {
  const { clock, log } = env;
  let held = (): number => 0;
  const loaded = await load(
    env,
    seed,
    base,
    true,
    wanted(() => held()),
  );
  const { machine } = loaded;
  held = () => machine.state.changedBytes;
  const opening = await persistent(clock, "D1", () => log.peek());
  let ended = false;
  const within = ({ stamp }: Segment): boolean => {
    ended ||= stamp > at;
    return stamp <= at;
  };
  const foreign = opening !== null && (await replay(env, opening, base, loaded, within)).foreign;
  // A promotion that cuts rows between two pages leaves no hole, only a log that seems to end early (PAST4).
  if (opening !== null && !ended && machine.seq < opening.head)
    throw new Failure("fenced", `a snapshot was promoted while the log of partition ${env.id.partition} was read`);
  return { tag: "open", ...loaded, seq: machine.seq, stamp: machine.stamp, exact: !foreign };
}
