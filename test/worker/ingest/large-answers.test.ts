/** An answer that is too large for one call between a Worker and an object (32 MiB) comes in several, unseen by callers. */
import { z } from "zod";
import { beforeAll, describe, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";

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

/** Takes nothing: all of it is quarantined, in two partitions. */
const torn = operator("torn", {
  version: 1,
  partitions: 2,
  events: { "torn.noted": z.object({ n: z.int() }) },
  initial: () => ({ n: 0 }),
  on: {
    "torn.noted"() {
      throw new Error("torn");
    },
  },
});

/** As many partitions as make the parts of one answer a matter of memory. */
const wide = operator("wide", {
  version: 1,
  partitions: 32,
  events: { "wide.noted": z.object({ text: z.string() }) },
  initial: () => ({ texts: [] as string[] }),
  on: { "wide.noted": (state, event) => void state.texts.push(event.data.text) },
});

let app: Deployment;
beforeAll(async () => {
  app = await deploy(loud, torn, wide);
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

describe("a quarantine", () => {
  interface Item {
    readonly id: string;
    readonly partition: number;
    readonly seq: number;
  }
  const list = async (query: string): Promise<{ items: Item[]; cursor: string | undefined }> => {
    const { status, body } = await app.call(`/v1/operators/torn/quarantine${query}`);
    expect(status).toBe(200);
    return { items: body["items"] as Item[], cursor: body["cursor"] as string | undefined };
  };
  /** Page by page; the items of each. */
  async function pages(query: string): Promise<Item[][]> {
    const all: Item[][] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const page = await list(`?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`);
      all.push(page.items);
      ({ cursor } = page);
    }
    return all;
  }
  const notes = (count: number, more: Record<string, unknown> = {}) =>
    Array.from({ length: count }, (_, n) => ({ type: "torn.noted", key: `k${n}`, data: { n }, ...more }));
  const place = ({ partition, seq }: Item): number => partition * 1_000_000 + seq;

  it("comes as one answer where it is small, or in pages, by partition and seq", async () => {
    expect(await list("")).toEqual({ items: [], cursor: undefined });
    await app.call("/v1/events", notes(24));
    const whole = await list("");
    expect(whole.cursor).toBeUndefined();
    expect(whole.items).toHaveLength(24);
    expect(new Set(whole.items.map(({ partition }) => partition))).toEqual(new Set([0, 1]));
    expect(whole.items.map(place)).toEqual(whole.items.map(place).sort((a, b) => a - b));
    for (const limit of [1, 5, 24, 1_000]) {
      const found = await pages(`limit=${limit}`);
      expect(found.flat()).toEqual(whole.items);
      expect(found).toHaveLength(Math.ceil(24 / limit));
    }
  });

  it("LOG6: near its bound it comes in pages that a call can carry, and each entry can be steered", async () => {
    const pad = `€${"x".repeat(260_900)}`;
    // In one partition 64 of these are the bound, and twice their characters are more than a call carries.
    const large = notes(64, { key: "k".repeat(1_000), pad });
    for (let i = 0; i < large.length; i += 16)
      expect((await app.call("/v1/events", large.slice(i, i + 16))).body).toMatchObject({ quarantined: 16 });
    const found = await pages("");
    expect(found.length).toBeGreaterThan(3);
    expect(found.flat()).toHaveLength(24 + 64);
    expect(found.flat().map(place)).toEqual([...new Set(found.flat().map(place))].sort((a, b) => a - b));
    const last = found.flat().at(-1)!;
    expect((await app.call(`/v1/operators/torn/quarantine/${last.id}/retry`, {})).body).toMatchObject({
      status: "quarantined",
      error: "torn",
    });
  });
});

describe("state over many partitions", () => {
  const KEYS = Array.from({ length: 96 }, (_, i) => `wide-${String(i).padStart(2, "0")}`);

  it("LOG6: a scan is bounded over all of them together, and loses nothing by it", async () => {
    const data = { text: "z".repeat(240_000) };
    for (let from = 0; from < KEYS.length; from += 32) {
      const some = KEYS.slice(from, from + 32).map((key) => ({ type: "wide.noted", key, data }));
      expect((await app.call("/v1/events", some)).body).toMatchObject({ accepted: 32 });
    }
    const found: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const from = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body } = await app.call(`/v1/operators/wide/state?limit=1000${from}`);
      const items = body["items"] as { key: string }[];
      // 32 shares of 250,000 characters, and one state more in each.
      expect(items.length * 240_000).toBeLessThan(8_000_000 + 32 * 240_000);
      found.push(...items.map(({ key }) => key));
      cursor = body["cursor"] as string | undefined;
    }
    expect(found).toEqual(KEYS);
  });

  it("LOG6: so is a batch, of which fewer keys can be asked", async () => {
    const batch = (keys: readonly string[]) => app.call("/v1/operators/wide/state/batch", { keys });
    const { status, body } = await batch(KEYS);
    expect({ status, code: body["code"] }).toEqual({ status: 413, code: "answer_too_large" });
    // However they are spread: what one partition doesn't use, another one may.
    expect((await batch(KEYS.slice(0, 49))).body["items"]).toHaveLength(49);
  });
});
