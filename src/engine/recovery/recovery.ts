/**
 * Recovery: from a partition's row and tail in D1, and a snapshot in R2, to the state machine at the end of its log.
 *
 * RECOVERY1. Bases are tried in a fixed order: current, the manifests that it builds on, previous, pinned, restore
 *     points, nothing at all. The first base that is intact and has an unbroken log above it wins (SNAP4). Recovery
 *     never starts empty by mistake: "nothing at all" needs the log from its beginning. A line that starts from another
 *     one begins with the other one's state (ORIGIN1).
 * RECOVERY2. A gap or an unreadable object counts as damage only if the epoch is still ours (LOG4). Otherwise the
 *     recovery is fenced.
 * RECOVERY3. The log above a base is read from the archive if D1 has cut it, else from D1, page by page.
 * RECOVERY4. A state of a newer operator version is passed over for the pinned snapshot of the older version (CODE3). A
 *     manifest or snapshot of a format that this code doesn't know is passed over too. Neither is damage, and either
 *     way the next snapshot is due at once. A log of an unknown format can't be passed over, since its events were
 *     acknowledged.
 * RECOVERY5. Seqs rise with manifest versions, and D1 loses only rows that a manifest which was current has archived.
 *     So the rows above a base are in archives of later versions than the base's own, wherever those archives begin.
 * RECOVERY6. After D1 was rebuilt from R2, archives may also hold events that were given up. incarnation.ts says how
 *     far each archive counts.
 */
import { Damage, Failure, isUnreadable, messageOf } from "../base/errors.ts";
import { assertOurs } from "../log/fence.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import type { Epoch } from "../base/ids.ts";
import type { Codec } from "../base/ports.ts";
import type { Opening, PartitionRow } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import { apartBytes, isRates, type Manifest, openingBytes, readManifest, stateFiles } from "../snapshot/manifest.ts";
import { pinTexts, reachedNames, readOrNull } from "../snapshot/rollback-pins.ts";
import type { Environment } from "../operator/environment.ts";
import { fetchManifest } from "./kept-snapshots.ts";
import { OpenPartition, readRiding } from "./open-partition.ts";
import type { OriginAhead } from "./origin-ahead.ts";
import { type Based, load } from "./past-state.ts";
import { withReplay, UNMEASURED } from "./recovery-rates.ts";
import { restoreCounters, logDisowned, replay, type Replayed, notifyWatchers, afterTurn } from "./replay.ts";

/** How a partition is recovered. */
export interface Recovering {
  /** The epoch that was taken, or null if none was. */
  readonly ours: Epoch | null;
  readonly openMs: number;
  /** Leaves ids that stand apart in their files. */
  readonly apart: boolean;
  /** The state that the line starts from, if it was opened ahead. */
  readonly ahead?: OriginAhead | null;
}

/** @throws Failure if no base is usable */
export async function recover(env: Environment, opening: Opening, how: Recovering): Promise<OpenPartition> {
  const flaws: Flaw[] = [];
  try {
    return await fromBest(env, opening, how, flaws);
  } catch (error) {
    // The next opening begins from another row. The flawed files may be of that row's older generation, which nobody
    // would check.
    if (error instanceof Failure && error.code === "fenced")
      for (const { object } of flaws) if (object !== null) env.cache.distrust(object);
    throw error;
  }
}

async function fromBest(env: Environment, opening: Opening, how: Recovering, flaws: Flaw[]): Promise<OpenPartition> {
  const { ours, openMs, apart } = how;
  const begun = env.clock.now();
  for await (const base of bases(env, opening.row)) {
    const damaged = flaws.flatMap(({ object }) => object ?? []);
    const found = await fromBase(env, opening, base, damaged, how);
    if (found.tag === "flaw") {
      flaws.push(found.flaw);
      if (found.flaw.final) break;
      continue;
    }
    // Distrust files only now. If no base is usable, each attempt reads all of them again, since the next read may
    // succeed.
    for (const object of damaged) env.cache.distrust(object);
    const report = {
      at: new Date(begun).toISOString(),
      ms: env.clock.now() - begun,
      manifest: base.manifest?.number ?? null,
      replayedEvents: found.machine.seq - found.from,
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
    const { machine, loader, files, tailBytes } = found;
    logDisowned(env, machine);
    // An opening that took no snapshot wrote its rates into the last segment.
    const told = readRiding(found.last?.stats ?? null).rates;
    const rates = withReplay(isRates(told) ? told : (base.manifest?.rates ?? UNMEASURED), found.work, {
      bytes: base.manifest === null ? 0 : openingBytes(base.manifest) + (apart ? 0 : apartBytes(base.manifest)),
      ms: found.loadMs,
    });
    const tailSinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
    // A share of another partition's keys is counted by its first snapshot, and then reads nothing of the other one.
    const isShared = base.manifest === null && env.origin?.env.share !== undefined && machine.seq > 0;
    const renew = flaws.length > 0 || machine.foreign || isShared || olderDoubted(env, opening.row);
    const tail = { events: report.replayedEvents, bytes: tailBytes, sinceMs: tailSinceMs };
    notifyWatchers(env.host.watchers?.() ?? null, machine);
    return new OpenPartition({
      row: opening.row,
      sealed: !opening.open,
      machine,
      loader,
      tail,
      rates,
      whole: base.manifest,
      files,
      report,
      renew,
    });
  }
  return refuse(env, opening.row, ours, flaws);
}

/** The reason why a base isn't usable. */
interface Flaw {
  readonly base: string;
  /** The corrupt file, if known. */
  readonly object: string | null;
  readonly why: string;
  /** Set if the base is intact and this code is too old for it. Null if the base is corrupt. */
  readonly code: "state_newer" | "unknown_format" | null;
  /** The store doesn't answer for this one object, and may do so later. */
  readonly unreachable: boolean;
  /** No other base is usable either: each has the same log above it, and more. */
  readonly final: boolean;
}

const said = (flaw: Flaw): string => `${flaw.base}: ${flaw.why}`;

/** @throws the error itself if it says nothing about the base */
function flawOf(base: Base, error: unknown, part: "snapshot" | "log"): Flaw {
  const name = error instanceof Failure ? error.code : null;
  const code = name === "state_newer" || name === "unknown_format" ? name : null;
  if (code === null && !isUnreadable(error)) throw error;
  const { object, unreachable } = error instanceof Damage ? error : { object: null, unreachable: false };
  return { base: base.what, object, why: messageOf(error), code, unreachable, final: part === "log" && code !== null };
}

/**
 * Reports damage only if the epoch is still ours: a fenced writer reads files and rows that others have deleted (LOG4).
 */
async function refuse(env: Environment, row: PartitionRow, ours: Epoch | null, flaws: readonly Flaw[]): Promise<never> {
  const now = await persistent(env.clock, "D1", () => env.log.row());
  assertOurs(ours ?? row.epoch, now, " while it recovered");
  if (now.version !== row.version) throw new Failure("fenced", `manifest ${now.version} came while it recovered`);
  // Data that other code could read isn't lost. Report it first, since the error says what to do.
  const newer = flaws.find((flaw) => flaw.code !== null)?.code;
  // An object that the store may return later must not lead anybody to give up its content.
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

/**
 * Yields the bases of a recovery, best first (RECOVERY1, RECOVERY4). Each is read only if those before it were not
 * usable.
 */
async function* bases(env: Environment, row: PartitionRow): AsyncGenerator<Base> {
  const { operator, codec } = env;
  if (row.manifest !== null) {
    const current = readBase("current", row.manifest, codec);
    yield current;
    if (current.tag === "base") yield* earlier(env, row, current.manifest!);
  }
  if (row.previous !== null) yield readBase("previous", row.previous, codec);
  const pins = pinTexts(row.pins).map((text) => readBase("pinned", text, codec));
  const usable = pins.filter((pin) => pin.manifest !== null && pin.manifest.operatorVersion <= operator.version);
  yield* usable.sort((a, b) => b.manifest!.number - a.manifest!.number);
  // Before its first snapshot a partition has nothing but its log, so don't ask D1 again.
  if (row.manifest === null) yield WHOLE_LOG;
  else yield* lastResorts(env);
}

const WHOLE_LOG: Base = { tag: "base", what: "the whole log", manifest: null };

/** Restore points that are tried. A generation has at most nine, so these are several generations. */
const POINTS_TRIED = 20;

/**
 * Yields the restore points that the archive reaches down to. Then yields the whole log, unless retention gave up its
 * beginning (TIME3).
 */
async function* lastResorts(env: Environment): AsyncGenerator<Base> {
  const { clock, log } = env;
  const roots = await persistent(clock, "D1", () => log.roots());
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

/**
 * Yields the manifests that a delta builds on. These manifests lack the newest files of the delta's chain, and are
 * nearer than the older generation. A manifest with other files is passed over: these files may be deleted, and only be
 * in the cache.
 */
async function* earlier(env: Environment, row: PartitionRow, manifest: Manifest): AsyncGenerator<Base> {
  const { history = [], parts = 1 } = manifest;
  const deltas = stateFiles(manifest).length - parts;
  const reached = new Set(reachedNames(row, env.codec));
  for (const [version, attempt] of history.slice(0, deltas)) {
    const base = await fetchBase(env, version, attempt);
    if (base.manifest === null || stateFiles(base.manifest).every(({ name }) => reached.has(name))) yield base;
  }
}

async function fetchBase(env: Environment, version: number, attempt: string): Promise<Base> {
  const what = `manifest ${version}`;
  try {
    return { tag: "base", what, manifest: await fetchManifest(env, version, attempt) };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { tag: "unreadable", what, error, manifest: null };
  }
}

/**
 * Returns true if a file of the older generation was found corrupt by an instance of older code, which had to fall back
 * to it. A delta would keep that generation as the fallback. A full snapshot replaces it with the current one (SNAP4).
 */
function olderDoubted({ cache, codec }: Environment, { previous }: PartitionRow): boolean {
  const older = previous === null ? null : readOrNull(previous, codec);
  return older !== null && cache.distrusted(stateFiles(older).map(({ name }) => name)).length > 0;
}

interface Found extends Based, Replayed {
  readonly tag: "found";
  /** The seq that the base holds. */
  readonly from: number;
  readonly loadMs: number;
}

async function fromBase(
  env: Environment,
  opening: Opening,
  base: Base,
  damaged: readonly string[],
  { apart, ahead }: Recovering,
): Promise<Found | { readonly tag: "flaw"; readonly flaw: Flaw }> {
  const begun = env.clock.now();
  let folding: Based;
  try {
    if (base.tag === "unreadable") throw base.error;
    // The cached part of such a file might be enough to open this base.
    const shared =
      base.manifest === null ? undefined : stateFiles(base.manifest).find(({ name }) => damaged.includes(name));
    if (shared !== undefined) throw new Damage(`${shared.name} is corrupt`);
    folding = await load(env, opening.row, base.manifest, apart, null, () => ahead?.take() ?? null);
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "snapshot") };
  }
  // Ids that are loaded are work for the processor, which the clock shows only in the next turn.
  const loadMs = (apart ? env.clock.now() : await afterTurn(env.clock)) - begun;
  const from = folding.machine.seq;
  try {
    const replayed = await replay(env, opening, base.manifest, folding);
    return { tag: "found", ...folding, ...replayed, from, loadMs };
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "log") };
  }
}
