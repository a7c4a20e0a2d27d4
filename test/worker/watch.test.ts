/** Watching a key: the value now, then each change that is in the log, whatever becomes of the object meanwhile. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { partitionName } from "../../src/engine/ids.ts";
import { hubs } from "../../src/worker/watch-route.ts";
import { EventSource, watchPath, type Seen } from "./event-source.ts";
import { d1 } from "./gated-partition.ts";
import { add, ask, call, postEvents, postJson } from "./http.ts";

const sources: EventSource[] = [];
async function watching(operator: string, key: string, headers: Record<string, string> = {}): Promise<EventSource> {
  const source = await EventSource.open(operator, key, headers);
  sources.push(source);
  return source;
}

afterEach(async () => {
  d1.silent = false;
  await Promise.all(sources.splice(0).map((source) => source.close()));
  await vi.waitFor(() => expect(hubs.counts).toEqual({ hubs: 0, members: 0, chars: 0 }));
});

const echoStub = (partition = 0) =>
  env.PARTITION.getByName(partitionName({ timeline: "main", operator: "echo", partition }));
/** Connections of all objects of the operator. */
async function connections(operator: string, partitions: number): Promise<number> {
  let sum = 0;
  for (let partition = 0; partition < partitions; partition++)
    sum += await runInDurableObject(
      env.PARTITION.getByName(partitionName({ timeline: "main", operator, partition })),
      (_, ctx) => ctx.getWebSockets().length,
    );
  return sum;
}
const value = ({ value }: Seen): unknown => value;
const say = (key: string, type = "echo.say") => ask("echo", { type, key, data: null });

describe("a watcher", () => {
  it("hears the value now, then each change, with its seq as id", async () => {
    expect((await postEvents(add("w-now", 3))).status).toBe(200);
    const source = await watching("tally", "w-now");
    expect(source.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(source.headers.get("cache-control")).toBe("no-store");
    const first = await source.next();
    expect(first).toEqual({ key: "w-now", value: { n: 3, events: 1 }, seq: expect.any(Number) });
    expect(source.stream.lastId).toBe(String(first.seq));
    expect(source.stream.retryMs).toBeGreaterThan(0);
    await postEvents(add("w-now", 4));
    const second = await source.next();
    expect(value(second)).toEqual({ n: 7, events: 2 });
    expect(second.seq).toBeGreaterThan(first.seq!);
    expect((await call("/v1/operators/tally/state?key=w-now")).body).toMatchObject({ seq: second.seq });
  });

  it("hears that there is no state, that there is one, and that it is gone", async () => {
    const source = await watching("echo", "w-gone");
    expect(await source.next()).toEqual({ key: "w-gone", value: null, seq: null });
    await say("w-gone");
    expect(value(await source.next())).toEqual({ said: 1 });
    const { body } = await say("w-gone", "echo.forget");
    expect(await source.next()).toEqual({ key: "w-gone", value: null, seq: body["seq"] });
    expect(source.stream.lastId).toBe(String(body["seq"]));
    await say("w-gone");
    expect(value(await source.next())).toEqual({ said: 1 });
  });

  it("hears nothing of other keys, nor of events that change nothing", async () => {
    const source = await watching("echo", "w-quiet");
    await source.next();
    await say("w-other");
    await say("w-quiet", "echo.refuse");
    await say("w-quiet");
    expect(value(await source.next())).toEqual({ said: 1 });
  });

  it("has in its first value what was acknowledged before it came, also where others watch already", async () => {
    const early = await watching("tally", "w-fresh");
    for (let n = 1; n <= 20; n++) {
      await postEvents(add("w-fresh", 1));
      const late = await watching("tally", "w-fresh");
      expect(value(await late.next())).toEqual({ n, events: n });
    }
    expect(value((await early.until({ n: 20, events: 20 })).at(-1)!)).toEqual({ n: 20, events: 20 });
  });

  it("whose reader is slow skips values and gets the newest; none comes twice or out of order", async () => {
    const source = await watching("tally", "w-slow");
    const fast = await watching("tally", "w-slow");
    const all = fast.until({ n: 300, events: 300 });
    for (let round = 0; round < 30; round++) await postEvents(Array.from({ length: 10 }, () => add("w-slow", 1)));
    const seen = await source.until({ n: 300, events: 300 });
    expect(seen.length).toBeLessThan(10);
    for (const list of [seen, await all]) {
      const seqs = list.slice(1).map(({ seq }) => seq!);
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    }
  });

  it.each(["..", "a/b&c=d", "ключ ☃", "x".repeat(1024), "日".repeat(341)])("may name any key: %s", async (key) => {
    const source = await watching("tally", key);
    await postEvents(add(key, 1));
    expect((await source.until({ n: 1, events: 1 })).at(-1)).toMatchObject({ key });
  });

  it("gets the largest state whole", async () => {
    const text = "é".repeat(500_000);
    const source = await watching("left", "w-large");
    // A state grows by events of 256 KiB.
    for (let i = 0; i < 4; i++)
      expect(
        (await ask("left", { type: "left.noted", key: "w-large", data: { text: text.slice(0, 125_000) } })).status,
      ).toBe(200);
    const texts = Array.from({ length: 4 }, () => text.slice(0, 125_000));
    await source.until({ texts });
  });

  it("who comes back with the id of its last message hears only what is new", async () => {
    await postEvents(add("w-back", 1));
    const source = await watching("tally", "w-back");
    const { seq } = await source.next();
    await source.close();
    const again = await watching("tally", "w-back", { "last-event-id": String(seq) });
    await postEvents(add("w-back", 1));
    expect(value(await again.next())).toEqual({ n: 2, events: 2 });
    const late = await watching("tally", "w-back", { "last-event-id": String(seq) });
    expect(value(await late.next())).toEqual({ n: 2, events: 2 });
  });
});

describe("many watchers of a key", () => {
  it("hear the same over one connection, also when the one whose request holds it goes first", async () => {
    const many = await Promise.all(Array.from({ length: 20 }, () => watching("tally", "w-many")));
    await Promise.all(many.map((source) => source.next()));
    expect([hubs.counts.hubs, hubs.counts.members, await connections("tally", 4)]).toEqual([1, 20, 1]);
    for (let n = 1; many.length > 0; n++) {
      await postEvents(add("w-many", 1));
      for (const source of many) await source.until({ n, events: n });
      for (const source of many.splice(0, 5)) await source.close();
      await vi.waitFor(async () => expect(await connections("tally", 4)).toBe(many.length > 0 ? 1 : 0));
    }
    expect(hubs.counts).toEqual({ hubs: 0, members: 0, chars: 0 });
  });
});

describe("LOG1: what isn't in the log yet", () => {
  it("is heard by nobody, and then by all", async () => {
    const source = await watching("tally", "w-log");
    await source.next();
    d1.silent = true;
    const answer = postEvents(add("w-log", 5));
    let heard: Seen | null = null;
    const next = source.next().then((seen) => (heard = seen));
    const wait = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 1_500))]);
    expect([wait, heard]).toEqual([undefined, null]);
    d1.silent = false;
    await next;
    expect(heard).toMatchObject({ value: { n: 5, events: 1 } });
    expect((await answer).status).toBe(200);
  });
});

describe("when the object", () => {
  it("is dropped from memory as by a crash, its watchers miss nothing", async () => {
    const source = await watching("echo", "w-crash");
    await source.next();
    for (let said = 1; said <= 4; said++) {
      const { body } = await say("w-crash");
      await source.until({ said });
      expect((await postJson(`/v1/operators/echo/partitions/${body["partition"]}/evict`, null)).status).toBe(200);
      // Perhaps before the watcher's connection is made anew, perhaps after.
      if (said % 2 === 0) await vi.waitFor(async () => expect(await connections("echo", 2)).toBe(1));
    }
    await say("w-crash");
    const seen = await source.until({ said: 5 });
    expect(seen.map(value)).toEqual([{ said: 5 }]);
  });

  it("hibernates, the connection stays, nothing wakes it, and the first commit after it is heard", async () => {
    const source = await watching("echo", "w-sleep");
    await source.next();
    const { body } = await say("w-sleep");
    await source.next();
    for (let said = 2; said <= 4; said++) {
      await evictDurableObject(echoStub(body["partition"] as number), { webSockets: "hibernate" });
      expect(hubs.counts.members).toBe(1);
      await say("w-sleep");
      expect(value(await source.next())).toEqual({ said });
    }
    expect(await connections("echo", 2)).toBe(1);
  });

  it("hibernates while one comes that is the second for the key", async () => {
    const source = await watching("echo", "w-second");
    await source.next();
    const { body } = await say("w-second");
    await source.next();
    await evictDurableObject(echoStub(body["partition"] as number), { webSockets: "hibernate" });
    const second = await watching("echo", "w-second");
    expect(value(await second.next())).toEqual({ said: 1 });
    await say("w-second");
    for (const each of [source, second]) expect(value(await each.next())).toEqual({ said: 2 });
  });
});

describe("watch is refused", () => {
  it.each([
    ["no key", "/v1/operators/tally/watch", 400, "invalid_key"],
    ["an empty key", "/v1/operators/tally/watch?key=", 400, "invalid_key"],
    ["a key that is too long", watchPath("tally", "x".repeat(1025)), 400, "invalid_key"],
    ["a key without a group", watchPath("shelves", "none"), 400, "invalid_key"],
    ["an operator that isn't there", watchPath("nobody", "a"), 404, "no_operator"],
    ["a timeline that isn't there", `${watchPath("tally", "a")}&timeline=other`, 404, "no_timeline"],
    ["another moment", `${watchPath("tally", "a")}&at=2026-01-01T00:00:00Z`, 400, "unsupported_parameter"],
  ])("with %s", async (_, path, status, code) => {
    const answer = await call(path);
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  it("to HEAD, which has no stream to read", async () => {
    expect((await call(watchPath("tally", "a"), { method: "HEAD" }).catch(() => null))?.status ?? 405).toBe(405);
  });
});
