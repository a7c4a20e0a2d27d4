/**
 * Recovery: from a partition's row and tail in D1, and a snapshot in R2, to the fold of its log.
 *
 * RECOVERY1. Bases are tried in a fixed order (current, those that it builds on, previous, pinned, restore points, nothing at all); whichever is whole and has an unbroken
 *     log above it wins (SNAP4). It is never an empty state by mistake: "nothing at all" needs the log from seq 1.
 * RECOVERY2. A hole or an unreadable object counts as damage only if the epoch is still ours (LOG4); otherwise we are fenced.
 * RECOVERY3. The log above a base is read from the archive where D1 has cut it, else from D1, page by page.
 * RECOVERY4. A state of a newer operator version is passed over for the pinned snapshot of the older one (CODE3), and so is a
 *     manifest or snapshot of a format that this code doesn't know. Neither is damage, and either way the next snapshot
 *     comes at once. A log of an unknown format can't be passed over: what is in it was acknowledged.
 * RECOVERY5. Seqs rise with manifest versions, and D1 loses only rows that a manifest which was current has archived: so the rows
 *     above a base stand in archives of later versions than its own, wherever those begin.
 * RECOVERY6. After D1 was rebuilt from R2, archives may also hold events that were given up: incarnation.ts says how far each counts.
 */
import { Digest } from "../base/digest.ts";
import { Damage, Failure, isUnreadable, messageOf } from "../base/errors.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import { type Epoch, manifestName } from "../base/ids.ts";
import { OPEN_ATTEMPTS } from "../base/limits.ts";
import type { Codec } from "../base/ports.ts";
import type { Opening, PartitionRow } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import { Loader } from "../snapshot/key-loader.ts";
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { apartBytes, isRates, type Manifest, openingBytes, readManifest, stateFiles } from "../snapshot/manifest.ts";
import { fetchObject, type Library, type Shelf } from "../snapshot/object-reader.ts";
import { pinTexts, readOrNull } from "../snapshot/rollback-pins.ts";
import { StoredState } from "../snapshot/stored-state.ts";
import { StateMachine } from "../state/state-machine.ts";
import type { Environment, Surroundings } from "./environment.ts";
import { OpenPartition, readRiding } from "./open-partition.ts";
import { withReplay, UNMEASURED } from "./recovery-rates.ts";
import {
  type Replaying,
  restoreCounters,
  logDisowned,
  replay,
  type Replayed,
  notifyWatchers,
  afterTurn,
} from "./replay.ts";

/**
 * `ours`: the epoch that was taken; null: none. `apart`: ids that stand apart are left in their files.
 *
 * @throws Failure where no base does
 */
export async function recover(
  env: Environment,
  opening: Opening,
  ours: Epoch | null,
  openMs: number,
  apart: boolean,
): Promise<OpenPartition> {
  const flaws: Flaw[] = [];
  try {
    return await fromBest(env, opening, ours, openMs, apart, flaws);
  } catch (error) {
    // Whoever opens next has another row to begin from, where these may be of the older generation, which nobody would look at.
    if (error instanceof Failure && error.code === "fenced")
      for (const { object } of flaws) if (object !== null) env.cache.distrust(object);
    throw error;
  }
}

async function fromBest(
  env: Environment,
  opening: Opening,
  ours: Epoch | null,
  openMs: number,
  apart: boolean,
  flaws: Flaw[],
): Promise<OpenPartition> {
  const begun = env.clock.now();
  for await (const base of bases(env, opening.row)) {
    const damaged = flaws.flatMap(({ object }) => object ?? []);
    const found = await fromBase(env, opening, base, damaged, apart);
    if (found.tag === "flaw") {
      flaws.push(found.flaw);
      if (found.flaw.final) break;
      continue;
    }
    // Only now: where no base does, each attempt looks at all of them again, since what was read may be better the next time.
    for (const object of damaged) env.cache.distrust(object);
    const report = {
      at: new Date(begun).toISOString(),
      ms: env.clock.now() - begun,
      manifest: base.manifest?.number ?? null,
      replayedEvents: found.machine.seq - (base.manifest?.seq ?? 0),
      fallbacks: flaws.filter(({ code }) => code === null).length,
      phases: { openMs, loadMs: found.loadMs, replayMs: found.replayMs },
    };
    restoreCounters(env, opening.row, found.last);
    const { replayedEvents, fallbacks, phases } = report;
    env.counters.add({ recoveries: 1, ...phases, replayedEvents, fallbacks });
    if (flaws.length > 0)
      env.host.note("recovered by fallback", {
        partition: env.id.partition,
        operator: env.id.operator,
        flaws: flaws.map(said).join("; "),
      });
    const { machine, loader, tailBytes, foreign } = found;
    logDisowned(env, machine);
    // An opening that took no snapshot told the last segment what it measured.
    const told = readRiding(found.last?.stats ?? null).rates;
    const rates = withReplay(isRates(told) ? told : (base.manifest?.rates ?? UNMEASURED), found.work, {
      bytes: base.manifest === null ? 0 : openingBytes(base.manifest) + (apart ? 0 : apartBytes(base.manifest)),
      ms: found.loadMs,
    });
    const tailSinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
    const renew = flaws.length > 0 || foreign || olderDoubted(env, opening.row);
    const tail = { events: report.replayedEvents, bytes: tailBytes, sinceMs: tailSinceMs };
    notifyWatchers(env.host.watchers?.() ?? null, machine);
    return new OpenPartition({ row: opening.row, machine, loader, tail, rates, whole: base.manifest, report, renew });
  }
  return refuse(env, opening.row, ours, flaws);
}

/** Why a base doesn't do. */
interface Flaw {
  readonly base: string;
  /** The file that is damaged, where that is known. */
  readonly object: string | null;
  readonly why: string;
  /** Nothing is damaged, the code is too old for it; null: it is damaged. */
  readonly code: "state_newer" | "unknown_format" | null;
  /** The store doesn't answer for this one object, and may do so later. */
  readonly unreachable: boolean;
  /** No other base can do either: each has the same log above it, and more. */
  readonly final: boolean;
}

const said = (flaw: Flaw): string => `${flaw.base}: ${flaw.why}`;

/** @throws the error itself where it says nothing about the base */
function flawOf(base: Base, error: unknown, part: "snapshot" | "log"): Flaw {
  const name = error instanceof Failure ? error.code : null;
  const code = name === "state_newer" || name === "unknown_format" ? name : null;
  if (code === null && !isUnreadable(error)) throw error;
  const { object, unreachable } = error instanceof Damage ? error : { object: null, unreachable: false };
  return { base: base.what, object, why: messageOf(error), code, unreachable, final: part === "log" && code !== null };
}

/** Damage only if the epoch is still ours: a zombie reads what others have cut and deleted (LOG4). */
async function refuse(
  env: Surroundings,
  row: PartitionRow,
  ours: Epoch | null,
  flaws: readonly Flaw[],
): Promise<never> {
  const now = await persistent(env.clock, env.host, "D1", OPEN_ATTEMPTS, () => env.log.row());
  const expected = ours ?? row.epoch;
  if (now === null || now.epoch !== expected || now.version !== row.version)
    throw new Failure("fenced", `epoch ${expected} was superseded while it recovered`);
  // What other code could read is not lost: that comes first, since it says what to do.
  const newer = flaws.find((flaw) => flaw.code !== null)?.code;
  // An object that the store may give later must not lead anybody to give up what it holds.
  const code = newer ?? (flaws.some(({ unreachable }) => unreachable) ? "store_unavailable" : "snapshot_unreadable");
  throw new Failure(
    code,
    `partition ${env.id.partition} of "${env.id.operator}" can't be recovered: ${flaws.map(said).join("; ")}`,
  );
}

type Base = { readonly what: string } & (
  | { readonly tag: "base"; readonly manifest: Manifest | null }
  | { readonly tag: "unreadable"; readonly error: unknown; readonly manifest: null }
);

/** Where recovery may start, best first (RECOVERY1, RECOVERY4). Each is asked for only when those before it didn't do. */
async function* bases(env: Surroundings, row: PartitionRow): AsyncGenerator<Base> {
  const { operator, codec } = env;
  if (row.manifest !== null) {
    const current = readBase("current", row.manifest, codec);
    yield current;
    if (current.tag === "base") yield* earlier(env, current.manifest!);
  }
  if (row.previous !== null) yield readBase("previous", row.previous, codec);
  const pins = pinTexts(row.pins).map((text) => readBase("pinned", text, codec));
  const usable = pins.filter((pin) => pin.manifest !== null && pin.manifest.operatorVersion <= operator.version);
  yield* usable.sort((a, b) => b.manifest!.number - a.manifest!.number);
  // Before its first snapshot a partition has nothing but its log, and needs no further look at D1.
  if (row.manifest === null) yield WHOLE_LOG;
  else yield* lastResorts(env);
}

const WHOLE_LOG: Base = { tag: "base", what: "the whole log", manifest: null };

/** Restore points that are tried: a generation has nine at most, so these are several. */
const POINTS_TRIED = 20;

/** Restore points that the archive reaches down to; and nothing at all, unless retention gave up the beginning of the log (TIME3). */
async function* lastResorts(env: Surroundings): AsyncGenerator<Base> {
  const { clock, host, log } = env;
  const roots = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.roots());
  const { points = [], archiveFrom = 0 } = roots ?? {};
  const reached = points.filter(({ version }) => version >= archiveFrom).slice(-POINTS_TRIED);
  for (const { version, attempt } of reached.toReversed()) yield fetchBase(env, version, attempt);
  if (archiveFrom <= 1) return yield WHOLE_LOG;
  const error = new Damage(`retention has given up what was logged before manifest ${archiveFrom}`);
  yield { ...WHOLE_LOG, tag: "unreadable", error, manifest: null };
}

function readBase(what: string, text: string, codec: Codec): Base {
  try {
    return { tag: "base", what, manifest: readManifest(text, codec.crc32) };
  } catch (error) {
    return { tag: "unreadable", what, error, manifest: null };
  }
}

/** The manifest of that version, from its object. @throws Damage, Failure unknown_format */
export async function fetchManifest(env: Shelf, version: number, attempt: string): Promise<Manifest> {
  const file = await fetchObject(env, manifestName(env.id, version, attempt));
  return readManifestObject(file, env.codec).manifest;
}

/** The manifests that a delta builds on: without the newest files of its chain, and nearer than the older generation. */
async function* earlier(env: Surroundings, manifest: Manifest): AsyncGenerator<Base> {
  const { history = [], parts = 1 } = manifest;
  const deltas = stateFiles(manifest).length - parts;
  for (const [version, attempt] of history.slice(0, deltas)) yield fetchBase(env, version, attempt);
}

async function fetchBase(env: Surroundings, version: number, attempt: string): Promise<Base> {
  const what = `manifest ${version}`;
  try {
    return { tag: "base", what, manifest: await fetchManifest(env, version, attempt) };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { tag: "unreadable", what, error, manifest: null };
  }
}

/**
 * Whether the older generation has a file that was found to be damaged, by an instance of older code that had to fall back to it. A delta
 * would keep that generation as the one to fall back to; a full snapshot puts the current one in its place (SNAP4).
 */
function olderDoubted({ cache, codec }: Surroundings, { previous }: PartitionRow): boolean {
  const older = previous === null ? null : readOrNull(previous, codec);
  return older !== null && cache.distrusted(stateFiles(older).map(({ name }) => name)).length > 0;
}

interface Found extends Replaying, Replayed {
  readonly tag: "found";
  readonly loadMs: number;
}

async function fromBase(
  env: Surroundings,
  opening: Opening,
  base: Base,
  damaged: readonly string[],
  apart: boolean,
): Promise<Found | { readonly tag: "flaw"; readonly flaw: Flaw }> {
  const begun = env.clock.now();
  let folding: Replaying;
  try {
    if (base.tag === "unreadable") throw base.error;
    // What the cache has of such a file might do to open this one.
    const shared =
      base.manifest === null ? undefined : stateFiles(base.manifest).find(({ name }) => damaged.includes(name));
    if (shared !== undefined) throw new Damage(`${shared.name} is damaged`);
    folding = await load(env, opening.row.seed, base.manifest, apart);
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "snapshot") };
  }
  // What isn't apart is work for the processor, which shows in the next turn.
  const loadMs = (apart ? env.clock.now() : await afterTurn(env.clock)) - begun;
  try {
    return { tag: "found", ...folding, ...(await replay(env, opening, base.manifest, folding)), loadMs };
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "log") };
  }
}

/** What a snapshot holds: all but the states, which are read when they are asked for; `apart`: and ids that stand apart. */
export async function load(
  env: Library & Pick<Surroundings, "operator" | "code">,
  seed: number,
  base: Manifest | null,
  apart: boolean,
): Promise<Replaying> {
  const machine = new StateMachine(env.operator, seed, env.code);
  if (base === null) return { machine, loader: new Loader(machine.state, null, env.clock) };
  const doubted = env.cache.distrusted(stateFiles(base).map(({ name }) => name));
  if (doubted.length > 0) throw new Damage(`${doubted.join(", ")} was found to be damaged before`);
  const stored = await StoredState.open(env, base, machine, apart);
  const { keys } = stored.files.at(-1)!.footer;
  if (keys !== base.keys) throw new Damage(`the snapshot says ${keys} keys, its manifest ${base.keys}`);
  const { unmigrated = { keys: 0, some: [] } } = base;
  // States of another version are counted as they stand in the files, until all of them were migrated once.
  const same = base.operatorVersion === env.operator.version && unmigrated.keys === 0;
  const exact = base.digest !== undefined && same;
  const digest = base.digest === undefined ? new Digest() : Digest.parse(base.digest);
  machine.state.begin({ keys, size: base.stateBytes, digest, exact, unmigrated });
  return { machine, loader: new Loader(machine.state, stored, env.clock) };
}
