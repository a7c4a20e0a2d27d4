/** A D1 that stays silent for longer than a request lives (LOG3), in the real runtime and in real time. */
import { describe, expect, it } from "vitest";
import { d1 } from "./gated-partition.ts";
import { add, call, get, postEvents, stateOf } from "./http.ts";

/** A key with state in the same partition: an object that sits idle for so long would be gone, and could not open. */
async function neighbourOf(key: string): Promise<string> {
  const events = [key, ...Array.from({ length: 20 }, (_, i) => `silence-${i}`)].map((one) => add(one, 1));
  const { body } = await postEvents(events, { prefer: "return=representation" });
  const [own, ...others] = body["results"] as { key: string; partition: number }[];
  return others.find((other) => other.partition === own!.partition)!.key;
}

describe("a D1 that doesn't answer", () => {
  it(
    "LOG3: callers hear 503 within 30 s, committed state is served, and the retry counts once",
    { timeout: 60_000 },
    async () => {
      const known = await neighbourOf("silence-caught");
      const caught = add("silence-caught", 5);
      d1.silent = true;
      const begun = Date.now();
      const answer = await call("/v1/events", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify([caught]),
      });
      expect(Date.now() - begun).toBeLessThan(30_000);
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).not.toBeNull();
      expect(answer.body).toMatchObject({ accepted: 0, through: 0 });
      expect(await stateOf("tally", known)).toEqual({ n: 1, events: 1 });
      expect((await get("/v1/operators/tally/state?key=silence-caught")).body["value"]).toEqual({ n: 1, events: 1 });
      d1.silent = false;
      const repeat = await postEvents([caught]);
      expect(repeat.body).toMatchObject({ received: 1, accepted: 0, duplicates: 1 });
      expect(await stateOf("tally", "silence-caught")).toEqual({ n: 6, events: 2 });
    },
  );
});
