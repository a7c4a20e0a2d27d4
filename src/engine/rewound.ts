/**
 * Noticing that D1 was set back, by its own time travel or by a restored copy: what it had acknowledged since is gone, and
 * going on from there would give that up without a word.
 *
 * E1. Epoch, version and head of a partition never go down while D1 isn't set back. So an earlier fact that lies above what
 *     D1 says now is proof, and a missing one proves nothing: there is no false alarm.
 * E2. The facts stand in the object's own storage (the mark): as of a commit some minutes ago at most, of each snapshot, and of the
 *     moment where a living object finds that D1 has less than it acknowledged (marking.ts). Nothing is written for a commit as such.
 * E3. Where there is no mark (its storage was lost, older code ran) R2 is asked once: each attempt at a snapshot holds a committed
 *     prefix of the log (SNAP1) and builds on the version before its own.
 * E4. What is noticed is refused, by reads too, and changes nothing in D1, so that setting D1 forward again mends it by itself. Any
 *     other way on is somebody's decision (adopt.ts), which begins a new life of epochs: facts of earlier lives don't count.
 */
import { readManifestObject } from "./archive.ts";
import type { CounterRow } from "./counters.ts";
import { Failure, isUnreadable } from "./errors.ts";
import { belowManifest, epoch, lifeOf, manifestOf, manifestPrefix, seq, type Epoch, type Seq } from "./ids.ts";
import { isObject, isWhole } from "./json.ts";
import { isStateFile, type StateFile } from "./manifest.ts";
import type { Explanation, Host, Opening, PartitionRow } from "./ports.ts";
import { fetchObject, listNames, type Shelf } from "./shelf.ts";

/** What D1 is known to have said once. */
export interface Mark {
  readonly v: 1;
  readonly epoch: Epoch;
  readonly version: number;
  /** Last seq in the log. */
  readonly head: Seq;
  /** When it was written; missing: by older code. */
  readonly atMs?: number;
  /** The state's files, as far as was known (ahead.ts). */
  readonly files?: readonly StateFile[];
  /** D1 was found to have less: it is looked at before an epoch is taken (E4). */
  readonly refused?: true;
  /** Up to which size its database is known to have room (room.ts). */
  readonly calmUpTo?: number;
  /** What was counted until then, for looking (counters.ts). */
  readonly counters?: CounterRow;
}

/** A mark as it stands in storage; null: there is none that this code knows. */
export function readMark(stored: unknown): Mark | null {
  if (!isObject(stored) || stored["v"] !== 1) return null;
  const whole = [stored["epoch"], stored["version"], stored["head"]].every(isWhole);
  if (!whole) return null;
  const { files, ...mark } = stored as unknown as Mark;
  // A guess that can't be read is none.
  return Array.isArray(files) && files.every(isStateFile) ? { ...mark, files } : mark;
}

export type Facts = Pick<Mark, "epoch" | "version" | "head">;

/** What D1 has less than the mark says, in words; null: nothing (E1). */
export function behind(mark: Mark, now: Facts): string | null {
  if (lifeOf(now.epoch) > lifeOf(mark.epoch)) return null;
  const less = (["epoch", "version", "head"] as const).filter((fact) => now[fact] < mark[fact]);
  if (less.length === 0) return null;
  return less.map((fact) => `${WORDS[fact]} ${now[fact]} where it had reached ${mark[fact]}`).join(", ");
}

const WORDS = { epoch: "epoch", version: "manifest number", head: "seq" } as const;

/** The facts of a row. `head`: of the log at the same moment. */
export const factsAt = ({ epoch: held, version }: PartitionRow, head: Seq): Facts => ({ epoch: held, version, head });

/** What a living object finds when it asks D1: less than `ours`, which D1 had acknowledged to it? */
export const lostSince = (ours: Facts, { epoch: held, version, head }: Explanation): string | null =>
  behind({ v: 1, ...ours }, { epoch: held, version, head });

export const markOf = (facts: Facts): Mark => ({ v: 1, ...facts });

type Around = Shelf & { readonly host: Host };

/** `kept`: the mark as it was when D1 was asked; a later one says more than D1 could. @throws Failure log_rewound */
export async function assertNotRewound(
  around: Around,
  { row, head }: Pick<Opening, "row" | "head">,
  kept: Mark | null,
): Promise<void> {
  const now = factsAt(row, head);
  const mark = kept ?? (await markFromStore(around, row));
  const why = mark === null ? null : behind(mark, now);
  if (why !== null) return refuse(around, mark!, `D1 says ${why}`);
  // R2 isn't asked again.
  if (around.host.mark() === null) around.host.keepMark(markOf(now));
}

/** D1 has no row. @throws Failure log_rewound where the partition had one */
export function assertNeverLogged(around: Around): void {
  const mark = around.host.mark();
  if (mark !== null) refuse(around, mark, `D1 has no row where the partition had reached seq ${mark.head}`);
}

function refuse({ id, host }: Around, mark: Mark, why: string): never {
  if (mark.refused === undefined) host.keepMark({ ...mark, refused: true });
  throw new Failure("log_rewound", rewoundText(id, why));
}

export const rewoundText = ({ operator, partition }: Shelf["id"], why: string): string =>
  `the database of partition ${partition} of "${operator}" was set back: ${why}; set it forward to a later moment, or decide what counts from here on with POST /v1/operators/${operator}/partitions/${partition}/adopt`;

/** Manifests that are read for their seq. */
const TRIES = 5;

/**
 * What R2 proves that D1 has said once (E3); null: nothing above the row. An attempt of version n was made when n − 1 was current.
 */
export async function markFromStore(shelf: Shelf, row: PartitionRow): Promise<Mark | null> {
  const found: { readonly name: string; readonly made: NonNullable<ReturnType<typeof manifestOf>> }[] = [];
  for (let after = belowManifest(shelf.id, row.version + 1); ;) {
    const { names, more } = await listNames(shelf, manifestPrefix(shelf.id), after);
    for (const name of names) {
      const made = manifestOf(name);
      if (made !== null && lifeOf(made.epoch) >= lifeOf(row.epoch)) found.push({ name, made });
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
    head: await headOf(shelf, found.map(({ name }) => name).toReversed()),
  };
}

/** The seq of the newest that can be read. */
async function headOf(shelf: Shelf, names: readonly string[]): Promise<Seq> {
  for (const name of names.slice(0, TRIES)) {
    try {
      return readManifestObject(await fetchObject(shelf, name), shelf.codec).manifest.seq;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
  }
  return seq(0);
}
