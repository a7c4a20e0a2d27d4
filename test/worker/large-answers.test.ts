/** What is too large for one call between a Worker and an object (32 MiB) comes in several, and nobody sees that. */
import { z } from "zod";
import { beforeAll, describe, expect, it } from "vitest";
import { operator } from "../../src/keyframe.ts";
import { deploy, type Deployment } from "./deployment.ts";

/** Just below the limit in UTF-8, and twice as much as a string of the platform's, for its one wide character. */
const LARGE = `€${"x".repeat(65_000)}`;

const loud = operator("loud", {
  version: 1,
  events: { "loud.say": z.object({ large: z.boolean() }) },
  initial: () => ({ said: 0 }),
  on: {
    "loud.say"(state, event) {
      state.said += 1;
      return event.data.large ? LARGE : "quiet";
    },
  },
});

let app: Deployment;
beforeAll(async () => {
  app = await deploy(loud);
});

const events = (id: string, count: number, data: unknown = { large: true }) =>
  Array.from({ length: count }, (_, i) => ({ type: "loud.say", id: `${id}-${i}`, key: id, data }));
const said = async (key: string): Promise<unknown> =>
  (await app.call(`/v1/operators/loud/state?key=${key}`)).body["value"];

describe("return=representation", () => {
  it.each([
    ["return=representation", "plain"],
    ["return=representation, handling=strict", "strict"],
  ])("LOG6: with %s, an array's replies may be more than one call carries", async (prefer, key) => {
    const { status, body } = await app.call("/v1/events", events(key, 300), { prefer });
    expect({ status, accepted: body["accepted"], through: body["through"] }).toEqual({
      status: 200,
      accepted: 300,
      through: 300,
    });
    const results = body["results"] as { index: number; seq: number; value: string }[];
    expect(results.map(({ index }) => index)).toEqual([...Array(300).keys()]);
    expect(results.every(({ value }) => value === LARGE)).toBe(true);
    expect(results.every(({ seq }, i) => i === 0 || seq === results[i - 1]!.seq + 1)).toBe(true);
    expect(await said(key)).toEqual({ said: 300 });
  });

  it("malformed JSON behind the first batch makes the body unusable: nothing of it counts", async () => {
    const text = `${JSON.stringify(events("flawed", 300)).slice(0, -1)},{"type":}]`;
    const { status, body } = await app.call("/v1/events", text, { prefer: "return=representation" });
    expect({ status, code: body["code"] }).toEqual({ status: 400, code: "malformed_json" });
    expect(await said("flawed")).toBeUndefined();
  });

  it("with handling=strict, an event behind the first batch that is rejected stops all of them", async () => {
    const all = [...events("stopped", 300), ...events("stopped-too", 1, { large: "very" })];
    const { status, body } = await app.call("/v1/events", all, {
      prefer: "return=representation, handling=strict",
    });
    expect({ status, code: body["code"], accepted: body["accepted"] }).toEqual({
      status: 422,
      code: "strict",
      accepted: 0,
    });
    expect(await said("stopped")).toBeUndefined();
  });

  it("with handling=strict, an id that turns out to be reused is told of, and hides nothing of what was taken", async () => {
    await app.call("/v1/events", events("known", 1));
    const all = [...events("reused", 300), { ...events("known", 1)[0], data: { large: false } }];
    const { status, body } = await app.call("/v1/events", all, {
      prefer: "return=representation, handling=strict",
    });
    expect({ status, accepted: body["accepted"], rejected: body["rejected"] }).toEqual({
      status: 207,
      accepted: 300,
      rejected: 1,
    });
    expect(await said("reused")).toEqual({ said: 300 });
  });
});
