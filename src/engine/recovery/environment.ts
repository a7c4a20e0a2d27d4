import type { Counters } from "../base/counters.ts";
import type { PartitionId } from "../base/ids.ts";
import type { Sizes } from "../base/limits.ts";
import type { Minutes } from "../base/minutes.ts";
import type { Cache, Clock, Codec, Host, Log, ObjectStore } from "../base/ports.ts";
import type { Operator } from "../operator/operator.ts";

export type Environment = Surroundings & { readonly counters: Counters; readonly minutes: Minutes };

export interface Surroundings {
  readonly id: PartitionId;
  readonly operator: Operator;
  /** The code that runs here (CODE4). Missing if nothing that is read here is quarantined. */
  readonly code?: string;
  readonly log: Log;
  readonly objects: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly host: Host;
  readonly cache: Cache;
  readonly sizes: Sizes;
}
