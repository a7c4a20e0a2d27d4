/**
 * The archived log above a base, in order, each row once.
 *
 * ARCHIVED1. The rows above a base were first covered by a later manifest than the base's, so the archives of earlier
 *     versions can't hold them (RECOVERY5).
 * ARCHIVED2. An attempt that never became current shares its version with one that did, and the two may overlap. Each
 *     row counts once. An unreadable archive is damage only if no other archive has its rows.
 * ARCHIVED3. A row that was given up counts for nothing (INCARNATION1).
 */
import { type Damage, Failure, isUnreadable } from "../base/errors.ts";
import { belowManifest, manifestOf, manifestPrefix, type Seq } from "../base/ids.ts";
import { PAGE_BYTES } from "../base/limits.ts";
import type { Codec } from "../base/ports.ts";
import type { PartitionRow, Segment } from "../base/records.ts";
import type { ReadSegment } from "../log/archive.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { readArchive, readManifestObject } from "../snapshot/manifest-object.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import { archiveLimits } from "./incarnation.ts";

/** The rows that a replay takes. If it takes a row, it takes all rows before that row. */
export type Within = (row: Segment) => boolean;

export type ArchiveEnd =
  /** The rows reach up to `to`. */
  | { readonly tag: "reached" }
  /** A row that isn't within came next. */
  | { readonly tag: "beyond" }
  /** The archive ends after `seq`. `flaw` is set if an unreadable object may have more. */
  | { readonly tag: "short"; readonly seq: Seq; readonly flaw: Damage | Failure | null };

interface ArchivedRange {
  /** Null for the log from its beginning. */
  readonly base: Manifest | null;
  readonly after: Seq;
  readonly to: number;
  readonly within: Within;
  /** Objects in a row that may add nothing before the search ends. */
  readonly tries?: number;
}

/** Yields the segments above `after`, in portions of about PAGE_BYTES. @throws Damage (INCARNATION2), Failure */
export async function* archivedSegments(
  env: FileEnvironment,
  row: Pick<PartitionRow, "epoch" | "attempt">,
  { base, after, to, within, tries = Number.POSITIVE_INFINITY }: ArchivedRange,
): AsyncGenerator<readonly ReadSegment[], ArchiveEnd> {
  const { id } = env;
  const from = base === null ? "" : belowManifest(id, base.number);
  const limitOf = await archiveLimits(env, row, from);
  let flaw: Damage | Failure | null = null;
  let [end, useless] = [after, 0];
  for (let listed = from; ;) {
    const { names, more } = await listNames(env, manifestPrefix(id), listed);
    for (const name of names) {
      if (end >= to) return { tag: "reached" };
      if (base !== null && manifestOf(name)?.attempt === base.attempt) continue;
      const most = Math.min(to, limitOf(name));
      if (most <= end) continue;
      if (useless++ === tries) return { tag: "short", seq: end, flaw };
      try {
        for (const portion of objectSegments(await fetchObject(env, name), env.codec, end, most)) {
          const beyond = portion.findIndex((segment) => !within(segment.row));
          const rows = beyond === -1 ? portion : portion.slice(0, beyond);
          if (rows.length > 0) yield rows;
          if (beyond !== -1) return { tag: "beyond" };
          [end, useless] = [rows.at(-1)!.row.last, 0];
        }
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        if (flaw === null || error instanceof Failure) flaw = error;
      }
    }
    listed = names.at(-1) ?? listed;
    if (!more) return end >= to ? { tag: "reached" } : { tag: "short", seq: end, flaw };
  }
}

/**
 * Yields the segments of one object that follow `after` without a hole, up to `to`. Segments before a damaged one come
 * before its error, since another archive may continue from there.
 */
function* objectSegments(file: Uint8Array, codec: Codec, after: Seq, to: number): Generator<readonly ReadSegment[]> {
  if (after >= to || readManifestObject(file, codec).manifest.archive.to <= after) return;
  let portion: ReadSegment[] = [];
  let [end, bytes] = [after, 0];
  let damage: { readonly error: unknown } | null = null;
  const segments = readArchive(file, codec, after);
  for (;;) {
    let next: IteratorResult<ReadSegment>;
    try {
      next = segments.next();
    } catch (error) {
      damage = { error };
      break;
    }
    if (next.done === true || next.value.row.last > to) break;
    const { row } = next.value;
    if (row.seq !== end + 1) continue;
    portion.push(next.value);
    end = row.last;
    bytes += row.bytes;
    if (bytes < PAGE_BYTES) continue;
    yield portion;
    [portion, bytes] = [[], 0];
  }
  if (portion.length > 0) yield portion;
  if (damage !== null) throw damage.error;
}
