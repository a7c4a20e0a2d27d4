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
import { readArchive, readManifestObject } from "./archive.ts";
import { Damage, Failure, isUnreadable, messageOf } from "./errors.ts";
import { Fold } from "./fold.ts";
import { belowManifest, manifestName, manifestPrefix, seq, type Epoch, type PartitionId, type Seq } from "./ids.ts";
import { archiveLimits } from "./lives.ts";
import { readManifest, stateFileBytes, stateFiles, type Manifest } from "./manifest.ts";
import { pinTexts } from "./pins.ts";
import type { Operator } from "./operator.ts";
import type { Clock, Codec, Host, Log, ObjectStore, Opening, Page, PartitionRow } from "./ports.ts";
import { measured, UNMEASURED, type Rates } from "./rates.ts";
import { OPEN_ATTEMPTS } from "./limits.ts";
import { readSegment } from "./segment.ts";
import { stampMs } from "./stamp.ts";
import { fetchObject, listNames, type Shelf } from "./shelf.ts";
import { readSnapshot } from "./snapshot.ts";
import { readFooter } from "./snapshot-footer.ts";
import { persistent, sleep } from "./store-call.ts";

export interface Surroundings {
  readonly id: PartitionId;
  readonly operator: Operator;
  readonly log: Log;
  readonly objects: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly host: Host;
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
}

export interface Recovered {
  readonly fold: Fold;
  /** The generation it started from: the one that counts as whole (SNAP4). */
  readonly base: Manifest | null;
  readonly report: RecoveryReport;
  /** Bytes and events of the log above the base. */
  readonly tailBytes: number;
  readonly tailEvents: number;
  /** When the first event above the current snapshot was logged, milliseconds; null: there is none. */
  readonly tailSinceMs: number | null;
  readonly rates: Rates;
  /** The next snapshot should come at once: a base didn't do, or other code wrote what was read (CODE4). */
  readonly renew: boolean;
}

export async function recover(around: Surroundings, opening: Opening, ours: Epoch | null): Promise<Recovered> {
  const begun = around.clock.now();
  const flaws: Flaw[] = [];
  for await (const base of bases(around, opening.row)) {
    const found = await fromBase(around, opening, base);
    if (found.tag === "flaw") {
      flaws.push(found.flaw);
      if (found.flaw.final) break;
      continue;
    }
    const report = {
      at: new Date(begun).toISOString(),
      ms: around.clock.now() - begun,
      manifest: base.manifest?.version ?? null,
      replayedEvents: found.fold.seq - (base.manifest?.seq ?? 0),
      fallbacks: flaws.filter(({ code }) => code === null).length,
    };
    if (flaws.length > 0)
      around.host.note("recovered by fallback", {
        partition: around.id.partition,
        operator: around.id.operator,
        flaws: flaws.map(said).join("; "),
      });
    const { fold, tailBytes, foreign } = found;
    const rates = measured(
      base.manifest?.rates ?? UNMEASURED,
      { events: report.replayedEvents, ms: found.replayMs },
      { bytes: base.manifest === null ? 0 : stateFileBytes(base.manifest), ms: found.loadMs },
    );
    const tailSinceMs = opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
    const renew = flaws.length > 0 || foreign;
    return {
      fold,
      tailBytes,
      rates,
      base: base.manifest,
      report,
      tailSinceMs,
      tailEvents: report.replayedEvents,
      renew,
    };
  }
  return refuse(around, opening.row, ours, flaws);
}

/** Why a base doesn't do. */
interface Flaw {
  readonly base: string;
  readonly why: string;
  /** Nothing is damaged, the code is too old for it; null: it is damaged. */
  readonly code: "state_newer" | "unknown_format" | null;
  /** No other base can do either: each has the same log above it, and more. */
  readonly final: boolean;
}

const said = (flaw: Flaw): string => `${flaw.base}: ${flaw.why}`;

/** @throws the error itself where it says nothing about the base */
function flawOf(base: Base, error: unknown, part: "snapshot" | "log"): Flaw {
  const name = error instanceof Failure ? error.code : null;
  const code = name === "state_newer" || name === "unknown_format" ? name : null;
  if (code === null && !isUnreadable(error)) throw error;
  return { base: base.what, why: messageOf(error), code, final: part === "log" && code !== null };
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
  const code = flaws.find((flaw) => flaw.code !== null)?.code ?? "snapshot_unreadable";
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
  yield* usable.sort((a, b) => b.manifest!.version - a.manifest!.version);
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
async function* earlier(around: Surroundings, { chain = [], history = [] }: Manifest): AsyncGenerator<Base> {
  for (const [version, attempt] of history.slice(0, chain.length)) yield fetchBase(around, version, attempt);
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
 * Brings a fold that was read without an epoch up to an opening of the same manifest.
 * @returns bytes and events replayed, or null where they don't fit together and a recovery is needed
 */
export async function catchUp(
  around: Surroundings,
  opening: Opening,
  fold: Fold,
): Promise<{ readonly bytes: number; readonly events: number } | null> {
  const from = fold.seq;
  let bytes = 0;
  for (let page: Page = opening; ; page = await nextPage(around, opening.row, page.rows.at(-1)!.last)) {
    for (const row of page.rows) {
      if (row.last <= fold.seq) continue;
      if (row.seq !== fold.seq + 1) return null;
      fold.replay({ row, events: readSegment(row, around.codec) });
      bytes += row.bytes;
    }
    if (!page.more) return { bytes, events: fold.seq - from };
  }
}

interface Found {
  readonly tag: "found";
  readonly fold: Fold;
  readonly tailBytes: number;
  readonly loadMs: number;
  readonly replayMs: number;
  /** A segment of another operator version was replayed, or the base was of one. */
  readonly foreign: boolean;
}

async function fromBase(
  around: Surroundings,
  opening: Opening,
  base: Base,
): Promise<Found | { readonly tag: "flaw"; readonly flaw: Flaw }> {
  const begun = around.clock.now();
  let fold: Fold;
  try {
    if (base.tag === "unreadable") throw base.error;
    fold = await load(around, opening.row.seed, base.manifest);
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "snapshot") };
  }
  const loadMs = (await ticked(around.clock)) - begun;
  try {
    return { ...(await replay(around, opening, base.manifest, fold)), loadMs };
  } catch (error) {
    return { tag: "flaw", flaw: flawOf(base, error, "log") };
  }
}

/** The state that a snapshot holds. */
export async function load(
  around: Shelf & Pick<Surroundings, "operator">,
  seed: number,
  base: Manifest | null,
): Promise<Fold> {
  const fold = new Fold(around.operator, seed);
  if (base === null) return fold;
  const files = await Promise.all(stateFiles(base).map(({ name }) => fetchObject(around, name)));
  const idsFrom = readFooter(files.at(-1)!, around.codec).dedup.first;
  for (const file of files) readSnapshot(file, fold, around.id, around.codec, idsFrom);
  if (fold.seq !== base.seq)
    throw new Damage(`the snapshot ${base.snapshot.name} is at seq ${fold.seq}, its manifest says ${base.seq}`);
  return fold;
}

/** Brings the state of a base up to the end of the log, or to `to`, which ends a segment. */
export async function replay(
  around: Surroundings,
  opening: Opening,
  base: Manifest | null,
  fold: Fold,
  to: number = Number.POSITIVE_INFINITY,
): Promise<Omit<Found, "loadMs">> {
  const { operator, codec, clock } = around;
  let foreign = base !== null && base.operatorVersion !== operator.version;
  const begun = clock.now();
  let tailBytes = 0;
  for await (const page of tail(around, opening, base, fold)) {
    for (const row of page.rows) {
      if (row.seq > to) break;
      fold.replay({ row, events: readSegment(row, codec) });
      tailBytes += row.bytes;
      foreign ||= row.operatorVersion !== operator.version;
    }
    if (fold.seq >= to) break;
  }
  return { tag: "found", fold, tailBytes, replayMs: (await ticked(clock)) - begun, foreign };
}

/** The time after a turn: on the platform a clock stands still while nothing but computing goes on. */
async function ticked(clock: Clock): Promise<number> {
  await sleep(clock, 0);
  return clock.now();
}

/** The pages of D1's log above the fold, after replaying from the archive what D1 has cut (R3). */
async function* tail(around: Surroundings, opening: Opening, base: Manifest | null, fold: Fold): AsyncGenerator<Page> {
  // The opening's page begins above the current snapshot; a fall-back starts further down and reads its own.
  let page: Page = opening.row.snapshotSeq === fold.seq ? opening : await nextPage(around, opening.row, fold.seq);
  const first = page.rows[0]?.seq ?? seq(opening.row.snapshotSeq + 1);
  if (first > fold.seq + 1) {
    await replayArchive(around, opening.row, fold, base, seq(first - 1));
    page = await nextPage(around, opening.row, fold.seq);
  }
  for (;;) {
    yield page;
    if (!page.more) return;
    page = await nextPage(around, opening.row, page.rows.at(-1)!.last);
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
  fold: Fold,
  base: Manifest | null,
  to: Seq,
): Promise<void> {
  const { id } = around;
  let flaw: Damage | Failure | null = null;
  const from = base === null ? "" : belowManifest(id, base.version);
  const limitOf = await archiveLimits(around, row.epoch, from);
  for (let after = from; ;) {
    const { names, more } = await listNames(around, manifestPrefix(id), after);
    for (const name of names) {
      if (fold.seq >= to) return;
      if (name === base?.archive.name) continue;
      try {
        replayObject(await fetchObject(around, name), around.codec, fold, Math.min(to, limitOf(name)));
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

function replayObject(file: Uint8Array, codec: Codec, fold: Fold, to: number): void {
  if (fold.seq >= to || readManifestObject(file, codec).manifest.archive.to <= fold.seq) return;
  for (const segment of readArchive(file, codec, fold.seq)) {
    if (segment.row.last > to) return;
    if (segment.row.seq === fold.seq + 1) fold.replay(segment);
  }
}
