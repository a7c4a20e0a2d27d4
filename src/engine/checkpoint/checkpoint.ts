/**
 * Taking a snapshot: from a capture to a manifest that D1 calls current (SNAP1, SNAP2).
 *
 * CHECKPOINT1. The state goes to R2 first, then the archive with the manifest. The archive has bounded pieces, each
 *     with a manifest of its own, the last of which counts. Then one transaction in D1 names the manifest and cuts the
 *     log up to the older generation (LOG5). A crash in between leaves objects that nothing names.
 * CHECKPOINT2. If the outcome of a transaction is unknown, the row settles it: our attempt, another epoch, or neither.
 *     "Neither" proves nothing, so the attempt's objects are left alone. The version in the transaction's guard keeps
 *     it from undoing a later one.
 * CHECKPOINT3. A full snapshot begins a generation. The generation that recovery or the last snapshot found intact
 *     becomes the older one. A delta belongs to the generation of the current manifest, and leaves the older one. So
 *     the two generations share no object (SNAP4).
 * CHECKPOINT4. The log is cut up to the manifest that is replaced: its archive and earlier archives hold these rows.
 *     The rows that the new manifest archives stay in D1 until the next snapshot. If the database is short of room,
 *     these rows are cut at once: their archive was acknowledged too (LOG5).
 */
import { archiveText } from "../log/archive.ts";
import { FileWriter } from "../base/block.ts";
import { Damage, Failure, messageOf } from "../base/errors.ts";
import { assertOurs } from "../log/fence.ts";
import {
  attemptId,
  incarnationOf,
  incarnationOfAttempt,
  manifestName,
  snapshotName,
  seq,
  type Epoch,
  type Seq,
} from "../base/ids.ts";
import { ARCHIVE_CHARS } from "../base/limits.ts";
import {
  historyAfter,
  MANIFEST_FORMAT,
  manifestText,
  pointOf,
  readManifest,
  snapshotCounts,
  stateFiles,
  type Manifest,
} from "../snapshot/manifest.ts";
import type { ArchiveBlock } from "../log/archive.ts";
import type { StateFile } from "../base/records.ts";
import { RangeReader } from "../snapshot/range-reader.ts";
import { nextPins, pinTexts, readOrNull, wholeText } from "../snapshot/rollback-pins.ts";
import type { Codec } from "../base/ports.ts";
import type { PartitionRow, Point } from "../base/records.ts";
import type { Rates } from "../snapshot/manifest.ts";
import type { Segment } from "../base/records.ts";
import { encodeFiles, type Capture, type Counted } from "../snapshot/capture.ts";
import { SnapshotFile } from "../snapshot/file-reader.ts";
import type { Entries } from "../state/keyed-state.ts";
import { StoredState } from "../snapshot/stored-state.ts";
import { limited, persistent, sleep } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

/** The facts that a snapshot builds on. */
interface Ground {
  readonly row: PartitionRow;
  readonly epoch: Epoch;
  /**
   * The manifest that is known to be intact. A delta builds on it. A full snapshot makes its generation the older one.
   */
  readonly whole: Manifest | null;
  readonly placed: Manifest["placed"] & object;
  readonly attempt: number;
  readonly dedupSinceMs: number | null;
  readonly rates: Rates;
  readonly quarantined: number;
  /** The files of `whole`. Null if there are none. */
  readonly stored: StoredState | null;
  /** Cut all rows that are archived, also those that this snapshot archives. */
  readonly pressed: boolean;
  /** Returns true if the instance has ended. Then nothing more may be written. */
  readonly ended: () => boolean;
}

type Checkpointed =
  | ({ readonly tag: "current"; readonly row: PartitionRow } & Omit<Uploaded, "text">)
  /**
   * `row` is the current row, if D1 was asked: an earlier attempt may have taken effect unheard. `damage` is set if a
   * file that the snapshot builds on can't be read.
   */
  | { readonly tag: "failed"; readonly why: string; readonly row?: PartitionRow; readonly damage?: Damage }
  | { readonly tag: "fenced"; readonly why: string };

const DURING = " during a snapshot";

export async function checkpoint(env: Environment, ground: Ground, captured: Capture): Promise<Checkpointed> {
  try {
    const made = await upload(env, ground, captured);
    return await promote(env, ground, made);
  } catch (error) {
    if (error instanceof Failure && error.code === "fenced") return { tag: "fenced", why: error.message };
    return { tag: "failed", why: messageOf(error), ...(error instanceof Damage ? { damage: error } : {}) };
  }
}

interface Uploaded {
  readonly manifest: Manifest;
  readonly text: string;
  readonly archivedBytes: number;
  readonly stored: StoredState;
  readonly counted: Counted;
}

async function upload(env: Environment, ground: Ground, captured: Capture): Promise<Uploaded> {
  const { id, codec, clock } = env;
  const begun = clock.now();
  const attempt = attemptId(ground.epoch, ground.attempt, env.host.nonce());
  const version = ground.row.version + 1;
  const { files, stored, counted } = await uploadState(env, ground, captured, attempt);
  const full = captured.base === 0;
  const chain = full ? files.slice(0, -1) : stateFiles(ground.whole!).slice(0, captured.under);
  const parts = full ? files.length : (ground.whole!.parts ?? 1);
  const from = ground.whole?.seq ?? ground.row.startSeq;
  const described = (archive: Manifest["archive"]): Omit<Manifest, "checksum"> => ({
    format: "keyframe.manifest",
    v: MANIFEST_FORMAT,
    number: version,
    kind: full ? "full" : "delta",
    ...id,
    ...(ground.row.startSeq === 0 ? {} : { startSeq: ground.row.startSeq }),
    placed: ground.placed,
    operatorVersion: captured.operatorVersion,
    code: env.code,
    epoch: ground.epoch,
    attempt,
    seq: captured.seq,
    stamp: captured.stamp,
    at: new Date(begun).toISOString(),
    ms: clock.now() - begun,
    keys: counted.keys,
    stateBytes: counted.size,
    ...(full || captured.totals.exact ? { digest: counted.digest.toString() } : {}),
    ...(counted.unmigrated.keys > 0 ? { unmigrated: counted.unmigrated } : {}),
    dedupSince: ground.dedupSinceMs === null ? null : new Date(ground.dedupSinceMs).toISOString(),
    ...(captured.pendingFrom === null ? {} : { pendingFrom: captured.pendingFrom }),
    rates: ground.rates,
    quarantined: ground.quarantined,
    snapshot: files.at(-1)!,
    ...(parts === 1 ? {} : { parts }),
    ...(chain.length === 0 ? {} : { chain }),
    ...(ground.whole === null ? {} : { history: historyAfter(ground.whole)! }),
    ...resumedFrom(ground),
    archive,
  });
  let [count, earlierBytes, archivedBytes] = [0, 0, 0];
  for await (const piece of collect(env, ground, from, captured.seq)) {
    count += 1;
    archivedBytes += piece.logBytes;
    const { blocks, to, last } = piece;
    const name = manifestName(id, version, attempt, last ? undefined : count);
    const several = count === 1 && last ? {} : { piece: count, earlierBytes };
    const manifest = described({ name, from, to, codec: codec.name, blocks, ...several });
    const counters = env.counters.row(snapshotCounts(manifest));
    if (last) env.minutes.count(counters, clock.now());
    const told = { counters, minutes: env.minutes.since(0), writer: env.counters.holder!.writer };
    const text = manifestText({ ...manifest, ...told }, codec.crc32);
    assertNotEnded(ground);
    await putPiece(env, name, piece.file.bytes(codec.encode(`${text}\n`)));
    if (last) return { manifest: readManifest(text, codec.crc32), text, archivedBytes, stored, counted };
    earlierBytes += piece.file.length;
  }
  throw new Error("an archive ended without its last piece");
}

/** Returns what the first manifest of a later incarnation says of the one before it. */
function resumedFrom({ epoch, row }: Ground): Pick<Manifest, "resumed"> {
  const before = incarnationOfAttempt(row.attempt);
  return incarnationOf(epoch) === (before ?? 0) ? {} : { resumed: before };
}

const putPiece = ({ clock, objects }: Environment, name: string, bytes: Uint8Array): Promise<string> =>
  limited(clock, "R2", () => objects.put(name, bytes), PUT_LIMIT_MS);

/** Writes the captured state to files in R2. `counted` holds the totals of the whole state with them. */
async function uploadState(
  env: Environment,
  ground: Ground,
  captured: Capture,
  attempt: string,
): Promise<{ files: StateFile[]; stored: StoredState; counted: Counted }> {
  const { id, codec, clock, objects, operator, sizes } = env;
  const files: StateFile[] = [];
  const sources: SnapshotFile[] = [];
  const full = captured.base === 0;
  // Keys that didn't change are read from the files of the current snapshot, block by block.
  const merged = (stored: StoredState): AsyncIterable<Entries> =>
    full ? stored.entries("", captured.entries, false) : stored.changes(captured.under, captured.entries);
  const chunks = captured.over ? merged(ground.stored!) : [captured.entries];
  const encoding = encodeFiles(id, captured, chunks, codec, () => sleep(clock, 0), sizes);
  for (;;) {
    const next = await encoding.next();
    if (next.done === true) {
      const stored = full ? new StoredState(operator, sources) : ground.stored!.with(captured.under, sources[0]!);
      return { files, stored, counted: full ? next.value : captured.totals };
    }
    const { bytes, footer, filter, rest, ids } = next.value;
    const name = snapshotName(id, attempt, footer.part?.[0]);
    assertNotEnded(ground);
    const sha256 = await limited(clock, "R2", () => objects.put(name, bytes), PUT_LIMIT_MS);
    files.push({ name, bytes: bytes.length, sha256, rest, ...(ids < sizes.idsBytes ? {} : { ids }) });
    sources.push(new SnapshotFile(new RangeReader(env, name, bytes.length), footer, filter, codec));
  }
}

function assertNotEnded({ ended }: Ground): void {
  if (ended()) throw new Failure("fenced", "the object has ended");
}

/** Objects are larger than statements, so a put gets more time. A put that is given up only leaves garbage. */
const PUT_LIMIT_MS = 60_000;

/** The content of one object of an archive. */
interface Piece {
  readonly file: FileWriter;
  readonly blocks: ArchiveBlock[];
  /** Bytes of the log, before packing. */
  logBytes: number;
  to: Seq;
  readonly last: boolean;
}

const pieceAfter = (after: Seq): Piece => ({ file: new FileWriter(), blocks: [], logBytes: 0, to: after, last: false });

/**
 * Reads the covered log back from D1, page by page, and packs it, piece by piece. The log counts, not the memory of
 * this instance.
 */
async function* collect(env: Environment, ground: Ground, from: Seq, to: Seq): AsyncGenerator<Piece> {
  const { codec, clock, log, sizes } = env;
  let piece = pieceAfter(from);
  let after = from;
  while (after < to) {
    const page = await persistent(clock, "D1", () => log.page(after));
    assertOurs(ground.epoch, page, DURING);
    const rows = page.rows.filter((row) => row.last <= to);
    // After a rollback, all rows may be cut and in older archives. Rows that no snapshot covered yet were never cut.
    if (rows.length === 0 && after === from && to <= ground.row.snapshotSeq) break;
    // After a rollback, the base may be below the rows that D1 still holds. Older archives already hold the rows
    // between.
    const contiguous = rows[0] !== undefined && (rows[0].seq === after + 1 || after === from);
    if (!contiguous)
      throw new Failure("log_broken", `the log has no row after seq ${after}, though a snapshot at ${to} covers it`);
    for (const some of batches(rows)) {
      piece.blocks.push(writeBlock(piece.file, some, codec));
      piece.logBytes += some.reduce((sum, row) => sum + row.bytes, 0);
      piece.to = some.at(-1)!.last;
      await sleep(clock, 0);
      if (piece.file.length < sizes.archiveBytes || piece.to === to) continue;
      yield piece;
      piece = pieceAfter(piece.to);
    }
    after = rows.at(-1)!.last;
  }
  yield { ...piece, to, last: true };
}

function* batches(rows: readonly Segment[]): Generator<Segment[]> {
  let batch: Segment[] = [];
  let size = 0;
  for (const row of rows) {
    batch.push(row);
    size += row.bytes;
    if (size < ARCHIVE_CHARS) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

function writeBlock(file: FileWriter, rows: readonly Segment[], codec: Codec): ArchiveBlock {
  const [offset, length, crc] = file.write(codec.compressFast(archiveText(rows)), codec);
  return [offset, length, crc, rows[0]!.seq, rows.at(-1)!.last];
}

async function promote(env: Environment, ground: Ground, { text, ...made }: Uploaded): Promise<Checkpointed> {
  const { manifest } = made;
  const { clock, log } = env;
  const older = manifest.kind === "delta" ? ground.row : olderGeneration(ground.whole);
  const { ageMs } = env.operator.snapshot.retain;
  const pins = nextPins(ground.row.pins, ground.whole, manifest, env.codec, clock.now(), ageMs);
  const change = {
    replaced: replacedBy(env, ground, older.previous, pins),
    epoch: ground.epoch,
    writer: env.counters.holder!.writer,
    code: env.code,
    version: ground.row.version,
    attempt: manifest.attempt,
    manifest: text,
    seq: manifest.seq,
    stamp: manifest.stamp,
    previous: older.previous,
    previousSeq: older.previousSeq,
    cutSeq: ground.pressed ? manifest.seq : (ground.whole?.seq ?? seq(0)),
    pins,
  };
  const row: PartitionRow = {
    epoch: ground.epoch,
    seed: ground.row.seed,
    startSeq: ground.row.startSeq,
    version: manifest.number,
    attempt: manifest.attempt,
    manifest: text,
    snapshotSeq: manifest.seq,
    snapshotStamp: manifest.stamp,
    previous: older.previous,
    previousSeq: older.previousSeq,
    pins,
  };
  assertNotEnded(ground);
  try {
    if ((await limited(clock, "D1", () => log.promote(change))) === "current") return { tag: "current", row, ...made };
  } catch {
    // The outcome is unknown. The row tells it, as after a refusal (CHECKPOINT2).
  }
  const now = await persistent(clock, "D1", () => log.row());
  assertOurs(ground.epoch, now, DURING);
  if (now.attempt === manifest.attempt) return { tag: "current", row, ...made };
  return {
    tag: "failed",
    why: `D1 did not make manifest ${manifest.number} current; it is at version ${now.version}`,
    row: now,
  };
}

const olderGeneration = (whole: Manifest | null): Pick<PartitionRow, "previous" | "previousSeq"> => ({
  previous: whole === null ? null : wholeText(whole),
  previousSeq: whole?.seq ?? seq(0),
});

/**
 * Returns the manifest that was current, and those that the row no longer names. Somebody may want to go back to them,
 * or may still be reading them (SNAP10).
 */
function replacedBy(
  { codec, clock }: Environment,
  { row, whole }: Ground,
  previous: string | null,
  pins: string,
): Point[] {
  const still = new Set([previous, ...pinTexts(pins)]);
  const gone = [row.previous, ...pinTexts(row.pins)].filter((text) => !still.has(text));
  const points = new Map<number, Point>();
  for (const text of [...gone, row.manifest]) {
    const manifest = text === null ? null : readOrNull(text, codec);
    if (manifest === null) continue;
    const sound = text !== row.manifest || whole?.attempt === manifest.attempt;
    points.set(manifest.number, pointOf(manifest, sound, clock.now()));
  }
  return [...points.values()];
}
