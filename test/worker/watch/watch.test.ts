/** Watching a key: the value now, then each change that is in the log, whatever becomes of the object meanwhile. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { partitionName } from "../../../src/engine/base/ids.ts";
import type { Grant } from "../../../src/keyframe.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { hubs } from "../../../src/worker/watch/watch-route.ts";
import { WATCH_PROTOCOL } from "../../../src/worker/watch/watch-wire.ts";
import { all } from "../app.ts";
import { EventSource, watchPath, type Seen } from "./event-source.ts";
import { d1 } from "../gated-partition.ts";
import { add, ask, BASE, call, expectProblem, fetchApp, postEvents, postJson, readAnswer } from "../http.ts";
import { patiently } from "../patiently.ts";

const sources: EventSource[] = [];
async function watching(operator: string, key: string, headers: Record<string, string> = {}): Promise<EventSource> {
  const source = await EventSource.open(operator, key, headers);
  sources.push(source);
  return source;
}

afterEach(async () => {
  d1.silent = false;
  await Promise.all(sources.splice(0).map((source) => source.close()));
  await patiently(() => expect(hubs.counts).toEqual({ hubs: 0, members: 0, chars: 0 }));
});

const echoStub = (partition = 0) => env.PARTITION.getByName(partitionName({ line: 1, operator: "echo", partition }));
/** Connections of all objects of the operator. */
async function connections(operator: string, partitions: number): Promise<number> {
  let sum = 0;
  for (let partition = 0; partition < partitions; partition++)
    sum += await runInDurableObject(
      env.PARTITION.getByName(partitionName({ line: 1, operator, partition })),
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
    // Behind nginx not one byte would arrive.
    expect(source.headers.get("x-accel-buffering")).toBe("no");
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
      // A reader that continues takes over.
      const heard = Promise.all(many.map((source) => source.until({ n, events: n })));
      await patiently(async () => expect(await connections("tally", 4)).toBe(1));
      await postEvents(add("w-many", 1));
      await heard;
      for (const source of many.splice(0, 5)) await source.close();
    }
    await patiently(async () => expect(await connections("tally", 4)).toBe(0));
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
      expect((await postJson(`/v1/operators/echo/partitions/${String(body["partition"])}/evict`, null)).status).toBe(
        200,
      );
      // Perhaps before the watcher's connection is made anew, perhaps after.
      if (said % 2 === 0) await patiently(async () => expect(await connections("echo", 2)).toBe(1));
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

  it("hears what holds after the log was restored to an older point and adopted, though it was told of later events", async () => {
    const source = await watching("echo", "w-back");
    await source.next();
    const { body } = await say("w-back");
    await source.next();
    const stub = echoStub(body["partition"] as number);
    // As if it had heard of events that D1 has lost.
    await runInDurableObject(stub, (_, ctx) => {
      for (const socket of ctx.getWebSockets()) {
        const { key, sent } = socket.deserializeAttachment() as { key: string; sent: number };
        if (key === "w-back") socket.serializeAttachment({ key, sent: sent + 1_000 });
      }
    });
    await evictDurableObject(stub, { webSockets: "hibernate" });
    await say("w-back");
    expect(value(await source.next())).toEqual({ said: 2 });
    await say("w-back");
    expect(value(await source.next())).toEqual({ said: 3 });
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

describe("a connection to the object", () => {
  const address = { line: 1, operator: "echo", partition: 0, seed: 1, database: "LOG_0" };
  const open = (key: string, protocol: string | null): Promise<Response> =>
    echoStub().fetch(
      `https://partition/watch?${new URLSearchParams({ key, address: JSON.stringify(address) }).toString()}`,
      { headers: { upgrade: "websocket", ...(protocol === null ? {} : { "sec-websocket-protocol": protocol }) } },
    );

  it.each([null, "keyframe.watch.2", "chat"])("CODE1: of another protocol is refused by name: %s", async (protocol) => {
    const answer = await readAnswer(await open("w-proto", protocol));
    expect([answer.status, answer.body["code"]]).toEqual([503, "superseded"]);
  });

  it.each(["", "hello", "[]", '{"n":1}', '{"n":-1,"have":0}', '{"n":1,"have":1.5}'])(
    "that sends %j is closed, and the object lives on",
    async (text) => {
      const socket = (await open("w-noise", WATCH_PROTOCOL)).webSocket!;
      const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
      socket.accept();
      socket.send(text);
      expect(await closed).toBe(1008);
      expect(await say("w-noise")).toMatchObject({ status: 200 });
    },
  );
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
    expect((await fetchApp(watchPath("tally", "a"), { method: "HEAD" })).status).toBe(405);
  });

  it.each<[string, Grant | null, string]>([
    ["nobody", null, "unknown_caller"],
    ["who may send alone", { may: ["ingest"] }, "wrong_role"],
    ["who has another prefix", { may: ["read"], keyPrefix: "other/" }, "key_not_allowed"],
    ["who has a longer prefix", { may: ["admin"], keyPrefix: "acme/ada/" }, "key_not_allowed"],
    ["nobody: who may read", { may: ["read"], keyPrefix: "acme/" }, "200"],
    ["nobody: who is admin", { may: ["admin"] }, "200"],
  ])("to %s", async (_, grant, expected) => {
    const http = routesOf(new App(all), () => grant);
    const response = await http.fetch(new Request(`${BASE}${watchPath("tally", "acme/ada")}`), env);
    if (response.status === 200) {
      await response.body!.cancel();
      expect(expected).toBe("200");
    } else {
      const answer = await readAnswer(response);
      expectProblem(answer);
      expect(answer.body["code"]).toBe(expected);
    }
  });

  it("to a token that may not read, and to strangers", async () => {
    const http = routesOf(new App(all));
    const around = { ...env, READ_TOKEN: "reader", INGEST_TOKEN: "sender" };
    const codes: unknown[] = [];
    for (const token of ["", "Bearer wrong", "Bearer sender"]) {
      const request = new Request(`${BASE}${watchPath("tally", "a")}`, { headers: { authorization: token } });
      codes.push((await readAnswer(await http.fetch(request, around))).body["code"]);
    }
    expect(codes).toEqual(["no_token", "bad_token", "wrong_role"]);
  });

  it("with the reason, where the partition can't be read", async () => {
    const broken = { ...env, PARTITION: { getByName: () => ({ fetch: () => Promise.reject(new Error("gone")) }) } };
    const http = routesOf(new App(all));
    const answer = await readAnswer(await http.fetch(new Request(`${BASE}${watchPath("tally", "w-broken")}`), broken));
    expectProblem(answer);
    expect([answer.status, answer.body["code"], answer.headers.get("retry-after")]).toEqual([
      503,
      "partition_gone",
      "1",
    ]);
  });
});
