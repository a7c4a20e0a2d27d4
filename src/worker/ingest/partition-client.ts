/** What intake needs of the world: a way to the partitions, time, and chance. So it runs in a simulator as it does here. */
import type { Address } from "../../engine/operator/routing.ts";
import type { LogLine, NoteFacts } from "../../engine/base/log-lines.ts";
import type { AppendRequest, AppendResponse } from "../../engine/partition/protocol.ts";
import type { Env } from "../env.ts";
import { note } from "../note.ts";
import { partitionStub } from "../stub.ts";

export interface PartitionClient {
  /** One call to the partition's object. Rejects where the object went away: whether it had committed isn't known. */
  append(address: Address, slice: AppendRequest): Promise<AppendResponse>;
  /** Milliseconds since 1970. */
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Random number, 0 <= x < 1, for the jitter of repeats. */
  jitter(): number;
  note(what: LogLine, facts: NoteFacts): void;
}

/** By the platform's own means. */
export const postOf = (env: Env): PartitionClient => ({
  // A stub that threw is dead: every call takes a new one.
  append: (address, slice) => partitionStub(env, address).append(address, slice),
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  jitter: () => Math.random(),
  note,
});
