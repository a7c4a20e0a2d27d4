/** The ports of intake: the way to the partitions, and the clock. So a simulator can run intake unchanged. */
import type { Address } from "../../engine/operator/routing.ts";
import type { Clock } from "../../engine/base/ports.ts";
import type { LogLine, NoteFacts } from "../../engine/base/log-lines.ts";
import type { AppendRequest, AppendResponse } from "../../engine/partition/protocol.ts";
import { installedApp } from "../app.ts";
import type { Env } from "../env.ts";
import { note } from "../note.ts";
import { requestClock } from "../request-clock.ts";
import { partitionStub } from "../stub.ts";

export interface PartitionClient {
  /** Calls the partition's object once. Rejects if the object went away: whether it had committed isn't known. */
  append(address: Address, slice: AppendRequest): Promise<AppendResponse>;
  readonly clock: Clock;
  note(what: LogLine, facts: NoteFacts): void;
}

/** The client on the platform's own calls. */
export const postOf = (env: Env): PartitionClient => ({
  // A stub that threw can't be used again, so every call takes a new one.
  append: async (address, slice) => {
    const answer = await partitionStub(env, address).append(address, slice);
    // Main may be another line by now.
    if (answer.tag === "busy" && answer.code === "line_sealed") installedApp().forget();
    return answer;
  },
  clock: requestClock,
  note,
});
