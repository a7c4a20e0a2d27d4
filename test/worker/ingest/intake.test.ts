/** Intake by itself, with a post that answers as a test says. */
import { describe, expect, it } from "vitest";
import { route } from "../../../src/engine/operator/routing.ts";
import { HASH_NAME } from "../../../src/engine/base/hash.ts";
import type { AppendRequest, AppendResponse } from "../../../src/engine/partition/protocol.ts";
import { VirtualClock } from "../../../src/testkit/virtual-clock.ts";
import { Intake } from "../../../src/worker/ingest/intake.ts";
import { sum } from "../../engine/fakes/sum.ts";

const operator = sum({ partitions: 2 });
const home = route(1, operator, {
  operator: "sum",
  partitions: 2,
  hash: HASH_NAME,
  seed: 7,
  databases: ["LOG_0", "LOG_0"],
});
const decided = ({ keys }: AppendRequest): AppendResponse => ({
  v: 2,
  tag: "decided",
  statuses: new Uint8Array(keys.length),
  details: [],
});

describe("a numbered request in several batches", () => {
  it("ONE2: after a partition refused a part of it, no later part is sent to any", async () => {
    const sent: (readonly number[])[] = [];
    let calls = 0;
    const intake = new Intake({
      post: {
        append: (_, slice) => {
          sent.push([...(slice.indexes as Uint32Array)]);
          const fenced = ++calls === 2;
          const unfit: AppendResponse = { v: 2, tag: "unfit", status: 403, code: "producer_fenced", message: "fenced" };
          return Promise.resolve(fenced ? unfit : decided(slice));
        },
        clock: new VirtualClock(0),
        note: () => undefined,
      },
      routes: { line: 1, ancestors: [], byOperator: new Map([["sum", home]]), byType: new Map([["add", [home]]]) },
      only: null,
      defaults: { time: "2026-01-01T00:00:00Z", id: (index) => `made/${index}` },
      receivedMs: 0,
      ignoreUnrouted: false,
      standard: false,
      full: false,
      producer: { id: "p", epoch: 1, number: 1 },
    });
    for (const key of ["a", "a", "a"]) await intake.take([{ lines: [JSON.stringify({ type: "add", key, data: 1 })] }]);
    expect(sent).toEqual([[0], [1]]);
    expect(intake.unfit).toMatchObject({ code: "producer_fenced" });
    expect(intake.counts).toMatchObject({ received: 3, accepted: 1, rejected: 2, through: 3 });
    expect(intake.errors.map(({ index, code }) => [index, code])).toEqual([
      [1, "producer_fenced"],
      [2, "producer_fenced"],
    ]);
  });
});
