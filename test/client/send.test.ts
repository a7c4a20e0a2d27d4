/** Sending: batches, fates, repeats, back-pressure, numbers. Against an app that fails as it is told, on a virtual clock. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { client, KeyframeError, type ClientOptions, type Fate, type OutgoingEvent } from "../../src/client/client.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const NONE: Fault = { tag: "none" };
const ids = (): (() => string) => {
  let n = 0;
  return () => `made-${n++}`;
};
const clientOf = (app: ScriptedApp, options: Partial<ClientOptions> = {}) =>
  client({ url: "http://app.test/", fetch: app.fetch, clock: app.clock, random: () => 0.5, uuid: ids(), ...options });
const tick = (n: number): OutgoingEvent => ({ type: "tick", id: `e${n}`, key: "k", data: { n } });
const ticks = (from: number, to: number): OutgoingEvent[] =>
  Array.from({ length: to - from }, (_, i) => tick(from + i));
/** Fails on the given attempts (from 1). */
const failing = (faults: Readonly<Record<number, Fault>>): ScriptedApp =>
  new ScriptedApp((_, attempt) => faults[attempt] ?? NONE);
const pauses = (app: ScriptedApp): number[] => app.seen.slice(1).map(({ atMs }, i) => atMs - app.seen[i]!.atMs);
const failureOf = (promise: Promise<unknown>): Promise<KeyframeError> =>
  promise.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: unknown) => (error instanceof KeyframeError ? error : Promise.reject(error as Error)),
  );

describe("a batch", () => {
  it("leaves when it is full by events or bytes, or when its first event has waited", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { batch: { events: 10, bytes: 400, lingerMs: 20 } });
    const sent = kf.send(ticks(0, 25));
    await app.run(sent);
    expect(app.seen.map(({ events }) => events.length)).toEqual([7, 7, 7, 4]);
    for (const { text } of app.seen) expect(text.length + 1).toBeLessThanOrEqual(400);
    const few = clientOf(app, { batch: { events: 10, lingerMs: 20 } });
    const startMs = app.clock.now();
    await app.run(Promise.all([few.send(tick(100)), few.send(ticks(101, 104))]));
    expect(app.seen.slice(4).map(({ events, atMs }) => [events.length, atMs - startMs])).toEqual([[4, 20]]);
    expect(app.logged).toHaveLength(29);
  });

  it("travels packed if wished, and with the token", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { gzip: true, token: "secret" });
    await app.run(kf.send(tick(1)));
    const { headers, path } = app.seen[0]!;
    expect([path, headers.get("content-encoding"), headers.get("authorization")]).toEqual([
      "/v1/events",
      "gzip",
      "Bearer secret",
    ]);
    expect(app.logged).toEqual(["e1"]);
  });

  it("is alone under way unless told otherwise, so that order within a key holds", async () => {
    for (const [inFlight, most] of [
      [1, 1],
      [3, 3],
    ] as const) {
      const app = new ScriptedApp();
      const kf = clientOf(app, { inFlight, batch: { events: 2, lingerMs: 0 } });
      await app.run(kf.send(ticks(0, 12)));
      expect(app.mostUnderWay).toBe(most);
      expect(app.logged).toEqual(ticks(0, 12).map(({ id }) => id));
    }
  });

  it("says what became of each event", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app);
    await app.run(kf.send(tick(1)));
    const fates = await app.run(
      kf.send([
        tick(1),
        tick(2),
        { type: "refuse.too_poor", id: "r" },
        { type: "reject.unknown_type", id: "x" },
        { type: "throw", id: "q" },
        { type: "forget", id: "f" },
        { type: "half.sold_out", id: "h" },
      ]),
    );
    expect(fates).toEqual<Fate[]>([
      { tag: "duplicate", id: "e1", forgotten: false },
      { tag: "accepted", id: "e2", quarantined: false },
      { tag: "refused", id: "r", operator: "tally", code: "too_poor", detail: { left: 0 }, acceptedBy: [] },
      { tag: "rejected", id: "x", code: "unknown_type", message: "rejected: unknown_type", acceptedBy: [] },
      { tag: "accepted", id: "q", quarantined: true },
      { tag: "duplicate", id: "f", forgotten: true },
      { tag: "refused", id: "h", operator: "tally", code: "sold_out", detail: { left: 0 }, acceptedBy: ["audit"] },
    ]);
  });

  it("asks again for the reasons of rejected events that an answer has no room for", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { batch: { events: 1_000 } });
    const events = Array.from({ length: 1_000 }, (_, i) =>
      i % 4 === 0 ? tick(i) : { type: "reject.invalid_data", id: `x${i}` },
    );
    const fates = await app.run(kf.send(events));
    expect(fates.map(({ tag, id }) => `${tag} ${id}`)).toEqual(
      events.map(({ id }, i) => `${i % 4 === 0 ? "accepted" : "rejected"} ${id}`),
    );
    expect(app.seen.map(({ events }) => events.length)).toEqual([1_000, 650, 550, 450, 350, 250, 150, 50]);
  });
});

describe("a retry", () => {
  it("ONE1: has the same ids, also where the client made them", async () => {
    const app = failing({ 1: { tag: "lost", taken: false }, 2: { tag: "lost", taken: true } });
    const kf = clientOf(app);
    const fates = await app.run(kf.send([{ type: "tick" }, { type: "tick", id: "mine" }]));
    expect(app.seen.map(({ text }) => text)).toEqual([app.seen[0]!.text, app.seen[0]!.text, app.seen[0]!.text]);
    expect(app.logged).toEqual(["made-0", "mine"]);
    expect(fates.map(({ tag }) => tag)).toEqual(["duplicate", "duplicate"]);
  });

  it("resumes at `through`: what stands before it is decided, and keeps its first fate", async () => {
    const app = failing({ 1: { tag: "partly", through: 2, beyond: [3] } });
    const kf = clientOf(app);
    const fates = await app.run(kf.send(ticks(0, 5)));
    expect(app.seen.map(({ events }) => events.map(({ id }) => id))).toEqual([
      ["e0", "e1", "e2", "e3", "e4"],
      ["e2", "e3", "e4"],
    ]);
    expect(fates.map(({ tag }) => tag)).toEqual(["accepted", "accepted", "accepted", "duplicate", "accepted"]);
  });

  it("waits a random share of a bound that doubles, up to the largest", async () => {
    const shares = [0, 0.999, 0.5, 0.25, 1 - 1e-9];
    const app = failing(Object.fromEntries([1, 2, 3, 4, 5].map((n) => [n, { tag: "lost", taken: false }])));
    let drawn = 0;
    const random = (): number => shares[drawn++]!;
    app.latencyMs = 0;
    const kf = clientOf(app, { random, retry: { firstMs: 100, mostMs: 700 } });
    await app.run(kf.send(tick(1)));
    expect(pauses(app)).toEqual([0, 200, 200, 175, 700]);
  });

  it.each<[string, string, number]>([
    ["seconds", "7", 7_000],
    ["an HTTP date", new Date(Date.UTC(2026, 0, 1, 0, 0, 12)).toUTCString(), 12_000],
    ["a date that is past", "Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["nonsense", "soon", 0],
  ])("waits for Retry-After, and the jitter on top: %s", async (_, header, ms) => {
    const app = failing({ 1: { tag: "partly", through: 0, headers: { "retry-after": header } } });
    app.latencyMs = 0;
    const kf = clientOf(app, { batch: { lingerMs: 0 } });
    await app.run(kf.send(tick(1)));
    expect(pauses(app)).toEqual([ms + 100]);
  });

  it("comes after an attempt that nobody answers", async () => {
    const app = failing({ 1: { tag: "silent" } });
    const kf = clientOf(app, { retry: { attemptMs: 4_000 } });
    const fate = await app.run(kf.send(tick(1)));
    expect([fate.tag, pauses(app)]).toEqual(["accepted", [4_100]]);
  });

  it.each([408, 429, 500, 502, 503, 504, 522])("comes after %i", async (status) => {
    const app = failing({ 1: { tag: "answer", status, body: "<html>" } });
    expect((await app.run(clientOf(app).send(tick(1)))).tag).toBe("accepted");
  });

  it("comes after a body that broke off on its way, which is no fault of the events", async () => {
    const body = { code: "body_interrupted", detail: "the body broke off", received: 0, through: 0, errors: [] };
    const app = failing({ 1: { tag: "answer", status: 400, body } });
    expect((await app.run(clientOf(app).send(tick(1)))).tag).toBe("accepted");
  });

  it("has all the time again after progress, and short pauses", async () => {
    const app = new ScriptedApp((seen) => (seen.events.length > 1 ? { tag: "partly", through: 1 } : NONE));
    app.latencyMs = 0;
    const kf = clientOf(app, { retry: { firstMs: 100, overallMs: 120 } });
    const fates = await app.run(kf.send(ticks(0, 20)));
    expect(fates.map(({ tag }) => tag)).toEqual(ticks(0, 20).map(() => "accepted"));
    expect(new Set(pauses(app))).toEqual(new Set([50]));
  });

  it.each([
    [401, "bad_token"],
    [403, "wrong_role"],
    [413, "body_too_large"],
    [400, "malformed_gzip"],
  ])("doesn't come after %i %s, which no waiting betters", async (status, code) => {
    const body = { type: `urn:keyframe:problem:${code}`, title: "T", status, code, detail: "because" };
    const app = failing({ 1: { tag: "answer", status, body } });
    const error = await app.run(failureOf(clientOf(app).send(tick(1))));
    expect([error.status, error.code, error.detail, error.problem]).toEqual([status, code, "because", body]);
    expect([app.seen.length, error.ids]).toEqual([1, []]);
  });

  it("doesn't come after an error of the app's own, of which it isn't known whether the events count", async () => {
    const app = failing({ 1: { tag: "answer", status: 500, body: { code: "internal_error", detail: "because" } } });
    const error = await app.run(failureOf(clientOf(app).send([tick(1), tick(2)])));
    expect([error.code, app.seen.length, error.ids]).toEqual(["internal_error", 1, ["e1", "e2"]]);
    expect(error.message).toContain('which of them count is not known: send again with the same ids, "e1", "e2"');
  });

  it("doesn't come after an answer that isn't the app's", async () => {
    const app = failing({ 1: { tag: "answer", status: 200, body: "<html>welcome to this network" } });
    const error = await app.run(failureOf(clientOf(app).send(tick(1))));
    expect([error.code, error.status]).toEqual(["unexpected_answer", 200]);
  });

  it("has an end, and what was decided by then keeps its fate", async () => {
    const app = new ScriptedApp((_, attempt) => ({ tag: "partly", through: attempt === 1 ? 1 : 0 }));
    const kf = clientOf(app, { retry: { overallMs: 20_000 } });
    const sent = ticks(0, 3).map((event) => kf.send(event));
    const errors = sent.slice(1).map(failureOf);
    expect((await app.run(sent[0]!)).tag).toBe("accepted");
    for (const error of await app.run(Promise.all(errors)))
      expect([error.code, error.status, error.problem?.code]).toEqual(["gave_up", 503, "store_unavailable"]);
    expect(app.clock.now() - app.seen[0]!.atMs).toBeLessThanOrEqual(20_020);
  });

  it("isn't waited for where Retry-After goes beyond that end", async () => {
    const app = new ScriptedApp(() => ({ tag: "partly", through: 0, headers: { "retry-after": "3600" } }));
    const error = await app.run(failureOf(clientOf(app).send(tick(1))));
    expect([error.code, app.seen.length]).toEqual(["gave_up", 1]);
    expect(app.clock.now() - app.seen[0]!.atMs).toBeLessThan(1_000);
  });
});

describe("a call with several events", () => {
  it("rejects once all are decided or have failed, with the ids of those of which it isn't known", async () => {
    const app = new ScriptedApp((_, attempt) =>
      attempt === 2 ? { tag: "lost", taken: true } : attempt > 2 ? refused : NONE,
    );
    const refused: Fault = { tag: "answer", status: 401, body: { code: "bad_token", detail: "no" } };
    const kf = clientOf(app, { batch: { events: 2, lingerMs: 0 } });
    const error = await app.run(failureOf(kf.send([tick(1), tick(2), { type: "tick" }, tick(4), tick(5)])));
    // The first batch counts, the second may, and the third was never taken.
    expect([error.code, error.ids]).toEqual(["bad_token", ["made-0", "e4"]]);
    expect(app.logged).toEqual(["e1", "e2", "made-0", "e4"]);
    expect(error.fates).toEqual([
      { tag: "accepted", id: "e1", quarantined: false },
      { tag: "accepted", id: "e2", quarantined: false },
      { tag: "undecided", id: "made-0", mayCount: true },
      { tag: "undecided", id: "e4", mayCount: true },
      { tag: "undecided", id: "e5", mayCount: false },
    ]);
  });

  it("is halved where something on the way takes no request of its size", async () => {
    const app = new ScriptedApp((seen) =>
      seen.events.length > 2 ? { tag: "answer", status: 413, body: "<html>Too large" } : NONE,
    );
    const fates = await app.run(clientOf(app).send(ticks(0, 7)));
    expect(fates.map(({ tag }) => tag)).toEqual(ticks(0, 7).map(() => "accepted"));
    expect(app.seen.map(({ events }) => events.length)).toEqual([7, 4, 2, 2, 2, 1]);
  });
});

describe("the buffer", () => {
  it("lets `ready` wait while it is full, and refuses at twice its size", async () => {
    const app = new ScriptedApp();
    app.latencyMs = 1_000;
    const kf = clientOf(app, { batch: { events: 2, lingerMs: 0 }, buffer: { events: 4 } });
    const sent = [kf.send(ticks(0, 4))];
    let ready = false;
    const waited = kf.ready().then(() => (ready = true));
    await app.pass(999);
    expect(ready).toBe(false);
    await app.pass(1);
    await app.run(waited);
    expect(app.logged).toHaveLength(2);
    sent.push(kf.send(ticks(4, 10)));
    const error = await app.run(failureOf(kf.send(tick(10))));
    expect([error.code, error.message]).toEqual(["buffer_full", expect.stringContaining("await ready()")]);
    expect((await app.run(Promise.all(sent))).flat()).toHaveLength(10);
    expect(app.logged).not.toContain("e10");
  });

  it("has a bound of bytes as well", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { buffer: { bytes: 1_000 } });
    const sent = kf.send({ type: "tick", data: "x".repeat(2_000) });
    expect((await app.run(failureOf(kf.send(tick(1))))).code).toBe("buffer_full");
    await app.run(sent);
    await app.run(kf.ready());
  });

  it("stays within its bound for a sender that waits, however slow the app is", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { batch: { events: 50 }, buffer: { events: 100 } });
    let [undecided, most] = [0, 0];
    const all = (async () => {
      for (let n = 0; n < 1_000; n++) {
        await kf.ready();
        most = Math.max(most, ++undecided);
        void kf.send(tick(n)).then(() => (undecided -= 1));
      }
      await kf.flush();
    })();
    await app.run(all);
    // The fates of a batch take a moment from the buffer to whoever sent them.
    expect(most).toBeGreaterThanOrEqual(100);
    expect(most).toBeLessThanOrEqual(150);
    expect(app.logged).toHaveLength(1_000);
  });
});

describe("flush and close", () => {
  it("flush sends at once, and waits for what was sent before it", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { batch: { lingerMs: 60_000 } });
    const startMs = app.clock.now();
    const sent = kf.send(ticks(0, 3));
    await app.run(kf.flush());
    expect([app.logged.length, app.clock.now() - startMs]).toEqual([3, 10]);
    await app.run(sent);
    await app.run(kf.flush());
  });

  it("close decides what is there, and takes nothing more", async () => {
    const app = failing({ 1: { tag: "lost", taken: true } });
    const kf = clientOf(app, { batch: { lingerMs: 60_000 } });
    const sent = kf.send(ticks(0, 3));
    const closed = kf.close();
    expect((await app.run(failureOf(kf.send(tick(9))))).code).toBe("closed");
    await app.run(closed);
    expect((await app.run(sent)).map(({ tag }) => tag)).toEqual(["duplicate", "duplicate", "duplicate"]);
    await app.run(kf.ready());
  });

  it("flush resolves when whoever sent has heard the fates", async () => {
    const app = new ScriptedApp();
    const kf = clientOf(app, { batch: { events: 7, lingerMs: 60_000 } });
    let heard = 0;
    for (const event of ticks(0, 20)) void kf.send(event).then(() => (heard += 1));
    void kf.send(ticks(20, 40)).then((fates) => (heard += fates.length));
    await app.run(kf.flush().then(() => expect(heard).toBe(40)));
  });

  it("a failure of one event reaches its sender, not flush", async () => {
    const app = failing({ 1: { tag: "answer", status: 401, body: { code: "bad_token", detail: "no" } } });
    const kf = clientOf(app);
    const failed = failureOf(kf.send(tick(1)));
    await app.run(kf.flush());
    expect((await failed).code).toBe("bad_token");
  });
});

describe("ONE2: numbered batches", () => {
  const numbers = (app: ScriptedApp): string[] =>
    app.seen.map(({ headers }) => ["id", "epoch", "seq"].map((name) => headers.get(`producer-${name}`)).join("/"));

  it("count up, and a retry is the same batch under the same number, also after a partial answer", async () => {
    const app = failing({ 2: { tag: "partly", through: 1 }, 3: { tag: "lost", taken: true } });
    const kf = clientOf(app, { producer: { id: "meter", epoch: 3 }, batch: { events: 2, lingerMs: 0 } });
    const fates = await app.run(kf.send(ticks(0, 6)));
    expect(numbers(app)).toEqual(["meter/3/0", "meter/3/1", "meter/3/1", "meter/3/1", "meter/3/2"]);
    expect(new Set(app.seen.slice(1, 4).map(({ text }) => text)).size).toBe(1);
    expect(fates.map(({ tag }) => tag)).toEqual([
      "accepted",
      "accepted",
      "accepted",
      "duplicate",
      "accepted",
      "accepted",
    ]);
    expect([app.logged.length, app.mostUnderWay]).toEqual([6, 1]);
  });

  it("stop where one was given up: whether it counted is not known", async () => {
    const app = new ScriptedApp(() => ({ tag: "partly", through: 0 }));
    const producer = { id: "meter", epoch: 3, seq: 7 };
    const kf = clientOf(app, { producer, batch: { events: 1 }, retry: { overallMs: 1_000 } });
    const errors = [kf.send(tick(1)), kf.send(tick(2))].map(failureOf);
    expect((await app.run(Promise.all(errors))).map(({ code }) => code)).toEqual(["gave_up", "producer_stopped"]);
    expect((await app.run(failureOf(kf.send(tick(3))))).code).toBe("producer_stopped");
    expect(new Set(numbers(app))).toEqual(new Set(["meter/3/7"]));
    await app.run(kf.close());
  });

  it.each<[string, Fault]>([
    ["a token that was taken away for a moment", { tag: "answer", status: 401, body: { code: "bad_token" } }],
    ["a proxy's own no", { tag: "answer", status: 403, body: "<html>Forbidden" }],
    ["a body that is too large for it", { tag: "answer", status: 413, body: { code: "body_too_large" } }],
  ])("S3: stop where an attempt may have counted, whatever was answered last: %s", async (_, fault) => {
    const app = failing({ 1: { tag: "lost", taken: true }, 2: fault });
    const kf = clientOf(app, { producer: { id: "meter", epoch: 3 }, batch: { events: 1 } });
    const [first, second] = [failureOf(kf.send(tick(1))), failureOf(kf.send(tick(2)))];
    expect((await app.run(first)).ids).toEqual(["e1"]);
    const stopped = await app.run(second);
    expect([stopped.code, stopped.ids]).toEqual(["producer_stopped", []]);
    expect((await app.run(failureOf(kf.send(tick(3))))).code).toBe("producer_stopped");
    expect([numbers(app), app.logged]).toEqual([["meter/3/0", "meter/3/0"], ["e1"]]);
  });

  it("S3: stop after a stranger's no, which says nothing of what counts", async () => {
    const app = failing({ 1: { tag: "answer", status: 403, body: "<html>Forbidden" } });
    const kf = clientOf(app, { producer: { id: "meter", epoch: 3 }, batch: { events: 1 } });
    const errors = [kf.send(tick(1)), kf.send(tick(2))].map(failureOf);
    expect((await app.run(Promise.all(errors))).map(({ code }) => code)).toEqual([
      "unexpected_answer",
      "producer_stopped",
    ]);
  });

  it("go on after one that was answered, though nothing of it counted", async () => {
    const app = failing({ 1: { tag: "answer", status: 413, body: { code: "body_too_large", detail: "no" } } });
    const kf = clientOf(app, { producer: { id: "meter", epoch: 0 }, batch: { events: 1 } });
    const [first, second] = [failureOf(kf.send(tick(1))), kf.send(tick(2))];
    expect([(await app.run(first)).code, (await app.run(second)).tag]).toEqual(["body_too_large", "accepted"]);
    expect(numbers(app)).toEqual(["meter/0/0", "meter/0/1"]);
  });

  it("that another instance has fenced off are rejected, each event with that code", async () => {
    const results = ticks(0, 200).map((_, index) => ({
      index,
      operator: "tally",
      status: "rejected",
      duplicate: false,
      value: null,
    }));
    const counts = {
      received: 200,
      accepted: 0,
      duplicates: 0,
      refused: 0,
      rejected: 200,
      quarantined: 0,
      unrouted: 0,
    };
    const body = { code: "producer_fenced", detail: "another one", ...counts, errors: [], results, through: 200 };
    const app = failing({ 1: { tag: "answer", status: 403, body } });
    const kf = clientOf(app, { producer: { id: "meter", epoch: 0 } });
    const fates = await app.run(kf.send(ticks(0, 200)));
    expect(new Set(fates.map((fate) => fate.tag === "rejected" && fate.code))).toEqual(new Set(["producer_fenced"]));
    expect(app.seen).toHaveLength(1);
  });
});

describe("options that can't work are refused", () => {
  it.each<[string, Partial<ClientOptions>]>([
    ["no URL", { url: "app.test" }],
    ["a URL with a query", { url: "http://app.test/?a=1" }],
    ["a URL with a password", { url: "https://ada:secret@app.test" }],
    ["a token that no header can have", { token: "one\ntwo" }],
    ["a batch of more than the app answers for", { batch: { events: 1_001 } }],
    ["a buffer of nothing", { buffer: { events: 0 } }],
    ["numbered batches side by side", { inFlight: 2, producer: { id: "a", epoch: 0 } }],
    ["a producer without a name", { producer: { id: "", epoch: 0 } }],
    ["a bound that is no number", { retry: { overallMs: Number.NaN } }],
  ])("%s", (_, options) => {
    const make = (): unknown => client({ url: "http://app.test", ...options });
    expect(make).toThrow(expect.objectContaining({ code: "invalid_options" }) as Error);
    expect(make).not.toThrow(/secret|two/);
  });

  it("and so is an event that JSON can't carry", async () => {
    const app = new ScriptedApp();
    const error = await failureOf(clientOf(app).send({ type: "tick", data: 1n }));
    expect([error.code, app.seen.length]).toEqual(["not_json", 0]);
  });
});

describe("whatever goes wrong on the way", () => {
  const fault = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Fault>(NONE) },
    { weight: 1, arbitrary: fc.boolean().map((taken): Fault => ({ tag: "lost", taken })) },
    { weight: 1, arbitrary: fc.constant<Fault>({ tag: "silent" }) },
    {
      weight: 2,
      arbitrary: fc
        .record({ through: fc.nat(8), beyond: fc.array(fc.nat(8)) })
        .map((where): Fault => ({ tag: "partly", ...where })),
    },
  );
  const event = fc.constantFrom("tick", "tick", "refuse.no", "reject.bad", "throw");

  it("ONE1: every event counts once, in order, and its fate is the right one", async () => {
    const runs = Number(process.env["FUZZ_RUNS"] ?? 100);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 12 }),
        fc.array(event, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        async (faults, types, most, numbered) => {
          const app = new ScriptedApp((_, attempt) => faults[attempt - 1] ?? NONE);
          const options = { batch: { events: most, lingerMs: 1 }, retry: { attemptMs: 1_000, overallMs: 1e9 } };
          const kf = clientOf(app, { ...options, ...(numbered ? { producer: { id: "p", epoch: 0 } } : {}) });
          const fates = await app.run(Promise.all(types.map((type) => kf.send({ type }))));
          const taken = types.map((_, i) => `made-${i}`).filter((_, i) => !types[i]!.startsWith("reject"));
          const firstsInOrder = app.logged.toSorted((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
          expect(firstsInOrder).toEqual(taken);
          const wanted = { tick: ["accepted", "duplicate"], throw: ["accepted", "duplicate"] };
          types.forEach((type, i) => {
            const tags = wanted[type as "tick"] ?? [type === "refuse.no" ? "refused" : "rejected"];
            expect(tags).toContain(fates[i]!.tag);
          });
        },
      ),
      { numRuns: runs },
    );
  });
});
