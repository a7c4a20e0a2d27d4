/** The environment: what a partition runs with. Everybody calls it `env`. */
import type { Counters } from "../base/counters.ts";
import type { PartitionId, Stamp } from "../base/ids.ts";
import type { Sizes } from "../base/limits.ts";
import type { Minutes } from "../base/minutes.ts";
import type { Cache, Clock, Codec, Host, Log, ObjectStore, Prefetched } from "../base/ports.ts";
import { type Ancestors, partsIn } from "../base/records.ts";
import { type KeyShare, type PlacedPartition, shareOf } from "./key-placement.ts";
import type { Operator } from "./operator.ts";

/** The part that reads files in R2, and needs neither D1 nor the partition's object. */
export interface FileEnvironment {
  readonly id: PartitionId;
  readonly operator: Operator;
  /** The code that runs here (CODE4). Missing if nothing that is read here is quarantined. */
  readonly code?: string;
  readonly objects: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly cache: Cache;
  readonly sizes: Sizes;
  readonly ahead?: Prefetched;
  /** The keys that are read of the partition. Missing if all are. */
  readonly share?: KeyShare;
}

/** The part that also reads the log in D1. */
export interface LogEnvironment extends FileEnvironment {
  readonly log: Log;
  /** Missing if the partition's line begins with nothing. */
  readonly origin?: Origin;
}

/** The start of a line (ORIGIN1): the state of the same partition on another line, at a stamp. */
export interface Origin {
  readonly at: Stamp;
  readonly env: LogEnvironment;
}

export interface Environment extends LogEnvironment {
  readonly code: string;
  readonly host: Host;
  readonly counters: Counters;
  readonly minutes: Minutes;
}

/** The facts of a partition that say which keys it has, and which lines it starts from. */
interface Placed extends Omit<PlacedPartition, "partition"> {
  readonly ancestors?: Ancestors;
}

/** Returns the start of a line for a partition, or nothing if the line starts from no other one. */
export function originOf(
  env: Omit<LogEnvironment, "origin">,
  placed: Placed,
  logOf: (id: PartitionId) => Log,
): { readonly origin?: Origin } {
  const { ancestors = [] } = placed;
  return ancestors.reduceRight<{ readonly origin?: Origin }>((earlier, one) => {
    const parts = partsIn(one.split, env.id.operator);
    const id = { ...env.id, line: one.line, partition: Math.floor(env.id.partition / parts) };
    const { partition } = env.id;
    const share = parts === 1 ? {} : { share: shareAmong(env, { ...placed, partition }, parts) };
    return { origin: { at: one.at, env: { ...env, id, log: logOf(id), ...share, ...earlier } } };
  }, {});
}

/** A reader of a share reads no more of earlier partitions. */
const shareAmong = ({ operator, share }: FileEnvironment, placed: PlacedPartition, parts: number): KeyShare =>
  share === undefined ? shareOf(operator, placed, parts) : { ...share, partitions: share.partitions * parts };
