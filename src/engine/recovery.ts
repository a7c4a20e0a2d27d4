/**
 * Recovery: from a partition's row and tail in D1, and a snapshot in R2, to the fold of its log.
 *
 * R1. Bases are tried in a fixed order (current, those that it builds on, previous, pinned, restore points, nothing at all); whichever is whole and has an unbroken
 *     log above it wins (SNAP4). It is never an empty state by mistake: "nothing at all" needs the log from seq 1.
 * R2. A hole or an unreadable object counts as damage only if the epoch is still ours (LOG4); otherwise we are fenced.
 * R3. The log above a base is read from the archive where D1 has cut it, else from D1, page by page.
 * R4. A state of a newer operator version is passed over for the pinned snapshot of the older one (CODE3), and so is a
 *     manifest or snapshot of a format that this code doesn't know. Neither is damage, and either way the next snapshot
 *     comes at once. A log of an unknown format can't be passed over: what is in it was acknowledged.
 * R5. Seqs rise with manifest versions, and D1 loses only rows that a manifest which was current has archived: so the rows
 *     above a base stand in archives of later versions than its own, wherever those begin.
 * R6. After D1 was rebuilt from R2, archives may also hold events that were given up: lives.ts says how far each counts.
 */
import { readManifestObject } from "./archive.ts";
import { Digest } from "./digest.ts";
import { Damage, Failure, isUnreadable, messageOf } from "./errors.ts";
import { Fold } from "./fold.ts";
import { manifestName, type Epoch, type PartitionId } from "./ids.ts";
import { Loader } from "./loader.ts";
import { apartBytes, openingBytes, readManifest, stateFiles, type Manifest } from "./manifest.ts";
import type { Metered } from "./metering.ts";
import { pinTexts, readOrNull } from "./pins.ts";
import type { Library } from "./object-ranges.ts";
import { readRiding, type Open } from "./open.ts";
import type { Operator } from "./operator.ts";
import type { Cache, Clock, Codec, Host, Log, ObjectStore, Opening, PartitionRow } from "./ports.ts";
import { isRates, measured, UNMEASURED } from "./rates.ts";
import { OPEN_ATTEMPTS, type Sizes } from "./limits.ts";
import { goOn, noteDisowned, replay, ticked, type Folding, type Replayed } from "./replay.ts";
import { stampMs } from "./stamp.ts";
import { fetchObject, type Shelf } from "./shelf.ts";
import { persistent } from "./store-call.ts";
import { StoredState } from "./stored-state.ts";
import { tellReplayed } from "./watchers.ts";

export interface Surroundings {
  readonly id: PartitionId;
  readonly operator: Operator;
  /** The code that runs here (CODE4); left out where nothing is set aside by what is read. */
  readonly code?: string;
  readonly log: Log;
  readonly objects: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly host: Host;
  readonly cache: Cache;
  readonly sizes: Sizes;
}

/** What a recovery did; kept for looking. */
export interface RecoveryReport {
  readonly at: string;
  readonly ms: number;
  /** Version of the manifest it started from; null: from nothing. */
  readonly manifest: number | null;
  readonly replayedEvents: number;
  /** Bases that were damaged. */
  readonly fallbacks: number;
  /** What came before: D1, and R2 where it had to be asked; what the base took, and the log above it. Missing where older code recovered. */
  readonly phases?: { readonly openMs: number; readonly loadMs: number; readonly replayMs: number };
}

/**
 * `ours`: the epoch that was taken; null: none. `apart`: ids that stand apart are left in their files.
 *
 * @throws Failure where no base does
 */
export async function recover(
  around: Metered,
  opening: Opening,
  ours: Epoch | null,
  openMs: number,
  apart: boolean,
): Promise<Open> {
  const flaws: Flaw[] = [];
  try {
    return await fromBest(around, opening, ours, openMs, apart, flaws);
  } catch (error) {
    // Whoever opens next has another row to begin from, where these may be of the older generation, which nobody would look at.
    if (error instanceof Failure && error.code === "fenced")
      for (const { object } of flaws) if (object !== null) around.cache.distrust(object);
    throw error;
  }
}

async function fromBest(
  around: Metered,
  opening: Opening,
  ours: Epoch | null,
  openMs: number,
  apart: boolean,
  flaws: Flaw[],
): Promise<Open> {
  const begun = around.clock.now();
  for await (const base of bases(around, opening.row)) {
    const damaged = flaws.flatMap(({ object }) => object ?? []);
    const found = await fromBase(around, opening, base, damaged, apart);
    if (found.tag === "flaw") {
      flaws.push(found.flaw);
      if (found.flaw.final) break;
      continue;
    }
    // Only now: where no base does, each attempt looks at all of them again, since what was read may be better the next time.
    for (const object of damaged) around.cache.distrust(object);
    const report = {
      at: new Date(begun).toISOString(),
      ms: around.clock.now() - begun,
      manifest: base.manifest?.number ?? null,
      replayedEvents: found.fold.seq - (base.manifest?.seq ?? 0),
      fallbacks: flaws.filter(({ code }) => code === null).length,
      phases: { openMs, loadMs: found.loadMs, replayMs: found.replayMs },
    };
    goOn(around, opening.row, found.last);
    const { replayedEvents, fallbacks, phases } = report;
    around.counters.add({ recoveries: 1, ...phases, replayedEvents, fallbacks });
    if (flaws.length > 0)
      around.host.note("recovered by fallback", {
        partition: around.id.partition,
        operator: around.id.operator,
        flaws: flaws.map(said).join("; "),
      });
    const { fold, loader, tailBytes, foreign } = found;
    noteDisowned(around, fold);
    // An opening that took no snapshot told the last segment what it measured.
    const told = readRiding(found.last?.stats ?? null).rates;
    const rates = measured(isRates(told) ? told : (base.manifest?.rates ?? UNMEASURED), found.work, {
      bytes: base.manifest === null ? 0 : openingBytes(base.manifest) + (apart ? 0 : apartBytes(base.manifest)),
      ms: found.loadMs,
    });
    const tailSinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
    const renew = flaws.length > 0 || foreign || olderDoubted(around, opening.row);
    const tail = { events: report.replayedEvents, bytes: tailBytes, sinceMs: tailSinceMs };
    tellReplayed(around.host.watchers?.() ?? null, fold);
    return { row: opening.row, epoch: ours, fold, loader, tail, rates, whole: base.manifest, report, renew };
  }
  return refuse(around, opening.row, ours, flaws);
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
  around: Surroundings,
  row: PartitionRow,
  ours: Epoch | null,
  flaws: readonly Flaw[],
): Promise<never> {
  const now = await persistent(around.clock, around.host, "D1", OPEN_ATTEMPTS, () => around.log.row());
  const expected = ours ?? row.epoch;
  if (now === null || now.epoch !== expected || now.version !== row.version)
    throw new Failure("fenced", `epoch ${expected} was superseded while it recovered`);
  // What other code could read is not lost: that comes first, since it says what to do.
  const newer = flaws.find((flaw) => flaw.code !== null)?.code;
  // An object that the store may give later must not lead anybody to give up what it holds.
  const code = newer ?? (flaws.some(({ unreachable }) => unreachable) ? "store_unavailable" : "snapshot_unreadable");
  throw new Failure(
    code,
    `partition ${around.id.partition} of "${around.id.operator}" can't be recovered: ${flaws.map(said).join("; ")}`,
  );
}

type Base = { readonly what: string } & (
  | { readonly tag: "base"; readonly manifest: Manifest | null }
  | { readonly tag: "unreadable"; readonly error: unknown; readonly manifest: null }
);

/** Where recovery may start, best first (R1, R4). Each is asked for only when those before it didn't do. */
async function* bases(around: Surroundings, row: PartitionRow): AsyncGenerator<Base> {
  const { operator, codec } = around;
  if (row.manifest !== null) {
    const current = readBase("current", row.manifest, codec);
    yield current;
    if (current.tag === "base") yield* earlier(around, current.manifest!);
  }
  if (row.previous !== null) yield readBase("previous", row.previous, codec);
  const pins = pinTexts(row.pins).map((text) => readBase("pinned", text, codec));
  const usable = pins.filter((pin) => pin.manifest !== null && pin.manifest.operatorVersion <= operator.version);
  yield* usable.sort((a, b) => b.manifest!.number - a.manifest!.number);
  // Before its first snapshot a partition has nothing but its log, and needs no further look at D1.
  if (row.manifest === null) yield WHOLE_LOG;
  else yield* lastResorts(around);
}

const WHOLE_LOG: Base = { tag: "base", what: "the whole log", manifest: null };

/** Restore points that are tried: a generation has nine at most, so these are several. */
const POINTS_TRIED = 20;

/** Restore points that the archive reaches down to; and nothing at all, unless retention gave up the beginning of the log (TIME3). */
async function* lastResorts(around: Surroundings): AsyncGenerator<Base> {
  const { clock, host, log } = around;
  const roots = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.roots());
  const { points = [], archiveFrom = 0 } = roots ?? {};
  const reached = points.filter(({ version }) => version >= archiveFrom).slice(-POINTS_TRIED);
  for (const { version, attempt } of reached.toReversed()) yield fetchBase(around, version, attempt);
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
export async function fetchManifest(around: Shelf, version: number, attempt: string): Promise<Manifest> {
  const file = await fetchObject(around, manifestName(around.id, version, attempt));
  return readManifestObject(file, around.codec).manifest;
}

/** The manifests that a delta builds on: without the newest files of its chain, and nearer than the older generation. */
async function* earlier(around: Surroundings, manifest: Manifest): AsyncGenerator<Base> {
  const { history = [], parts = 1 } = manifest;
  const deltas = stateFiles(manifest).length - parts;
  for (const [version, attempt] of history.slice(0, deltas)) yield fetchBase(around, version, attempt);
}

async function fetchBase(around: Surroundings, version: number, attempt: string): Promise<Base> {
  const what = `manifest ${version}`;
  try {
    return { tag: "base", what, manifest: await fetchManifest(around, version, attempt) };
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

interface Found extends Folding, Replayed {
  readonly tag: "found";
  readonly loadMs: number;
}

async function fromBase(
  around: Surroundings,
  opening: Opening,
  base: Base,
  damaged: readonly string[],
  apart: boolean,
): Promise<Found | { readonly tag: "flaw"; readonly flaw: Flaw }> {
  const begun = around.clock.now();
  let folding: Folding;
  try {
    if (base.tag === "unreadable") throw base.error;
    // What the cache has of such a file might do to open this one.
    const shared =
      base.manifest === null ? undefined : stateFiles(base.manifest).find(({ name }) => damaged.includes(name));
    if (shared !== undefined) throw new Damage(`${shared.name} is damaged`);
    folding = await load(around, opening.row.seed, base.manifest, apart);
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "snapshot") };
  }
  // What isn't apart is work for the processor, which shows in the next turn.
  const loadMs = (apart ? around.clock.now() : await ticked(around.clock)) - begun;
  try {
    return { tag: "found", ...folding, ...(await replay(around, opening, base.manifest, folding)), loadMs };
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "log") };
  }
}

/** What a snapshot holds: all but the states, which are read when they are asked for; `apart`: and ids that stand apart. */
export async function load(
  around: Library & Pick<Surroundings, "operator" | "code">,
  seed: number,
  base: Manifest | null,
  apart: boolean,
): Promise<Folding> {
  const fold = new Fold(around.operator, seed, around.code);
  if (base === null) return { fold, loader: new Loader(fold.state, null, around.clock) };
  const doubted = around.cache.distrusted(stateFiles(base).map(({ name }) => name));
  if (doubted.length > 0) throw new Damage(`${doubted.join(", ")} was found to be damaged before`);
  const stored = await StoredState.open(around, base, fold, apart);
  const { keys } = stored.files.at(-1)!.footer;
  if (keys !== base.keys) throw new Damage(`the snapshot says ${keys} keys, its manifest ${base.keys}`);
  const { unmigrated = { keys: 0, some: [] } } = base;
  // States of another version are counted as they stand in the files, until all of them were migrated once.
  const same = base.operatorVersion === around.operator.version && unmigrated.keys === 0;
  const exact = base.digest !== undefined && same;
  const digest = base.digest === undefined ? new Digest() : Digest.parse(base.digest);
  fold.state.begin({ keys, size: base.stateBytes, digest, exact, unmigrated });
  return { fold, loader: new Loader(fold.state, stored, around.clock) };
}
