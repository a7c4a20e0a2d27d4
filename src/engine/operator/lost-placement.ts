/**
 * Deduces how an operator was placed from what remains: its manifests in R2, and rows in databases that still exist
 * (CODE2). A guess would send keys to partitions that don't hold them. If the records are incomplete or contradict each
 * other, no placement is given.
 */
import type { Placement } from "./routing.ts";
import { HASH_NAME } from "../base/hash.ts";

/** The placement that one partition's manifest or row says. */
export interface Hint {
  /** Place of the record, for the message. */
  readonly from: string;
  readonly partition: number;
  /** Null if the record doesn't say it. */
  readonly seed: number | null;
  readonly partitions: number | null;
  readonly database: string | null;
}

type Deduced =
  { readonly tag: "placed"; readonly placement: Placement } | { readonly tag: "unclear"; readonly why: string };

/** `databases`: the databases that are bound. The hash is this code's, because this code can't read a snapshot with
 *  another hash. */
export function deducePlacement(operator: string, hints: readonly Hint[], databases: readonly string[]): Deduced {
  const mute = hints.find((hint) => hint.seed === null || hint.database === null);
  if (mute !== undefined) return unclear(`${mute.from} doesn't say how it was placed: older code wrote it`);
  const seeds = distinct(hints, ({ seed }) => seed);
  if (seeds.length > 1) return unclear(`${sayings(seeds)}, two seeds`);
  const counts = distinct(hints, ({ partitions }) => partitions);
  if (counts.length > 1) return unclear(`${sayings(counts)}, two numbers of partitions`);
  const [seed, partitions] = [seeds[0]?.value, counts[0]?.value];
  if (seed === undefined || partitions === undefined) return unclear("nothing says how many partitions there were");
  const beyond = hints.find((hint) => hint.partition >= partitions);
  if (beyond !== undefined) return unclear(`${beyond.from} is of partition ${beyond.partition} of ${partitions}`);
  const homes = new Map<number, Hint>();
  for (const hint of hints) {
    const other = homes.get(hint.partition);
    if (other !== undefined && other.database !== hint.database)
      return unclear(`${other.from} says ${other.database}, ${hint.from} says ${hint.database}`);
    if (!databases.includes(hint.database!))
      return unclear(
        `${hint.from} is in ${hint.database}, which isn't bound: bind that or an empty, migrated database`,
      );
    homes.set(hint.partition, hint);
  }
  // A partition that left no record anywhere has nothing in the wrong place.
  const list = Array.from({ length: partitions }, (_, i) => homes.get(i)?.database ?? homeOf(i, databases));
  return { tag: "placed", placement: { operator, partitions, hash: HASH_NAME, seed, databases: list } };
}

/** Partitions take the databases in turn. The list is stored, so a database that is added later moves nothing. */
export const homeOf = (partition: number, databases: readonly string[]): string =>
  databases[partition % databases.length]!;

const unclear = (why: string): Deduced => ({ tag: "unclear", why });

interface Saying {
  readonly from: string;
  readonly value: number;
}

function distinct(hints: readonly Hint[], of: (hint: Hint) => number | null): Saying[] {
  const found = new Map<number, Saying>();
  for (const hint of hints) {
    const value = of(hint);
    if (value !== null && !found.has(value)) found.set(value, { from: hint.from, value });
  }
  return [...found.values()];
}

const sayings = (all: readonly Saying[]): string => all.map(({ from, value }) => `${from} says ${value}`).join(", ");
