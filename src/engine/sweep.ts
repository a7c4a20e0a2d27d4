/**
 * Sweeping: the state files that no root reaches and none ever will, which crashes between two steps of a snapshot leave
 * behind (SNAP10).
 *
 * S1. Only the holder of the epoch sweeps: the read that gives the roots shows its epoch.
 * S2. The roots are both generations and the pins. One that can't be read could reach anything: then nothing is deleted.
 * S3. Deleted is only what no transaction can name any more: files of lower epochs, whose promotions the epoch refuses, and
 *     of our own attempts before the one that the read shows as current, whose promotions its version refuses. So it doesn't
 *     matter what happens between the read, the listing and the deletion.
 * S4. Archives aren't swept: a recovery may need the archive of an attempt that never became current.
 */
import { messageOf } from "./errors.ts";
import { attemptOf, snapshotPrefix, type Epoch } from "./ids.ts";
import { OPEN_ATTEMPTS } from "./limits.ts";
import { readManifest, stateFiles } from "./manifest.ts";
import type { Codec, PartitionRow } from "./ports.ts";
import type { Surroundings } from "./recovery.ts";
import { limited, persistent } from "./store-call.ts";

/** Deletes what is garbage; returns how many files went, or why none did. Never rejects: a snapshot must not suffer from it. */
export async function sweep(around: Surroundings, epoch: Epoch, ended: () => boolean): Promise<number | string> {
  const { clock, host, log, objects } = around;
  try {
    const row = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.row());
    if (row === null || row.epoch !== epoch) return `epoch ${epoch} was superseded by ${row?.epoch ?? "nothing"}`;
    const reached = reachable(row, around.codec);
    // The oldest 1,000, which is one call: what is beyond comes another time.
    const list = () => objects.list(snapshotPrefix(around.id), "");
    const { names } = await persistent(clock, host, "R2", OPEN_ATTEMPTS, list);
    const garbage = names.filter((name) => !reached.has(name) && isPast(name, row));
    if (ended()) return "the object has ended";
    if (garbage.length > 0) await limited(clock, "R2", () => objects.delete(garbage));
    return garbage.length;
  } catch (error) {
    return messageOf(error);
  }
}

/** @throws where a root can't be read (S2) */
function reachable(row: PartitionRow, codec: Codec): Set<string> {
  const roots = [row.manifest, row.previous, ...(JSON.parse(row.pins) as string[])].filter((text) => text !== null);
  return new Set(roots.flatMap((text) => stateFiles(readManifest(text, codec.crc32)).map(({ name }) => name)));
}

/** Is it of an attempt that can't become current any more (S3)? */
function isPast(name: string, row: PartitionRow): boolean {
  const made = attemptOf(name.replace(/\.kfs$/, ""));
  const current = attemptOf(row.attempt);
  if (made === null) return false;
  if (made.epoch !== row.epoch) return made.epoch < row.epoch;
  return current !== null && current.epoch === row.epoch && made.attempt < current.attempt;
}
