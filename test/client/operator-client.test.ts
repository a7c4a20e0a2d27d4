/** Asking and reading, against an app that answers as it is told. */
import { describe, expect, it } from "vitest";
import { client, KeyframeError, type ClientOptions } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault, type Seen } from "./scripted-app.ts";

const creditsOf = (app: ScriptedApp, options: Partial<ClientOptions> = {}) =>
  client({ url: "http://app.test", fetch: app.fetch, clock: app.clock, uuid: () => "made", ...options }).operator<
    typeof credits
  >("credits");
const answering = (...faults: Fault[]): ScriptedApp => new ScriptedApp((_, attempt) => faults[attempt - 1]!);
const answer = (status: number, body: unknown): Fault => ({ tag: "answer", status, body });
const lost: Fault = { tag: "lost", taken: true };
const take = { account: "ada", n: 1 };
const placed = { key: "ada", partition: 0, seq: 7, duplicate: false };
const failed = (error: unknown): KeyframeError => error as KeyframeError;

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("ask", () => {
  it.each<[string, number, object, object]>([
    ["applied", 200, { value: { left: 4 }, ...placed }, { tag: "applied", value: { left: 4 }, ...placed }],
    [
      "applied, without a reply",
      200,
      { value: null, ...placed, duplicate: true },
      { tag: "applied", value: null, ...placed, duplicate: true },
    ],
    [
      "refused",
      409,
      { code: "insufficient_credits", detail: { left: 0 }, ...placed },
      { tag: "refused", code: "insufficient_credits", detail: { left: 0 }, ...placed },
    ],
    [
      "refused with a code that the app has too",
      409,
      { code: "id_reused", detail: null, ...placed },
      { tag: "refused", code: "id_reused", detail: null, ...placed },
    ],
    [
      "quarantined",
      422,
      { code: "quarantined", detail: "the handler threw: oh", ...placed },
      { tag: "quarantined", message: "the handler threw: oh", ...placed },
    ],
  ])("resolves with what was decided: %s", async (_, status, body, wanted) => {
    const app = answering(answer(status, body));
    expect(await app.run(creditsOf(app).ask("credits.take", take))).toEqual(wanted);
    const { path, method, text } = app.seen[0]!;
    expect([path, method, JSON.parse(text)]).toEqual([
      "/v1/operators/credits/ask",
      "POST",
      { id: "made", type: "credits.take", data: take },
    ]);
  });

  it("ONE1: asks again under one id until it is answered", async () => {
    const app = answering(lost, answer(503, { code: "fenced" }), answer(200, { value: { left: 1 }, ...placed }));
    const options = { id: "mine", key: "ada", time: "2026-01-01T00:00:00Z" };
    await app.run(creditsOf(app).ask("credits.take", take, options));
    expect(new Set(app.seen.map(({ text }) => text)).size).toBe(1);
    expect(JSON.parse(app.seen[2]!.text)).toEqual({ ...options, type: "credits.take", data: take });
  });

  it.each([
    [409, { code: "id_reused", detail: "the id belongs to another event", key: "ada", partition: 0, seq: 3 }],
    [422, { code: "invalid_data", detail: "n must be positive" }],
    [404, { code: "no_operator", detail: "there is none" }],
    [401, { code: "bad_token", detail: "not known" }],
  ])("throws where nothing was decided: %i %j", async (status, body) => {
    const app = answering(answer(status, body));
    const error = failed(
      await app.run(
        creditsOf(app)
          .ask("credits.take", take)
          .catch((error: unknown) => error),
      ),
    );
    expect(error).toBeInstanceOf(KeyframeError);
    expect([error.status, error.code, error.detail]).toEqual([status, body.code, body.detail]);
  });
});

describe("reading state", () => {
  const value = { left: 1, taken: 0 };

  it("get gives the entry, or null", async () => {
    const entry = { operator: "credits", key: "a/ b?", value, partition: 0, seq: 3, time: "2026-01-01T00:00:00.000Z" };
    const app = answering(lost, answer(200, entry), answer(404, { code: "no_state", detail: "none" }));
    const of = creditsOf(app);
    expect(await app.run(of.get("a/ b?"))).toEqual(entry);
    expect(await app.run(of.get(".."))).toBeNull();
    expect(app.seen.map(({ path }) => path)).toEqual([
      "/v1/operators/credits/state?key=a%2F%20b%3F",
      "/v1/operators/credits/state?key=a%2F%20b%3F",
      "/v1/operators/credits/state?key=..",
    ]);
  });

  it("timers gives what is pending, or null", async () => {
    const found = {
      operator: "credits",
      key: "a",
      timers: [{ name: "remind", due: "2026-01-02T00:00:00.000Z" }],
      expires: null,
      partition: 0,
      seq: 3,
      time: "2026-01-01T00:00:00.000Z",
    };
    const app = answering(answer(200, found), answer(404, { code: "no_state", detail: "none" }));
    const of = creditsOf(app);
    expect(await app.run(of.timers("a"))).toEqual(found);
    expect(await app.run(of.timers("b"))).toBeNull();
    expect(app.seen.map(({ path }) => path)).toEqual([
      "/v1/operators/credits/timers?key=a",
      "/v1/operators/credits/timers?key=b",
    ]);
  });

  it("get throws where there is no such operator", async () => {
    const app = answering(answer(404, { code: "no_operator", detail: "there is none" }));
    await expect(app.run(creditsOf(app).get("a"))).rejects.toMatchObject({ code: "no_operator", status: 404 });
  });

  const keysOf = ({ text }: Seen): string[] => (JSON.parse(text) as { keys: string[] }).keys;

  it("getMany splits by 500, and where the states are too much for one answer", async () => {
    const app = new ScriptedApp((seen) => {
      const keys = keysOf(seen);
      if (keys.length > 300) return answer(413, { code: "answer_too_large", detail: "ask for fewer" });
      return answer(200, { items: keys.map((key) => ({ key, value, seq: 1 })), missing: [] });
    });
    const keys = Array.from({ length: 1_100 }, (_, n) => `k${n}`);
    const found = await app.run(creditsOf(app).getMany([...keys, "k0", "k1"]));
    expect([...found.keys()]).toEqual(keys);
    expect(found.get("k7")).toEqual({ key: "k7", value, seq: 1 });
    expect(app.seen.map((seen) => keysOf(seen).length)).toEqual([500, 250, 250, 500, 250, 250, 100]);
  });

  it("scan gives page after page, and begins only when asked", async () => {
    const page = (keys: string[], cursor?: string): Fault =>
      answer(200, { items: keys.map((key) => ({ key, value })), ...(cursor === undefined ? {} : { cursor }) });
    const app = answering(page(["a", "b"], "Yg"), lost, page([], "Yz"), page(["c"]));
    const scan = creditsOf(app).scan({ prefix: "&", limit: 2 });
    expect(app.seen).toEqual([]);
    const pages = await app.run(all(scan));
    expect(pages.map((items) => items.map(({ key }) => key))).toEqual([["a", "b"], ["c"]]);
    const first = "/v1/operators/credits/state?prefix=%26&limit=2";
    expect(app.seen.map(({ path }) => path)).toEqual([
      first,
      `${first}&cursor=Yg`,
      `${first}&cursor=Yg`,
      `${first}&cursor=Yz`,
    ]);
  });
});

describe("blame", () => {
  const event = { type: "t", id: "1", source: "/" };
  const item = { seq: 7, time: "t", event, outcome: { status: "applied" }, operatorVersion: 1, from: 1, to: 2 };
  const blame = (more: object) => answer(200, { operator: "credits", key: "é &", path: "/left", item: null, ...more });

  it("asks on until the event is found", async () => {
    const app = answering(blame({ before: 40 }), blame({ before: 12 }), blame({ item }));
    const found = await app.run(creditsOf(app).blame("é &", "/left"));
    expect(found).toEqual({ event: item, expired: false });
    const path = "/v1/operators/credits/blame?key=%C3%A9+%26&path=%2Fleft";
    expect(app.seen.map((seen) => seen.path)).toEqual([path, `${path}&before=40`, `${path}&before=12`]);
  });

  it("says that there is none, or that older events are deleted", async () => {
    for (const [more, expired] of [
      [{}, false],
      [{ expired: true }, true],
    ] as const) {
      const app = answering(blame(more));
      expect(await app.run(creditsOf(app).blame("k", "", { before: 9 }))).toEqual({ event: null, expired });
      expect(app.seen[0]!.path).toBe("/v1/operators/credits/blame?key=k&path=&before=9");
    }
  });

  it("asks for a moment once", async () => {
    const app = answering(blame({ before: 4, at: 1_806_200_000_000_000 }), blame({ item }));
    const past = client({ url: "http://app.test", fetch: app.fetch, clock: app.clock }).at("-1h");
    await app.run(past.operator<typeof credits>("credits").blame("k", "/left"));
    expect(app.seen.map(({ path }) => path.split("left")[1])).toEqual(["&at=-1h", "&before=4"]);
  });

  it.each([
    [blame({ before: 9 }), "unexpected_answer"],
    [blame({ item: { ...item, seq: "seven" } }), "unexpected_answer"],
    [blame({ item: 7 }), "unexpected_answer"],
    [answer(400, { code: "invalid_path", detail: "no" }), "invalid_path"],
  ])("throws where it can't go on: %j", async (fault, code) => {
    const app = answering(fault);
    await expect(app.run(creditsOf(app).blame("k", "", { before: 9 }))).rejects.toMatchObject({ code });
  });
});

describe("the history of a key", () => {
  const page = (items: readonly object[], more: object): Fault =>
    answer(200, { operator: "credits", key: "é &", items, ...more });
  const event = { type: "credits.take", id: "t", source: "/" };
  const entry = (seq: number) => ({
    seq,
    time: "t",
    event,
    outcome: { status: "applied" },
    operatorVersion: 1,
    value: null,
  });

  it("comes event by event, page by page, and says at its end whether there was more once", async () => {
    const app = answering(
      page([entry(9), entry(7)], { before: 7 }),
      answer(503, { code: "store_unavailable" }),
      page([], { before: 4 }),
      page([entry(2)], { expired: true }),
    );
    const seqs: number[] = [];
    const found = creditsOf(app).history("é &", { before: 12, limit: 2 });
    const end = await app.run(
      (async () => {
        for (;;) {
          const one = await found.next();
          if (one.done === true) return one.value;
          seqs.push(one.value.seq);
        }
      })(),
    );
    expect([seqs, end]).toEqual([[9, 7, 2], { expired: true }]);
    const path = "/v1/operators/credits/history?key=%C3%A9+%26&limit=2&before=";
    expect(app.seen.map((seen) => seen.path)).toEqual([12, 7, 7, 4].map((before) => `${path}${before}`));
  });

  it.each([
    [page([], { before: 12 }), "unexpected_answer"],
    [answer(400, { code: "invalid_key", detail: "no" }), "invalid_key"],
  ])("throws where it can't go on: %j", async (fault, code) => {
    const app = answering(fault);
    const found = app.run(all(creditsOf(app).history("k", { before: 12 })));
    await expect(found).rejects.toMatchObject({ code });
  });
});
