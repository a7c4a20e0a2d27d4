/** Events from a Cloudflare Queue: what is decided is acknowledged, what isn't comes again and counts once. */
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { keyframe, type Env } from "../../../src/keyframe.ts";
import worker, { all } from "../app.ts";
import { add, stateOf } from "../http.ts";

const QUEUE = "events";
type Result = Awaited<ReturnType<typeof getQueueResult>>;

/** Delivers message bodies; their ids are `{name}-{place}`. */
async function deliver(
  name: string,
  bodies: readonly unknown[],
  around: Env = env,
  look: (batch: MessageBatch) => void = () => undefined,
  attempts = 1,
): Promise<Result> {
  const messages = bodies.map((body, i) => ({ id: `${name}-${i}`, timestamp: new Date(), attempts, body }));
  const batch = createMessageBatch(QUEUE, messages);
  const ctx = createExecutionContext();
  look(batch);
  await worker.queue(batch, around, ctx);
  return getQueueResult(batch, ctx);
}

describe("a queue's messages", () => {
  test("are events: as values, texts, bytes, and arrays of them", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(add("q-kinds")));
    const cloud = { specversion: "1.0", source: "/q", partitionkey: "q-kinds", datacontenttype: "application/json" };
    const result = await deliver("kinds", [
      add("q-kinds"),
      JSON.stringify(add("q-kinds")),
      bytes.buffer,
      [add("q-kinds"), add("q-kinds")],
      ` ${JSON.stringify([add("q-kinds"), add("q-kinds")])}`,
      { ...cloud, id: "c1", type: "tally.add", data: { n: 1 } },
      [],
    ]);
    expect(result.explicitAcks).toHaveLength(7);
    expect(result.retryMessages).toEqual([]);
    expect(await stateOf("tally", "q-kinds")).toEqual({ n: 8, events: 8 });
  });

  test("count once when they are delivered again, with ids of their own or without (C3)", async () => {
    const bodies = [
      { type: "tally.add", key: "q-again", data: { n: 1 } },
      [
        { type: "tally.add", key: "q-again", data: { n: 1 } },
        { type: "tally.add", key: "q-again", data: { n: 1 } },
        add("q-again"),
      ],
    ];
    for (let delivery = 0; delivery < 3; delivery++)
      expect((await deliver("again", bodies)).explicitAcks).toEqual(["again-0", "again-1"]);
    expect(await stateOf("tally", "q-again")).toEqual({ n: 4, events: 4 });
  });

  test("that don't count are acknowledged and noted, without their data, and the others count (C2)", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const secret = "my-secret";
    const result = await deliver("flawed", [
      `{"no json ${secret}`,
      { type: "nobody.wants", id: "f1", data: secret },
      { type: "credits.take", id: "f2", data: { account: "q-poor", n: 1 } },
      add("q-flawed"),
    ]);
    const notes = log.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("queue"));
    log.mockRestore();
    expect(result.explicitAcks).toHaveLength(4);
    expect(await stateOf("tally", "q-flawed")).toEqual({ n: 1, events: 1 });
    expect(notes).toHaveLength(1);
    expect(JSON.parse(notes[0]!)).toMatchObject({ queue: QUEUE, refused: 1, rejected: 2 });
    expect(notes[0]).toContain("insufficient_credits");
    expect(notes[0]).not.toContain(secret);
  });

  test("wait where the log doesn't answer, and count once it does (C1)", async () => {
    const down = (): never => {
      throw new Error("D1_ERROR: storage caused object to be reset");
    };
    const broken = { ...(env as unknown as Env), LOG_0: { prepare: down } as unknown as D1Database };
    const fresh = keyframe({ operators: all });
    const event = add("q-wait", 1, { id: "w1" });
    const batch = createMessageBatch(QUEUE, [{ id: "w", timestamp: new Date(), attempts: 1, body: event }]);
    const ctx = createExecutionContext();
    await fresh.queue(batch, broken, ctx);
    const result = await getQueueResult(batch, ctx);
    expect(result.explicitAcks).toEqual([]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(["w"]);
    expect((await deliver("wait", [event])).explicitAcks).toHaveLength(1);
    expect(await stateOf("tally", "q-wait")).toEqual({ n: 1, events: 1 });
  });

  test("wait one by one where only a later part isn't durable (C1)", async () => {
    const answers = env.PARTITION;
    let calls = 0;
    const PARTITION = new Proxy(answers, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown;
        if (name !== "getByName") return typeof value === "function" ? (value as () => unknown).bind(target) : value;
        return (...args: [string]) => {
          const stub = target.getByName(...args);
          calls += 1;
          // The first batch is 5,000 events; what is after it goes nowhere.
          if (calls === 1) return stub;
          return {
            append: async () => ({ v: 2, tag: "busy", code: "log_full", message: "full", retryAfterMs: 30_000 }),
          };
        };
      },
    });
    const many = (count: number) => Array.from({ length: count }, () => add("q-part"));
    const around = { ...(env as unknown as Env), PARTITION: PARTITION as unknown as Env["PARTITION"] };
    const delays: unknown[] = [];
    // The result doesn't tell a message's delay.
    const look = ({ messages }: MessageBatch): void => {
      for (const message of messages) {
        const retry = message.retry.bind(message);
        message.retry = (options) => {
          delays.push(options?.delaySeconds);
          retry(options);
        };
      }
    };
    const result = await deliver("part", [many(4_000), many(1_000), many(10), many(1)], around, look);
    expect(result.explicitAcks).toEqual(["part-0", "part-1"]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(["part-2", "part-3"]);
    expect(delays).toEqual([30, 30]);
    // The platform gives up after so many attempts, so each waits longer than the one before.
    for (const attempts of [2, 5, 99]) await deliver("part", [many(5_001)], around, look, attempts);
    expect(delays.slice(2)).toEqual([60, 480, 3_600]);
    expect(await stateOf("tally", "q-part")).toEqual({ n: 5_000, events: 5_000 });
  });
});
