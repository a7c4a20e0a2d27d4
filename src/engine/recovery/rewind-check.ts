/**
 * Rewind check: notices that D1 was restored to an older point, by its own time travel or by a restored copy. The
 * events that D1 had acknowledged since are gone. Resuming from there would give them up silently.
 *
 * REWIND1. Epoch, version and head of a partition go down only if D1 is restored to an older point. So an earlier fact
 *     above D1's present answer is proof, and a missing fact proves nothing. There is no false alarm.
 * REWIND2. The facts are in the object's own storage (the high-water mark). The facts are of a commit some minutes ago
 *     at most, and of each attempt at a snapshot, before R2 has any of it. The facts are also of the moment when a
 *     running instance finds that D1 has less than it acknowledged (high-water-mark.ts). A commit as such writes
 *     nothing.
 * REWIND3. If there is no mark (its storage was lost, or older code ran), R2 is asked once. Each attempt at a snapshot
 *     holds a committed prefix of the log (SNAP1) and builds on the version before its own.
 * REWIND4. A D1 that was restored to an older point is refused, by reads too. The refusal changes nothing in D1, so
 *     restoring D1 to a later point again fixes the partition. Any other way is somebody's decision (adopt.ts), which
 *     begins a new incarnation. Facts of earlier incarnations don't count.
 */
import { Failure, isUnreadable } from "../base/errors.ts";
import {
  belowManifest,
  epoch,
  incarnationOf,
  manifestOf,
  manifestPrefix,
  seq,
  type PartitionId,
  type Seq,
} from "../base/ids.ts";
import type { HighWaterMark, Opening, PartitionRow } from "../base/records.ts";
import { behind, logFacts, highWaterMark } from "../log/fence.ts";
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import type { Environment, FileEnvironment } from "../operator/environment.ts";

/** `kept` is the mark as it was when D1 was asked. A later mark says more than D1 could. @throws Failure log_rewound */
export async function assertNotRewound(
  env: Environment,
  { row, head }: Pick<Opening, "row" | "head">,
  kept: HighWaterMark | null,
): Promise<void> {
  const now = logFacts(row, head);
  const mark = kept ?? (await markFromStore(env, row));
  const why = mark === null ? null : behind(mark, now);
  if (why !== null) return refuse(env, mark!, `D1 is below its high-water mark: ${why}`);
  // A mark saves asking R2 again.
  if (env.host.highWaterMark() === null) void env.host.keepHighWaterMark(highWaterMark(now));
}

/** D1 has no row. @throws Failure log_rewound if the partition once had one */
export function assertNeverLogged(env: Environment): void {
  const mark = env.host.highWaterMark();
  if (mark !== null) refuse(env, mark, `D1 has no row, but the partition had reached seq ${mark.head}`);
}

function refuse({ id, host }: Environment, mark: HighWaterMark, why: string): never {
  if (mark.refused === undefined) void host.keepHighWaterMark({ ...mark, refused: true });
  throw rewound(id, why);
}

/** D1 has less than it acknowledged (REWIND2). */
export const rewound = ({ operator, partition }: PartitionId, why: string): Failure =>
  new Failure(
    "log_rewound",
    `the database of partition ${partition} of "${operator}" was restored to an older point: ${why}; restore it to a later point, or decide which side counts with POST /v1/operators/${operator}/partitions/${partition}/adopt`,
  );

/** Manifests that are tried for their seq. */
const TRIES = 5;

/**
 * Returns the facts that R2 proves (REWIND3), or null if R2 has nothing above the row. An attempt at version n was made
 * when version n − 1 was current.
 */
export async function markFromStore(env: FileEnvironment, row: PartitionRow): Promise<HighWaterMark | null> {
  const found: { readonly name: string; readonly made: NonNullable<ReturnType<typeof manifestOf>> }[] = [];
  for (let after = belowManifest(env.id, row.version + 1); ;) {
    const { names, more } = await listNames(env, manifestPrefix(env.id), after);
    for (const name of names) {
      const made = manifestOf(name);
      if (made !== null && incarnationOf(made.epoch) >= incarnationOf(row.epoch)) found.push({ name, made });
    }
    after = names.at(-1) ?? after;
    if (!more) break;
  }
  if (found.length === 0) return null;
  const highest = (of: (made: (typeof found)[number]["made"]) => number): number =>
    Math.max(...found.map(({ made }) => of(made)));
  return {
    v: 1,
    epoch: epoch(highest((made) => made.epoch)),
    version: highest(({ version }) => version) - 1,
    head: await headOf(env, found.map(({ name }) => name).toReversed()),
  };
}

/** Returns the seq of the newest manifest that can be read. */
async function headOf(env: FileEnvironment, names: readonly string[]): Promise<Seq> {
  for (const name of names.slice(0, TRIES)) {
    try {
      return readManifestObject(await fetchObject(env, name), env.codec).manifest.seq;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  return seq(0);
}
