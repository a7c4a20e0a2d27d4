/** Reading state over HTTP: by key, in batches, as a scan in order; and what there is to be read. */
import { beforeAll, describe, expect, test } from "vitest";
import { add, ask, fetchApp, get, postEvents, postJson, stateOf, type Answer } from "../http.ts";

/** In the order of their UTF-8 bytes; that of UTF-16 would put the surrogate pairs before U+E000. */
const KEYS = [
  "\u0000",
  " ",
  "!",
  "A",
  "Z",
  "a",
  "a/",
  "a//b",
  "aa",
  "ab",
  "b",
  "~",
  "\u007f",
  "é",
  "ü",
  "—",
  "한",
  "\ue000",
  "\ufeff",
  "\uffff",
  "\u{10000}",
  "😀",
  "😀a",
  "\u{10ffff}",
].map((key) => `scan:${key}`);

const path = (parameters: Record<string, string>): string =>
  `/v1/operators/tally/state?${new URLSearchParams(parameters).toString()}`;

/** All pages of a scan. */
async function scan(parameters: Record<string, string>): Promise<string[][]> {
  const pages: string[][] = [];
  for (let cursor: string | undefined; pages.length < 100;) {
    const { body } = await get(path(cursor === undefined ? parameters : { ...parameters, cursor }));
    pages.push((body["items"] as { key: string }[]).map(({ key }) => key));
    if (!("cursor" in body)) return pages;
    cursor = body["cursor"] as string;
  }
  throw new Error("the scan has no end");
}

beforeAll(async () => {
  const events = KEYS.toReversed().map((key, i) => add(key, i));
  expect((await postEvents(events)).body).toMatchObject({ accepted: KEYS.length });
});

describe("by key", () => {
  test("the value, and where and when it was changed last", async () => {
    const asked = await ask("tally", add("where", 3));
    const { status, headers, body } = await get("/v1/operators/tally/state?key=where");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("application/json");
    expect(body).toEqual({
      operator: "tally",
      key: "where",
      value: { n: 3, events: 1 },
      partition: asked.body["partition"],
      seq: asked.body["seq"],
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(Math.abs(Date.now() - Date.parse(body["time"] as string))).toBeLessThan(30_000);
  });

  test("in the path, which is decoded once", async () => {
    for (const key of ["short", "a b/c", "50%", "a%2Fb", "ü😀", "x?y#z", "batch"]) {
      await postEvents(add(key));
      const { status, body } = await get(`/v1/operators/tally/state/${encodeURIComponent(key)}`);
      expect({ status, key: body["key"] }).toEqual({ status: 200, key });
    }
    expect((await get("/v1/operators/tally/state/a%252Fb")).body["key"]).toBe("a%2Fb");
    expect((await get("/v1/operators/tally/state/a%20b/c")).body["key"]).toBe("a b/c");
  });

  test("of an operator that is named like its path", async () => {
    await postEvents({ type: "state.noted", key: "K" });
    expect((await get("/v1/operators/state/state/K")).body).toMatchObject({ key: "K", value: { noted: 1 } });
    expect((await get("/v1/operators/state/state?key=K")).body).toMatchObject({ key: "K" });
  });

  test("an ETag, which changes with the value alone", async () => {
    await postEvents(add("tagged"));
    const tag = async (): Promise<string> => (await get(path({ key: "tagged" }))).headers.get("etag")!;
    const before = await tag();
    expect(before).toMatch(/^"[^"]+"$/);
    for (const known of [before, `W/${before}`, `"other", ${before}`, "*"]) {
      const response = await fetchApp(path({ key: "tagged" }), { headers: { "if-none-match": known } });
      expect({ known, status: response.status, body: await response.text() }).toEqual({ known, status: 304, body: "" });
      expect(response.headers.get("etag")).toBe(before);
    }
    await postEvents(add("another key"));
    expect(await tag()).toBe(before);
    await postEvents(add("tagged"));
    expect(await tag()).not.toBe(before);
    expect((await get(path({ key: "tagged" }), { "if-none-match": before })).status).toBe(200);
  });

  test("a read after the answer to a write sees it", async () => {
    for (let n = 1; n <= 20; n++) {
      await postEvents(add("after"));
      expect(await stateOf("tally", "after")).toEqual({ n, events: n });
    }
  });
});

describe("in batches", () => {
  const batch = (keys: readonly string[]): Promise<Answer> => postJson("/v1/operators/tally/state/batch", { keys });

  test("found and missing, in the order asked, each once", async () => {
    const { status, body } = await batch(["nobody", KEYS[3]!, KEYS[21]!, "__proto__", KEYS[3]!]);
    expect(status).toBe(200);
    expect(body).toEqual({
      items: [
        { key: KEYS[3], value: { n: 20, events: 1 }, seq: expect.any(Number) },
        { key: KEYS[21], value: { n: 2, events: 1 }, seq: expect.any(Number) },
      ],
      missing: ["nobody", "__proto__"],
    });
  });

  test("none, and five hundred", async () => {
    expect((await batch([])).body).toEqual({ items: [], missing: [] });
    const keys = Array.from({ length: 500 }, (_, i) => `missing-${i}`);
    expect((await batch(keys)).body).toEqual({ items: [], missing: keys });
  });
});

describe("what is too much for one answer", () => {
  test("is refused by a batch, and comes in parts of it", async () => {
    const data = { text: "z".repeat(200_000) };
    const keys = Array.from({ length: 150 }, (_, i) => `heavy-${i}`);
    for (let i = 0; i < keys.length; i += 25)
      await postEvents(keys.slice(i, i + 25).map((key) => ({ type: "left.noted", key, data })));
    const batch = (some: readonly string[]): Promise<Answer> =>
      postJson("/v1/operators/left/state/batch", { keys: some });
    const { status, body } = await batch(keys);
    expect({ status, code: body["code"] }).toEqual({ status: 413, code: "answer_too_large" });
    expect((await batch(keys.slice(0, 50))).body["items"]).toHaveLength(50);
  });
});

describe("IN2: scans over four partitions", () => {
  test.each([1, 2, 5, 7, 23, 24, 25, 1_000])("in pages of %i", async (limit) => {
    const pages = await scan({ prefix: "scan:", limit: String(limit) });
    expect(pages.flat()).toEqual(KEYS);
    expect(pages.every((page) => page.length <= limit && page.length > 0)).toBe(true);
    expect(pages).toHaveLength(Math.ceil(KEYS.length / limit));
  });

  test("values come with the keys", async () => {
    const { body } = await get(path({ prefix: "scan:A" }));
    expect(body).toEqual({ items: [{ key: "scan:A", value: { n: 20, events: 1 } }] });
  });

  test.each([
    ["scan:a", ["a", "a/", "a//b", "aa", "ab"]],
    ["scan:a/", ["a/", "a//b"]],
    ["scan:😀", ["😀", "😀a"]],
    ["scan:\u{10ffff}", ["\u{10ffff}"]],
    ["scan;", []],
    ["nothing", []],
  ])("with the prefix %j", async (prefix, keys) => {
    for (const limit of ["1", "100"])
      expect((await scan({ prefix, limit })).flat()).toEqual(keys.map((key) => `scan:${key}`));
  });

  test("without prefix every key comes once, a hundred a page", async () => {
    await postEvents(Array.from({ length: 150 }, (_, i) => add(`more-${i}`)));
    const pages = await scan({});
    const keys = pages.flat();
    expect(pages[0]).toHaveLength(100);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.filter((key) => key.startsWith("scan:"))).toEqual(KEYS);
    expect(keys.filter((key) => key.startsWith("more-"))).toHaveLength(150);
  });

  test("pages are bounded in bytes too, and nothing is lost by it", async () => {
    const keys = Array.from({ length: 24 }, (_, i) => `large-${String(i).padStart(2, "0")}`);
    const data = { text: "z".repeat(200_000) };
    // Two partitions with about twelve keys of 400 kB each, in no order.
    for (const key of keys.toReversed()) {
      const event = { type: "left.noted", key, data };
      expect((await postEvents([event, event])).body).toMatchObject({ accepted: 2 });
    }
    const found: string[] = [];
    for (let cursor = ""; ;) {
      const { body } = await get(`/v1/operators/left/state?prefix=large-${cursor}`);
      const items = body["items"] as { key: string }[];
      expect(items.length).toBeLessThan(16);
      found.push(...items.map(({ key }) => key));
      if (!("cursor" in body)) break;
      cursor = `&cursor=${String(body["cursor"])}`;
    }
    expect(found).toEqual(keys);
  });
});

describe("what there is", () => {
  test("operators", async () => {
    const { status, body } = await get("/v1/operators");
    expect(status).toBe(200);
    expect(body).toContainEqual({ name: "tally", version: 1, events: ["tally.add"], partitions: 4 });
    expect(body).toContainEqual({
      name: "credits",
      version: 1,
      events: ["credits.bought", "credits.take", "account.closed"],
      partitions: 1,
    });
  });

  test("health", async () => {
    expect((await fetchApp("/healthz")).status).toBe(200);
  });
});
