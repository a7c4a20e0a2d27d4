/**
 * Key placement: the partition of a key, and the share of a partition's keys that a part of it takes over.
 *
 * The operator's `group` makes a text of the key, the hash of the text is uniform, and each partition has a range of the
 * hashes. The number of partitions and the seed are those that D1 stores (ROUTING1 of routing.ts).
 *
 * SHARE1. A line may have several partitions for one of the line that it starts from. Each of them reads that one, and
 *     takes its own keys alone. A key's group and the seed decide, as in routing.ts, so each key is in one share.
 *     A key without a group, which no event can have any more, is in the first share.
 * SHARE2. Ids and producers are the whole partition's in each share: a retry finds its event wherever its key is now.
 */
import { hashGroup } from "../base/hash.ts";
import type { Operator } from "./operator.ts";

/** Returns null if the operator's `group` fails. A user writes `group`, and a read may ask for any key. */
export function partitionAmong(operator: Operator, key: string, seed: number, partitions: number): number | null {
  if (partitions === 1) return 0;
  try {
    const group: unknown = operator.group(key);
    return typeof group === "string" ? partitionOf(hashGroup(group, seed), partitions) : null;
  } catch {
    return null;
  }
}

/** Returns the partition of a hash. Ranges have equal size, so doubling `count` splits each partition in two. */
export const partitionOf = (hash: number, count: number): number => Math.floor((hash / 0x1_0000_0000) * count);

/** A partition with the number and the seed of its operator's placement. */
export interface PlacedPartition {
  readonly partition: number;
  readonly seed: number;
  /** Missing for 1. */
  readonly partitions?: number;
}

/** Returns the share of a partition, if so many share the keys of an earlier one. */
export function shareOf(
  operator: Operator,
  { partition, seed, partitions = 1 }: PlacedPartition,
  parts: number,
): KeyShare {
  const first = partition - (partition % parts);
  return {
    holds: (key) => (partitionAmong(operator, key, seed, partitions) ?? first) === partition,
    partitions: parts,
  };
}

/** A share of a partition's keys. */
export interface KeyShare {
  readonly holds: (key: string) => boolean;
  /** Partitions that share the keys. */
  readonly partitions: number;
}
