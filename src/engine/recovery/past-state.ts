/**
 * Past state: the state of a partition at a stamp (TIME3), with the base that a recovery or a read of the past begins
 * from.
 *
 * PAST1. The state is rebuilt as a recovery rebuilds it: from the newest kept snapshot at or before the stamp, and the
 *     log above that snapshot up to the stamp. Only D1 and R2 are read. No epoch is taken, nothing is woken, and no
 *     cache of a living partition is used.
 * PAST4. Retention and snapshots go on meanwhile. If a file is deleted under a reader, an older snapshot gives the same
 *     state. If none is left, D1 says that the moment is gone.
 * PAST5. D1 is asked at once for all that the first base needs. A further base asks anew for the log above it.
 * PAST6. A partition that D1 has no row of had logged nothing only if R2 has no manifest of it. Otherwise its past isn't
 *     empty, but lost.
 * ORIGIN1. A line of history that starts from another one begins with the other line's state at that stamp: states,
 *     known ids, producers and the quarantine. Its log continues the other one's seqs. Nothing is copied: the other
 *     line's files are read until the line has a snapshot of its own.
 * ORIGIN2. The other line keeps that moment like a savepoint (RETENTION6). A stamp at or before the start is read from
 *     the other line alone.
 * ORIGIN3. The other line may be removed once nothing of this line reads it (LINE6). Then moments up to the start are
 *     given up, and a partition without a row begins with nothing. A row whose log begins above 0 never does: a
 *     database that was restored to an older point may need the other line again, and must not take nothing for it.
 * ORIGIN4. If the line has more partitions, several of them start from the same one, each with its share of the keys
 *     (SHARE1). How many keys a share has is an estimate until the first snapshot has counted them.
 */
import { Digest } from "../base/digest.ts";
import { Damage, Failure } from "../base/errors.ts";
import { manifestPrefix, type Seq, stamp, type Stamp } from "../base/ids.ts";
import {
  LOG_BEGIN,
  type LogStart,
  type Opening,
  type PartitionRow,
  type Roots,
  type StateFile,
} from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import type { FileEnvironment, LogEnvironment, Origin } from "../operator/environment.ts";
import { type Loaded, Loader } from "../snapshot/key-loader.ts";
import { type Manifest, stateFiles } from "../snapshot/manifest.ts";
import { StoredState } from "../snapshot/stored-state.ts";
import type { Totals } from "../state/keyed-state.ts";
import { type Keys, StateMachine } from "../state/state-machine.ts";
import { keptSnapshots, passesOver } from "./kept-snapshots.ts";
import type { Within } from "./archived-log.ts";
import { replay } from "./replay.ts";

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

/** A state machine whose states stand in these files, and in the log above them. */
export interface Based extends Loaded {
  readonly files: readonly StateFile[];
}

export interface OpenPast extends PastFacts, Based {
  readonly tag: "open";
}

/** The keys whose events are applied (MACHINE4), for each attempt anew. `held`: bytes of the keys that changed. */
export type WantedKeys = (held: () => number) => Keys;

/** Snapshots that are tried, before or after others have changed what is kept. */
const BASES = 6;
const ROUNDS = 3;

/**
 * Brings the wanted keys, or all if `wanted` is null, to their state at the stamp. `seed`: the operator's, for a partition
 * without a row. A later line replays its log on this state, and would know none of its ids under another seed.
 *
 * @throws Damage, Failure
 */
export async function openPast(
  env: LogEnvironment,
  at: Stamp,
  apart: boolean,
  wanted: WantedKeys | null,
  seed = 0,
): Promise<OpenPast | Gone> {
  const { origin } = env;
  if (origin !== undefined && at <= origin.at) {
    const past = await unlessRemoved(() => openPast(origin.env, at, apart, wanted, seed));
    return past ?? goneWithOrigin(env, origin);
  }
  return openKept(env, at, (base, roots, opening) =>
    fromBase(env, roots?.row ?? { seed, startSeq: LOG_BEGIN.seq }, at, { base, opening }, apart, wanted),
  );
}

/** Returns what is read of the line that another one starts from, or null if that line was removed (ORIGIN3). */
export async function unlessRemoved<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (isRemoved(error)) return null;
    throw error;
  }
}

export const isRemoved = (error: unknown): boolean => error instanceof Failure && error.code === "line_gone";

/** Returns the oldest moment of a line, after the line that it starts from was removed. */
export async function goneWithOrigin({ clock, log }: LogEnvironment, { at }: Origin): Promise<Gone> {
  const roots = await persistent(clock, "D1", () => log.roots());
  return { tag: "gone", oldest: stamp(Math.max(roots?.retainFrom ?? 0, at + 1)) };
}

/** Opens a base: a kept snapshot, or null for the whole log. `roots` is null if nothing was ever logged. */
export type OpenBase<T> = (base: Manifest | null, roots: Roots | null, opening: OpeningLog) => Promise<T>;

/** The log above a base. */
export type OpeningLog = () => Promise<Opening | null>;

const peekAt = ({ clock, log }: Pick<LogEnvironment, "clock" | "log">): Promise<Opening | null> =>
  persistent(clock, "D1", () => log.peek());

interface Answers {
  readonly roots: Promise<Roots | null>;
  readonly opening: Promise<Opening | null>;
}

/** Asks D1 for all that the first base needs (PAST5). */
function ask({ clock, log }: LogEnvironment): Answers {
  const asked = {
    roots: persistent(clock, "D1", () => log.roots()),
    opening: peekAt({ clock, log }),
  };
  // A failure that nobody waits for is no error.
  for (const one of Object.values(asked)) one.catch(() => undefined);
  return asked;
}

/**
 * Opens the newest base at or before the stamp that can be read. `open` is called for each attempt (PAST4).
 *
 * @throws Damage, Failure
 */
export async function openKept<T>(env: LogEnvironment, at: Stamp, open: OpenBase<T>): Promise<T | Gone> {
  for (let round = 1; ; round++) {
    const asked = ask(env);
    const roots = await asked.roots;
    if (roots === null) assertNoTrace(env, await storedTrace(env));
    const gone = roots === null ? null : goneAt(roots, at);
    if (gone !== null) return gone;
    try {
      return await fromKept(env, roots, at, asked.opening, open);
    } catch (error) {
      // A writer that took an epoch, or a snapshot that was given up, is no reason against another look.
      const passes = passesOver(error) || (error instanceof Failure && error.code === "fenced");
      if (!passes || round === ROUNDS) throw error;
    }
  }
}

/** Returns the name of an object in R2 that only a partition with a row can have made, or null if there is none. */
export const storedTrace = async ({ clock, objects, id }: FileEnvironment): Promise<string | null> =>
  (await persistent(clock, "R2", () => objects.list(manifestPrefix(id), ""))).names[0] ?? null;

/** A partition without a row has logged nothing, unless D1 has lost it (PAST6). @throws Failure catalogue_lost */
export function assertNoTrace({ id }: FileEnvironment, trace: string | null): void {
  if (trace !== null)
    throw new Failure(
      "catalogue_lost",
      `R2 holds ${trace}, but D1 has no row for this partition: restore the database, or rebuild the row with POST /v1/operators/${id.operator}/recover; an empty one must not take its place`,
    );
}

/** Returns null if the state at the stamp can be read. */
export const goneAt = ({ retainFrom, savepoints }: Roots, at: Stamp): Gone | null =>
  at < retainFrom && !savepoints.includes(at) ? { tag: "gone", oldest: retainFrom } : null;

async function fromKept<T>(
  env: LogEnvironment,
  roots: Roots | null,
  at: Stamp,
  early: Promise<Opening | null>,
  open: OpenBase<T>,
): Promise<T> {
  if (roots === null) return open(null, null, () => early);
  const kept = keptSnapshots(env, roots).filter(({ stamp }) => stamp <= at);
  const bases: (() => Promise<Manifest | null>)[] = kept.slice(-BASES).map(({ manifest }) => manifest);
  // A savepoint from before the first snapshot keeps the archives from the beginning on (RETENTION6).
  if (roots.archiveFrom <= 1 || (kept.length === 0 && roots.savepoints.includes(at)))
    bases.unshift(() => Promise.resolve(null));
  let flaw: unknown = new Damage(`no kept snapshot of partition ${env.id.partition} is at or before stamp ${at}`);
  for (const [tries, base] of bases.toReversed().entries()) {
    try {
      // Snapshots may have gone on while the base before was tried (PAST5).
      return await open(await base(), roots, () => (tries === 0 ? early : peekAt(env)));
    } catch (error) {
      if (!passesOver(error)) throw error;
      flaw = error;
    }
  }
  throw flaw;
}

/** The part of a row that says how the state machine begins. */
export type Beginning = Pick<PartitionRow, "seed" | "startSeq">;

async function fromBase(
  env: LogEnvironment,
  row: Beginning,
  at: Stamp,
  { base, opening }: { readonly base: Manifest | null; readonly opening: OpeningLog },
  apart: boolean,
  wanted: WantedKeys | null,
): Promise<OpenPast> {
  const loaded = await load(env, row, base, apart, wanted);
  const { machine } = loaded;
  await replayWithin(env, base, loaded, ({ stamp }) => stamp <= at, opening);
  return { tag: "open", ...loaded, seq: machine.seq, stamp: machine.stamp, exact: !machine.foreign };
}

/**
 * Replays the log above a base up to the first row that isn't within.
 *
 * @throws Damage, Failure
 */
export async function replayWithin(
  env: LogEnvironment,
  base: Manifest | null,
  loaded: Loaded,
  within: Within,
  asking: OpeningLog = () => peekAt(env),
): Promise<void> {
  const opening = await asking();
  if (opening === null) return;
  let ended = false;
  await replay(env, opening, base, loaded, (row) => {
    const taken = within(row);
    ended ||= !taken;
    return taken;
  });
  // A promotion that cuts rows between two pages leaves no hole, only a log that seems to end early (PAST4).
  if (!ended && loaded.machine.seq < opening.head)
    throw new Failure("fenced", `a snapshot was promoted while the log of partition ${env.id.partition} was read`);
}

/** Opens what a line starts from. */
export type OpenOrigin = () => Promise<OpenPast | Gone>;

/**
 * Loads a snapshot except its states, which are read on demand. Without a snapshot, loads what the line starts from,
 * or takes it from `opened`. `apart` also leaves out ids that stand apart.
 */
export async function load(
  env: FileEnvironment & Pick<LogEnvironment, "origin">,
  { seed, startSeq }: Beginning,
  base: Manifest | null,
  apart: boolean,
  wanted: WantedKeys | null = null,
  opened: () => ReturnType<OpenOrigin> | null = () => null,
): Promise<Based> {
  const { origin } = env;
  if (base === null && origin !== undefined) {
    const open: OpenOrigin = () => opened() ?? openPast(origin.env, origin.at, apart, wanted, seed);
    const past = await unlessRemoved(() => fromOrigin(origin, open));
    if (past !== null) return past;
    if (startSeq > 0) throw givenUp(origin.env, origin.at);
  }
  const only: Keys | null = wanted === null ? null : wanted(() => machine.state.changedBytes);
  const { share } = env;
  const machine: StateMachine = new StateMachine(env.operator, seed, env.code, only, share?.holds);
  if (base === null) return { machine, loader: new Loader(machine.state, null, env.clock), files: [] };
  const files = stateFiles(base);
  const doubted = env.cache.distrusted(files.map(({ name }) => name));
  if (doubted.length > 0) throw new Damage(`${doubted.join(", ")} was found corrupt before`);
  const stored = await StoredState.open(env, base, machine, apart);
  const { keys } = stored.files.at(-1)!.footer;
  if (keys !== base.keys) throw new Damage(`the snapshot counts ${keys} keys, but its manifest counts ${base.keys}`);
  const { unmigrated = { keys: 0, some: [] } } = base;
  // States of another version are counted as they are in the files, until all of them were migrated once.
  const same = base.operatorVersion === env.operator.version && unmigrated.keys === 0;
  const exact = base.digest !== undefined && same;
  const digest = base.digest === undefined ? new Digest() : Digest.parse(base.digest);
  const whole = { keys, size: base.stateBytes, digest, exact, unmigrated };
  machine.state.begin(share === undefined ? whole : partOfTotals(whole, share.partitions));
  machine.foreign = base.operatorVersion !== env.operator.version;
  return { machine, loader: new Loader(machine.state, stored, env.clock), files };
}

/** Returns the estimated totals of a share. A state that counts no key would pass for one that is whole in memory. */
const partOfTotals = ({ keys, size, unmigrated }: Totals, partitions: number): Totals => ({
  keys: Math.ceil(keys / partitions),
  size: Math.ceil(size / partitions),
  digest: new Digest(),
  exact: false,
  unmigrated,
});

async function fromOrigin({ env, at }: Origin, open: OpenOrigin): Promise<Based> {
  const past = await open();
  if (past.tag === "gone") throw givenUp(env, at);
  return { machine: past.machine, loader: past.loader, files: past.files };
}

/** Asks D1 for the last event at or before the start of a line. */
export const toldStart = ({ env, at }: Origin): Promise<LogStart | null> =>
  persistent(env.clock, "D1", () => env.log.lastAt(at));

/**
 * Returns where the log of a line begins: its seqs continue the other line's (ORIGIN1). If D1 doesn't tell, opens the
 * state that the line starts from, and applies nothing.
 */
export async function startOfLog(
  origin: Origin,
  asked: Promise<LogStart | null> = toldStart(origin),
  open: OpenOrigin = () => openPast(origin.env, origin.at, true, () => () => false),
): Promise<LogStart> {
  const told = await asked;
  if (told !== null) return told;
  const { env, at } = origin;
  const past = await unlessRemoved(open);
  if (past === null) return LOG_BEGIN;
  if (past.tag === "gone") throw givenUp(env, at);
  return { seq: past.seq, stamp: past.stamp };
}

const givenUp = ({ id }: LogEnvironment, at: Stamp): Failure =>
  new Failure("moment_gone", `line ${id.line} has given up stamp ${at}, which another line starts from`);
