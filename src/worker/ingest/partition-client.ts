/** The ports of intake: the way to the partitions, time, and chance. So a simulator can run intake unchanged. */
import type { Address } from "../../engine/operator/routing.ts";
import type { LogLine, NoteFacts } from "../../engine/base/log-lines.ts";
import type { AppendRequest, AppendResponse } from "../../engine/partition/protocol.ts";
import type { Env } from "../env.ts";
import { note } from "../note.ts";
import { partitionStub } from "../stub.ts";

export interface PartitionClient {
  /** Calls the partition's object once. Rejects if the object went away: whether it had committed isn't known. */
  append(address: Address, slice: AppendRequest): Promise<AppendResponse>;
  /** Milliseconds since 1970. */
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Random number, 0 <= x < 1, for the jitter of retries. */
  jitter(): number;
  note(what: LogLine, facts: NoteFacts): void;
}

/** The client on the platform's own calls. */
export const postOf = (env: Env): PartitionClient => ({
  // A stub that threw can't be used again, so every call takes a new one.
  append: (address, slice) => partitionStub(env, address).append(address, slice),
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  jitter: () => Math.random(),
  note,
});
