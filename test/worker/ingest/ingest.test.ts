/** Events in over HTTP: what is counted, what is filled in, what a retry gets, and where an event goes. */
import { describe, expect, test } from "vitest";
import { add, ask, call, get, gzip, postEvents, postJson, postLines, stateOf, type Answer } from "../http.ts";

const NONE = { accepted: 0, duplicates: 0, refused: 0, rejected: 0, quarantined: 0, forgotten: 0, unrouted: 0 };
const counts = (received: number, more: Partial<typeof NONE>): Record<string, unknown> => ({
  received,
  ...NONE,
  ...more,
  through: received,
  errors: [],
});
const full = { prefer: "return=representation" };
const strict = { prefer: "handling=strict" };

interface Result {
  readonly index: number;
  readonly operator: string | null;
  readonly partition: number;
  readonly seq: number;
  readonly status: string;
  readonly duplicate: boolean;
  readonly value: unknown;
}
const resultsOf = ({ body }: Answer): Result[] => body["results"] as Result[];

describe("bodies", () => {
  test("one event as JSON", async () => {
    const answer = await postEvents(add("single", 5));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.body).toEqual(counts(1, { accepted: 1 }));
    expect(await stateOf("tally", "single")).toEqual({ n: 5, events: 1 });
  });

  test("an array, over all partitions and both databases", async () => {
    const keys = Array.from({ length: 40 }, (_, i) => `array-${i}`);
    const answer = await postEvents(
      keys.map((key) => add(key)),
      full,
    );
    expect(answer.body).toMatchObject(counts(40, { accepted: 40 }));
    expect(new Set(resultsOf(answer).map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]));
    for (const key of keys) expect(await stateOf("tally", key)).toEqual({ n: 1, events: 1 });
  });

  test("lines, with and without one at the end", async () => {
    expect((await postLines([add("lines"), add("lines")])).body).toEqual(counts(2, { accepted: 2 }));
    const body = `${JSON.stringify(add("lines"))}\n${JSON.stringify(add("lines"))}\n`;
    const answer = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body,
    });
    expect(answer.body).toEqual(counts(2, { accepted: 2 }));
    expect(await stateOf("tally", "lines")).toEqual({ n: 4, events: 4 });
  });

  test("lines in pieces that cut through characters", async () => {
    const text = Array.from({ length: 30 }, () => JSON.stringify(add("pieces-€-😀"))).join("\r\n\r\n");
    const bytes = new TextEncoder().encode(text);
    const piece = new TransformStream<Uint8Array, Uint8Array>({
      transform(all, to) {
        for (let at = 0; at < all.length; at += 7) to.enqueue(all.slice(at, at + 7));
      },
    });
    const answer = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: new Blob([bytes]).stream().pipeThrough(piece),
    });
    expect(answer.body).toEqual(counts(30, { accepted: 30 }));
    expect(await stateOf("tally", "pieces-€-😀")).toEqual({ n: 30, events: 30 });
  });

  test("more lines than one batch holds, in order", async () => {
    const events = Array.from({ length: 12_000 }, (_, i) => add(`many-${i % 100}`, 1));
    expect((await postLines(events)).body).toEqual(counts(12_000, { accepted: 12_000 }));
    expect((await postLines(events)).body).toEqual(counts(12_000, { duplicates: 12_000 }));
    const { body } = await get("/v1/operators/tally/state?prefix=many-&limit=1000");
    const items = body["items"] as { value: unknown }[];
    expect(items).toHaveLength(100);
    expect(items.every(({ value }) => JSON.stringify(value) === '{"n":120,"events":120}')).toBe(true);
  });

  test.each([{}, full])("an array of 7 MB for one partition, with %o", async (wish) => {
    const key = `vast-${JSON.stringify(wish)}`;
    const events = Array.from({ length: 28 }, () => add(key, 1, { pad: "x".repeat(250_000) }));
    expect((await postEvents(events, wish)).body).toMatchObject(counts(28, { accepted: 28 }));
    expect((await postLines(events, wish)).body).toMatchObject(counts(28, { duplicates: 28 }));
    expect(await stateOf("tally", key)).toEqual({ n: 28, events: 28 });
  });

  test("lines of 40 MB for one partition, which no array may have", async () => {
    const events = Array.from({ length: 160 }, () => add("vast-lines", 1, { pad: "x".repeat(250_000) }));
    expect((await postLines(events)).body).toMatchObject(counts(160, { accepted: 160 }));
    const array = await postEvents(events);
    expect([array.status, array.body["code"]]).toEqual([413, "body_too_large"]);
    expect(await stateOf("tally", "vast-lines")).toEqual({ n: 160, events: 160 });
  });

  test("an array of more than one batch with a flaw at its end changes nothing", async () => {
    const events = Array.from({ length: 6_000 }, () => JSON.stringify(add("flawed")));
    const answer = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `[${events.join(",")},{"type":]`,
    });
    expect({ status: answer.status, code: answer.body["code"] }).toEqual({ status: 400, code: "malformed_json" });
    expect(await stateOf("tally", "flawed")).toBeUndefined();
    const whole = await postEvents(events.map((event) => JSON.parse(event) as unknown));
    expect(whole.body).toEqual(counts(6_000, { accepted: 6_000 }));
  });

  test.each(["application/json", "application/x-ndjson"])("%s in gzip", async (type) => {
    const answer = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": type, "content-encoding": "gzip" },
      body: await gzip(JSON.stringify(add(`gzip-${type}`, 7))),
    });
    expect(answer.body).toEqual(counts(1, { accepted: 1 }));
    expect(await stateOf("tally", `gzip-${type}`)).toEqual({ n: 7, events: 1 });
  });

  test("LOG4: events that were sent in many lines each are read back from the log", async () => {
    const pretty = JSON.stringify([add("pretty", 1), add("pretty", 2)], null, "\r\n\t ");
    const body = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: pretty,
    });
    expect(body.body).toMatchObject({ accepted: 2 });
    const { partition } = (await get("/v1/operators/tally/state?key=pretty")).body;
    await call(`/v1/operators/tally/partitions/${String(partition)}/evict`, { method: "POST" });
    expect(await stateOf("tally", "pretty")).toEqual({ n: 3, events: 2 });
  });
});

describe("what is filled in", () => {
  test("source, time and id, and key is short for partitionkey", async () => {
    const { body } = await ask("echo", { type: "echo.say", key: "defaults" });
    const { event, now } = body["value"] as { event: Record<string, unknown>; now: number };
    expect(event).toEqual({
      type: "echo.say",
      source: "/",
      time: new Date(now).toISOString(),
      id: expect.stringMatching(/^[0-9a-f-]{36}\/0$/),
      partitionkey: "defaults",
      data: null,
    });
    expect(Math.abs(Date.now() - now)).toBeLessThan(30_000);
  });

  test("what the sender says stands", async () => {
    const said = {
      specversion: "1.0",
      type: "echo.say",
      source: "https://example.com/meter?7",
      id: "A234-1234-1234",
      time: "2018-04-05T17:31:00+02:00",
      subject: "mynewfile.jpg",
      partitionkey: "said",
      datacontenttype: "application/json",
      dataschema: "https://example.com/schema",
      comexampleextension: 1.25,
      flag: true,
      data: { a: [1, "ü", null, { b: false }] },
    };
    expect((await ask("echo", said)).body).toMatchObject({ key: "said", value: { event: said, key: "said" } });
  });

  test("the subject stands in for a missing key", async () => {
    expect((await ask("echo", { type: "echo.say", subject: "a subject" })).body).toMatchObject({ key: "a subject" });
    expect((await ask("echo", { type: "echo.say", subject: "no", key: "yes" })).body).toMatchObject({ key: "yes" });
  });

  test("attributes that are null are as if they weren't there", async () => {
    const { body } = await ask("echo", { type: "echo.say", id: null, key: "null", subject: null, x: null, data: null });
    const { event } = body["value"] as { event: Record<string, unknown> };
    expect(Object.keys(event).sort()).toEqual(["data", "id", "partitionkey", "source", "time", "type"]);
  });

  test("without ids two sends are two events", async () => {
    const event = { type: "tally.add", key: "no-id", data: { n: 1 } };
    expect((await postEvents([event, event])).body).toEqual(counts(2, { accepted: 2 }));
    expect((await postEvents([event, event])).body).toEqual(counts(2, { accepted: 2 }));
  });

  test("ONE1: with an Idempotency-Key they are the same", async () => {
    const event = { type: "tally.add", key: "keyed", data: { n: 1 } };
    const key = { "idempotency-key": "order 66" };
    expect((await postEvents([event, event], key)).body).toEqual(counts(2, { accepted: 2 }));
    expect((await postEvents([event, event], key)).body).toEqual(counts(2, { duplicates: 2 }));
    expect((await postLines([event, event, event], key)).body).toEqual(counts(3, { accepted: 1, duplicates: 2 }));
    expect((await postEvents({ ...event, id: "order 66/2" })).body).toEqual(counts(1, { duplicates: 1 }));
    expect(await stateOf("tally", "keyed")).toEqual({ n: 3, events: 3 });
  });

  test("ONE4: an Idempotency-Key with another body is refused", async () => {
    const event = { type: "tally.add", key: "keyed-too", data: { n: 1 } };
    const key = { "idempotency-key": "order 67" };
    await postEvents(event, key);
    const answer = await postEvents({ ...event, data: { n: 2 } }, key);
    expect({ status: answer.status, code: answer.body["code"] }).toEqual({ status: 409, code: "id_reused" });
    expect(await stateOf("tally", "keyed-too")).toEqual({ n: 1, events: 1 });
  });
});

describe("preferences", () => {
  test("strict takes all or nothing", async () => {
    const events = [add("strict"), add("strict")];
    const refused = await postEvents([...events, add("strict", 0.5)], strict);
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({ code: "strict", received: 3, accepted: 0, rejected: 3, through: 3 });
    expect(refused.body["errors"]).toMatchObject([{ index: 2, code: "invalid_data" }]);
    expect(await stateOf("tally", "strict")).toBeUndefined();
    const twice = [add("strict", 1, { id: "twice" }), add("strict"), add("strict", 2, { id: "twice" })];
    for (const send of [postEvents, postLines]) {
      const reused = await send(twice, strict);
      expect(reused.body, "an id that the request itself reuses").toMatchObject({
        code: "strict",
        accepted: 0,
        rejected: 3,
        errors: [{ index: 2, id: "twice", code: "id_reused", operator: "tally", acceptedBy: [] }],
      });
    }
    expect(await stateOf("tally", "strict")).toBeUndefined();
    expect((await postLines(events, strict)).body).toEqual(counts(2, { accepted: 2 }));
    expect(await stateOf("tally", "strict")).toEqual({ n: 2, events: 2 });
  });

  test.each([
    ["JSON", (events: readonly unknown[]) => postEvents(events, full)],
    ["lines", (events: readonly unknown[]) => postLines(events, full)],
  ])("representation tells of every event, as %s", async (kind, send) => {
    const key = `told-${kind}`;
    const events = [
      { type: "echo.say", id: `${kind}-1`, key },
      { type: "echo.refuse", id: `${kind}-2`, key, data: "why" },
      { type: "fragile.do", id: `${kind}-3`, key, data: { what: "throw-text" } },
      { type: "echo.say", id: `${kind}-1`, key, data: "other" },
      { type: "echo.nothing", id: `${kind}-5`, key },
      { type: "both.noted", id: `${kind}-6`, key, data: { text: "hello" } },
    ];
    const first = await send(events);
    expect(first.status).toBe(207);
    expect(first.body).toMatchObject({ received: 6, accepted: 3, refused: 1, rejected: 2, quarantined: 1, through: 6 });
    expect(resultsOf(first)).toMatchObject([
      { index: 0, operator: "echo", key, status: "applied", duplicate: false, value: { said: 1 } },
      {
        index: 1,
        operator: "echo",
        key,
        status: "refused",
        duplicate: false,
        value: { code: "not_now", detail: "why" },
      },
      { index: 2, operator: "fragile", key, status: "quarantined", duplicate: false, value: { error: "just text" } },
      { index: 3, operator: "echo", key, status: "rejected", value: null },
      { index: 4, operator: null, key: null, partition: null, seq: null, status: "rejected", value: null },
      { index: 5, operator: "left", key, status: "applied", duplicate: false },
      { index: 5, operator: "right", key, status: "applied", duplicate: false },
    ]);
    const [one, two] = resultsOf(first);
    expect(two!.seq).toBe(one!.seq + 1);

    const again = await send(events);
    expect(again.body).toMatchObject({ received: 6, duplicates: 3, refused: 1, rejected: 2, quarantined: 1 });
    const repeated = resultsOf(first).map((result) => ({ ...result, duplicate: result.status !== "rejected" }));
    // ONE6: replies are kept by `echo` alone; refusals and errors by all.
    expect(resultsOf(again).slice(0, 5)).toEqual(repeated.slice(0, 5));
    expect(resultsOf(again).map(({ seq, duplicate }) => ({ seq, duplicate }))).toEqual(
      repeated.map(({ seq, duplicate }) => ({ seq, duplicate })),
    );
  });

  test("a thousand events may be told of", async () => {
    const answer = await postEvents(
      Array.from({ length: 1_000 }, (_, i) => add(`thousand-${i % 7}`)),
      full,
    );
    expect(answer.status).toBe(200);
    expect(resultsOf(answer).map(({ index }) => index)).toEqual([...Array(1_000).keys()]);
  });

  test("unrouted=ignore counts what nobody wants", async () => {
    const stray = { type: "nobody.wants", key: "k" };
    const { status, body } = await postEvents([add("stray"), stray], {}, "?unrouted=ignore");
    expect({ status, body }).toEqual({ status: 200, body: counts(2, { accepted: 1, unrouted: 1 }) });
    const alone = await postEvents(stray, {}, "?unrouted=ignore");
    expect({ status: alone.status, body: alone.body }).toEqual({ status: 200, body: counts(1, { unrouted: 1 }) });
    expect((await postEvents([add("stray"), stray])).status).toBe(207);
  });
});

describe("IN4: fan-out to two operators", () => {
  const noted = (id: string, text: string, type = "both.noted"): Record<string, unknown> => ({
    type,
    id,
    key: `fan-${id}`,
    data: { text },
  });

  test("both have it once, also when it is sent twice", async () => {
    expect((await postEvents(noted("two", "hi"))).body).toEqual(counts(1, { accepted: 1 }));
    expect((await postEvents(noted("two", "hi"))).body).toEqual(counts(1, { duplicates: 1 }));
    expect(await stateOf("left", "fan-two")).toEqual({ texts: ["hi"] });
    expect(await stateOf("right", "fan-two")).toEqual({ last: "hi" });
  });

  test("what one of them rejects, none gets", async () => {
    const { status, body } = await postEvents(noted("long", "more than twenty characters"));
    expect({ status, code: body["code"] }).toEqual({ status: 422, code: "invalid_data" });
    expect(await stateOf("left", "fan-long")).toBeUndefined();
  });

  test("what one of them refuses, the other has", async () => {
    const { status, body } = await postEvents(noted("no", "no"));
    expect({ status, code: body["code"] }).toEqual({ status: 409, code: "said_no" });
    expect(body).toMatchObject({
      received: 1,
      accepted: 0,
      refused: 1,
      errors: [{ code: "said_no", operator: "right", acceptedBy: ["left"] }],
    });
    const again = await postEvents(noted("no", "no"));
    expect(again.body, "a retry hears the same").toMatchObject({ refused: 1, errors: [{ acceptedBy: ["left"] }] });
    expect(await stateOf("left", "fan-no")).toEqual({ texts: ["no"] });
    expect(await stateOf("right", "fan-no")).toBeUndefined();
  });

  test("what one of them rejects as another event, the other may have, and the answer names it", async () => {
    await ask("right", noted("mixed", "first"));
    const mixed = await postEvents([noted("mixed", "second"), noted("fine", "x"), noted("no-2", "no")]);
    expect(mixed.status).toBe(207);
    expect(mixed.body).toMatchObject({
      received: 3,
      accepted: 1,
      refused: 1,
      rejected: 1,
      errors: [
        { index: 0, code: "id_reused", operator: "right", acceptedBy: ["left"] },
        { index: 2, code: "said_no", operator: "right", acceptedBy: ["left"] },
      ],
    });
    expect(await stateOf("left", "fan-mixed")).toEqual({ texts: ["second"] });
    expect(await stateOf("right", "fan-mixed")).toEqual({ last: "first" });
    // Reused in both: nobody has it.
    const both = await postEvents(noted("mixed", "third"));
    expect(both.body).toMatchObject({
      rejected: 1,
      errors: [
        { operator: "left", acceptedBy: [] },
        { operator: "right", acceptedBy: [] },
      ],
    });
    // Rejected by one and refused by the other: it counts once, as rejected.
    await ask("left", noted("worse", "first"));
    const worse = await postEvents([noted("worse", "no"), noted("good", "x")]);
    expect(worse.body).toMatchObject({
      accepted: 1,
      refused: 0,
      rejected: 1,
      errors: [
        { index: 0, operator: "left", code: "id_reused", acceptedBy: [] },
        { index: 0, operator: "right", code: "said_no", acceptedBy: [] },
      ],
    });
  });

  test("what is rejected before any of them is asked, none has", async () => {
    const { body } = await postEvents([noted("early", "more than twenty characters"), noted("other", "x")]);
    expect(body).toMatchObject({ errors: [{ index: 0, code: "invalid_data", acceptedBy: [] }] });
  });

  test("what only one of them wants, only that one gets", async () => {
    expect((await postEvents(noted("left", "here", "left.noted"))).body).toEqual(counts(1, { accepted: 1 }));
    expect(await stateOf("left", "fan-left")).toEqual({ texts: ["here"] });
    expect(await stateOf("right", "fan-left")).toBeUndefined();
  });

  test("accepted where one of them had it already", async () => {
    const asked = await ask("left", noted("half", "x"));
    expect(asked.body).toMatchObject({ duplicate: false });
    expect((await postEvents(noted("half", "x"))).body).toEqual(counts(1, { accepted: 1 }));
    expect(await stateOf("left", "fan-half")).toEqual({ texts: ["x"] });
    expect(await stateOf("right", "fan-half")).toEqual({ last: "x" });
  });
});

describe("repeats", () => {
  test("ONE1: twenty at once count once, and each answer is about durable events", async () => {
    const event = add("at-once", 1);
    const answers = await Promise.all(Array.from({ length: 20 }, () => postEvents([event, add("at-once-too")])));
    const sum = (name: string): number => answers.reduce((total, { body }) => total + (body[name] as number), 0);
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect({ accepted: sum("accepted"), duplicates: sum("duplicates") }).toEqual({ accepted: 21, duplicates: 19 });
    expect(await stateOf("tally", "at-once")).toEqual({ n: 1, events: 1 });
  });

  test("ONE6: twenty asks at once get one reply", async () => {
    const event = { type: "echo.say", id: "asked-at-once", key: "asked-at-once" };
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask("echo", event)));
    expect(answers.filter(({ body }) => body["duplicate"] === false)).toHaveLength(1);
    const replies = new Set(answers.map(({ body }) => JSON.stringify([body["value"], body["seq"]])));
    expect(replies.size).toBe(1);
  });

  test("a re-serialised repeat is the same event", async () => {
    const event = { type: "echo.say", id: "re-serialised", key: "re", data: { a: 1, b: [{ c: 1.5, d: "é" }] } };
    const other =
      '{ "data":{"b":[{"d":"\\u00e9","c":15e-1}],"a":1.0},"partitionkey":"re","id":"re-serialised","type":"echo.say"}';
    expect((await postEvents(event)).body).toEqual(counts(1, { accepted: 1 }));
    expect((await postJson("/v1/events", JSON.parse(other))).body).toEqual(counts(1, { duplicates: 1 }));
    const raw = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: other,
    });
    expect(raw.body).toEqual(counts(1, { duplicates: 1 }));
  });

  test.each([
    ["data", { data: { n: 2 } }],
    ["subject", { subject: "s" }],
    ["time", { time: "2020-01-01T00:00:00Z" }],
  ])("ONE4: the same id with another %s is refused", async (what, more) => {
    const event = { type: "tally.add", id: `reused-${what}`, key: "reused", data: { n: 1 } };
    expect((await postEvents(event)).status).toBe(200);
    const { status, body } = await postEvents({ ...event, ...more });
    expect(status).toBe(409);
    expect(body).toMatchObject({ code: "id_reused", received: 1, rejected: 1, through: 1 });
    expect(body["errors"]).toMatchObject([{ index: 0, id: `reused-${what}`, code: "id_reused" }]);
    expect((await postEvents(event)).body).toEqual(counts(1, { duplicates: 1 }));
    const asked = await ask("tally", { ...event, ...more });
    expect({ status: asked.status, code: asked.body["code"] }).toEqual({ status: 409, code: "id_reused" });
  });

  test("ONE1, ONE6: across an eviction", async () => {
    const event = { type: "echo.say", id: "evicted", key: "evicted" };
    const refused = { type: "echo.refuse", id: "evicted-too", key: "evicted", data: { some: "detail" } };
    const [before, no] = [await ask("echo", event), await ask("echo", refused)];
    await call(`/v1/operators/echo/partitions/${String(before.body["partition"])}/evict`, { method: "POST" });
    expect((await ask("echo", event)).body).toEqual({ ...before.body, duplicate: true });
    expect((await ask("echo", refused)).body).toEqual({ ...no.body, duplicate: true });
    expect(await stateOf("echo", "evicted")).toEqual({ said: 1 });
  });
});

describe("ask, and what a handler refuses", () => {
  const credits = (type: string, id: string, account: string, n?: number): Record<string, unknown> => ({
    type,
    id,
    data: { account, n },
  });

  test("the value, and where it came from", async () => {
    const { status, body } = await ask("tally", add("asked", 4));
    expect(status).toBe(200);
    expect(body).toEqual({
      value: { n: 4 },
      key: "asked",
      partition: expect.any(Number),
      seq: expect.any(Number),
      duplicate: false,
    });
  });

  test("ONE6: a retry gets the first reply where replies are kept", async () => {
    await ask("credits", credits("credits.bought", "b1", "ann", 5));
    const take = credits("credits.take", "t1", "ann", 2);
    const first = await ask("credits", take);
    expect(first.body).toMatchObject({ value: { left: 3 }, key: "ann", duplicate: false });
    await ask("credits", credits("credits.take", "t2", "ann", 1));
    expect((await ask("credits", take)).body).toEqual({ ...first.body, duplicate: true });
    expect(await stateOf("credits", "ann")).toEqual({ left: 2, taken: 3 });
  });

  test("a retry gets the outcome alone where they aren't", async () => {
    const event = add("unkept", 4);
    const first = await ask("tally", event);
    expect((await ask("tally", event)).body).toEqual({ ...first.body, value: null, duplicate: true });
  });

  test("ONE6: a refusal is 409 with its code and detail, the same for every retry", async () => {
    const take = credits("credits.take", "poor-1", "poor", 1);
    const first = await ask("credits", take);
    expect(first.status).toBe(409);
    expect(first.body).toMatchObject({ code: "insufficient_credits", detail: { left: 0 }, duplicate: false });
    await ask("credits", credits("credits.bought", "poor-2", "poor", 9));
    const again = await ask("credits", take);
    expect(again.status).toBe(409);
    expect(again.body).toEqual({ ...first.body, duplicate: true });
    expect(await stateOf("credits", "poor")).toEqual({ left: 9, taken: 0 });
  });

  test("a single refused event is 409, its repeat too; among others it is 207", async () => {
    const take = credits("credits.take", "single-1", "single", 1);
    for (const round of ["first", "second"]) {
      const { status, body } = await postEvents(take);
      expect({ round, status, code: body["code"] }).toEqual({ round, status: 409, code: "insufficient_credits" });
      expect(body).toMatchObject({ received: 1, accepted: 0, duplicates: 0, refused: 1, through: 1 });
      expect(body["errors"]).toMatchObject([{ index: 0, id: "single-1", detail: { left: 0 } }]);
    }
    const { status, body } = await postEvents([take, add("beside")]);
    expect(status).toBe(207);
    expect(body).toMatchObject({ received: 2, accepted: 1, refused: 1 });
  });

  test("a handler may remove its key", async () => {
    await ask("credits", credits("credits.bought", "gone-1", "gone", 9));
    await ask("credits", credits("account.closed", "gone-2", "gone"));
    expect(await stateOf("credits", "gone")).toBeUndefined();
    await ask("credits", credits("credits.bought", "gone-3", "gone", 1));
    expect(await stateOf("credits", "gone")).toEqual({ left: 1, taken: 0 });
  });

  test("ONE5: random numbers are those of the event", async () => {
    const event = { type: "echo.say", id: "random", key: "random" };
    const { random, uuid } = (await ask("echo", event)).body["value"] as { random: number; uuid: string };
    expect(random).toBeGreaterThanOrEqual(0);
    expect(random).toBeLessThan(1);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const other = (await ask("echo", { ...event, id: "random-too" })).body["value"] as { random: number };
    expect(other.random).not.toBe(random);
  });
});

describe("Keyframe-Stamp", () => {
  const stampOf = ({ headers }: Answer): number => Number(headers.get("keyframe-stamp"));

  test("a request that sends a stamp back is stamped above it, on any partition", async () => {
    const first = await postEvents([add("stamped-1"), add("stamped-2"), add("stamped-3"), add("stamped-4")]);
    expect(stampOf(first)).toBeGreaterThan(Date.UTC(2026, 0) * 1024);
    // As if the first partition's clock were ahead.
    const ahead = stampOf(first) + 20_000 * 1024;
    const second = await postEvents(add("stamped-5"), { "keyframe-stamp": String(ahead) });
    expect(stampOf(second)).toBeGreaterThan(ahead);
    const third = await ask("tally", add("stamped-6"), { "keyframe-stamp": String(ahead + 1_000) });
    expect(stampOf(third)).toBeGreaterThan(ahead + 1_000);
  });

  test("a duplicate hears a stamp at or above its event's", async () => {
    const event = { ...add("stamped-7"), id: "stamped" };
    const first = await postEvents(event);
    expect(stampOf(await postEvents(event))).toBeGreaterThanOrEqual(stampOf(first));
  });

  test.each(["now", "-1", "1.5", String(2 ** 53 - 1), String((Date.now() + 120_000) * 1024)])(
    "%s is no stamp of an answer",
    async (given) => {
      const answer = await postEvents(add("stamped-8"), { "keyframe-stamp": given });
      expect([answer.status, answer.body["code"]]).toEqual([400, "invalid_stamp"]);
    },
  );
});
