/** A stream of lines that breaks off, or isn't what it says: what the sender hears depends on what is durable by then. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Address } from "../../../src/engine/operator/routing.ts";
import { busy, type AppendRequest, type AppendResponse } from "../../../src/engine/partition/protocol.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { partitionStub } from "../../../src/worker/stub.ts";
import { all } from "../app.ts";
import { add, expectProblem, readAnswer, stateOf, type Answer } from "../http.ts";

const http = routesOf(new App(all));

/** Sends to partitions of which every call but the first `decided` ones is answered that the log is full. */
async function sendLines(body: BodyInit, decided: number): Promise<Answer> {
  let calls = 0;
  const append = (address: Address, slice: AppendRequest): Promise<AppendResponse> =>
    calls++ < decided
      ? partitionStub(env, address).append(address, slice)
      : Promise.resolve(busy("log_full", "the log is full", 30_000));
  const request = new Request("http://localhost/v1/events", {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body,
  });
  const there = { ...env, PARTITION: { getByName: () => ({ append }) } as unknown as typeof env.PARTITION };
  const answer = await readAnswer(await http.fetch(request, there));
  expectProblem(answer);
  return answer;
}

/** 6,000 lines for one partition, in two batches, and then the sender is gone. */
function broken(lines: readonly string[]): ReadableStream<Uint8Array> {
  let given = false;
  return new ReadableStream(
    {
      pull(to) {
        if (given) to.error(new Error("the sender is gone"));
        else to.enqueue(new TextEncoder().encode(lines.join("\n") + "\n"));
        given = true;
      },
    },
    { highWaterMark: 0 },
  );
}

describe("a body of lines with a flaw in it", () => {
  it.each([0, 1])(
    "LOG6, IN3: is 503 where an interruption came first, after %i batches; sent again, 400 with all of it decided",
    async (batches) => {
      const key = `broken-off-${batches}`;
      const lines = Array.from({ length: 6_000 }, () => JSON.stringify(add(key)));
      const first = await sendLines(broken(lines), batches);
      expect(first.status).toBe(503);
      expect(first.headers.get("retry-after")).toBe("30");
      expect(first.body).toMatchObject({ code: "log_full", accepted: batches * 5_000, through: batches * 5_000 });

      const again = await sendLines(broken(lines), Number.POSITIVE_INFINITY);
      expect(again.body).toMatchObject({
        status: 400,
        code: "body_interrupted",
        accepted: 6_000 - batches * 5_000,
        duplicates: batches * 5_000,
        through: 6_000,
      });
      expect(await stateOf("tally", key)).toEqual({ n: 6_000, events: 6_000 });
    },
  );
});
