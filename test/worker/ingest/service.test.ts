/** Keyframe by a service binding: the same answers as over HTTP, as values. */
import { env, exports } from "cloudflare:workers";
import { describe, expect, expectTypeOf, test } from "vitest";
import type { Asked } from "../../../src/keyframe.ts";
import type { GetOptions, Service } from "../../../src/worker/ingest/service.ts";
import type { all } from "../app.ts";
import { add, ask, call, stateOf } from "../http.ts";

type Bound = Service<typeof all>;
interface Entrypoint extends Bound {
  (options: { props: { keyPrefix: string } }): Bound;
}
const streams = (exports as unknown as { Keyframe: Entrypoint }).Keyframe;
/** Events that the types wouldn't let through. */
const any = streams as unknown as Service<readonly never[]> & {
  send(events: unknown, options?: unknown): Promise<unknown>;
  ask(operator: string, event: unknown, options?: unknown): Promise<unknown>;
  get(operator: string, key: string, options?: unknown): Promise<unknown>;
};

const bought = (account: string, n: number, id: string) =>
  ({ type: "credits.bought", id, data: { account, n } }) as const;
const take = (account: string, n: number, id: string) => ({ type: "credits.take", id, data: { account, n } }) as const;

describe("ask", () => {
  test("answers the reply, and a retry the same", async () => {
    expect(await streams.ask("credits", bought("s-ada", 5, "s1"))).toEqual({
      tag: "applied",
      value: { left: 5 },
      key: "s-ada",
      partition: 0,
      seq: expect.any(Number),
      duplicate: false,
    });
    expect(await streams.ask("credits", bought("s-ada", 5, "s1"))).toMatchObject({
      value: { left: 5 },
      duplicate: true,
    });
    expect((await ask("credits", bought("s-ada", 5, "s1"))).body).toMatchObject({
      value: { left: 5 },
      duplicate: true,
    });
  });

  test("answers a refusal with its detail", async () => {
    expect(await streams.ask("credits", take("s-bob", 1, "s2"))).toMatchObject({
      tag: "refused",
      code: "insufficient_credits",
      detail: { left: 0 },
      key: "s-bob",
      duplicate: false,
    });
  });

  test("says what is wrong with the event, or that there is no such operator", async () => {
    expect(await streams.ask("credits", bought("s-ada", -1, "s3"))).toMatchObject({
      tag: "rejected",
      code: "invalid_data",
    });
    await streams.ask("credits", bought("s-carl", 1, "s4"));
    expect(await streams.ask("credits", bought("s-carl", 2, "s4"))).toMatchObject({
      tag: "rejected",
      code: "id_reused",
    });
    expect(await any.ask("nobody", {})).toMatchObject({ tag: "rejected", code: "no_operator" });
    expect(await any.ask("credits", 7n)).toMatchObject({ tag: "rejected", code: "malformed_json" });
    expect(await any.ask("credits", undefined)).toMatchObject({ tag: "rejected", code: "malformed_json" });
    expect(await any.ask("credits", [])).toMatchObject({ tag: "rejected", code: "not_an_object" });
  });

  test("says that the handler threw", async () => {
    const event = { type: "fragile.do", id: "s5", key: "s-fragile", data: { what: "throw-text" } } as const;
    expect(await streams.ask("fragile", event)).toMatchObject({
      tag: "quarantined",
      error: "just text",
      key: "s-fragile",
    });
  });

  test("has the types of the operator", () => {
    expectTypeOf<Awaited<ReturnType<Bound["ask"]>>>().toExtend<Asked>();
    const wrong = [
      // @ts-expect-error -- not of this operator
      () => streams.ask("credits", { type: "tally.add", data: { n: 1 } }),
      // @ts-expect-error -- not its data
      () => streams.ask("tally", { type: "tally.add", data: { n: "1" } }),
      // @ts-expect-error -- no such operator
      () => streams.get("nobody", "k"),
    ];
    expect(wrong).toHaveLength(3);
  });
});

describe("get", () => {
  test("reads what was answered before", async () => {
    await streams.ask("credits", bought("s-dora", 3, "s6"));
    const got = await streams.get("credits", "s-dora");
    expect(got).toEqual({
      tag: "found",
      value: { left: 3, taken: 0 },
      partition: 0,
      seq: expect.any(Number),
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    if (got.tag === "found") expectTypeOf(got.value).toEqualTypeOf<{ left: number; taken: number }>();
  });

  test("reads the past, and names its stamp", async () => {
    await streams.ask("credits", bought("s-past", 3, "s-past-1"));
    const before = await streams.get("credits", "s-past", { at: "now" });
    expect(before).toMatchObject({ tag: "found", value: { left: 3 }, at: expect.any(Number) });
    const { at } = before as { readonly at: number };
    await streams.ask("credits", bought("s-past", 4, "s-past-2"));
    expect(await streams.get("credits", "s-past", { at })).toEqual(before);
    expect(await streams.get("credits", "s-past")).toMatchObject({ value: { left: 7 } });
    expect(await streams.get("credits", "s-past", { at: "2001-01-01T00:00:00Z" })).toMatchObject({
      tag: "no_state",
      at: expect.any(Number),
    });
    expect(await streams.get("credits", "s-past", { at: "2125-01-01T00:00:00Z" })).toMatchObject({
      tag: "unavailable",
      code: "not_settled",
      retryAfterSec: expect.any(Number),
    });
    expect(await streams.get("credits", "s-past", { at: "yesterday evening" })).toMatchObject({
      tag: "rejected",
      code: "invalid_moment",
    });
    await Promise.all(
      [env.LOG_0, env.LOG_1].map((db) =>
        db
          .prepare("UPDATE partitions SET retain_from = ?1")
          .bind(at + 1)
          .run(),
      ),
    );
    expect(await streams.get("credits", "s-past", { at })).toMatchObject({ tag: "rejected", code: "moment_gone" });
  });

  test("reads the timers of a key, which the key of another caller doesn't show", async () => {
    await streams.ask("credits", bought("s-timers", 3, "s-timers-1"));
    const got = await streams.get("credits", "s-timers", { at: "now" });
    const { at, partition, seq, time } = got as Extract<typeof got, { tag: "found" }>;
    const none = { tag: "found", timers: [], expires: null, partition, seq, time };
    expect(await streams.timers("credits", "s-timers")).toEqual(none);
    expect(await streams.timers("credits", "s-timers", { at: at! })).toEqual({ ...none, at });
    expect(await streams.timers("credits", "s-nobody")).toEqual({ tag: "no_state" });
    const bound = streams({ props: { keyPrefix: "acme/" } });
    expect(await bound.timers("credits", "s-timers")).toMatchObject({ tag: "rejected", code: "key_not_allowed" });
  });

  test("says that there is nothing, or that this is no key", async () => {
    expect(await streams.get("credits", "s-nobody")).toEqual({ tag: "no_state" });
    expect(await streams.get("credits", "")).toMatchObject({ tag: "rejected", code: "invalid_key" });
    expect(await any.get("credits", 5 as never)).toMatchObject({ tag: "rejected", code: "invalid_key" });
    expect(await any.get("nobody", "k")).toMatchObject({ tag: "rejected", code: "no_operator" });
  });
});

describe("send", () => {
  test("counts as the route does, and a retry counts once", async () => {
    const events = [
      { type: "tally.add", id: "s7", key: "s-send", data: { n: 2 } },
      { type: "tally.add", id: "s8", key: "s-send", data: { n: "no" } },
      take("s-empty", 1, "s9"),
    ] as never[];
    const counts = { received: 3, refused: 1, rejected: 1, quarantined: 0, forgotten: 0, unrouted: 0, through: 3 };
    const errors = [
      { index: 1, id: "s8", code: "invalid_data" },
      { index: 2, id: "s9", code: "insufficient_credits", operator: "credits", detail: { left: 0 } },
    ];
    expect(await streams.send(events)).toMatchObject({ tag: "decided", ...counts, accepted: 1, duplicates: 0, errors });
    expect(await streams.send(events)).toMatchObject({ tag: "decided", ...counts, accepted: 0, duplicates: 1, errors });
    expect(await stateOf("tally", "s-send")).toEqual({ n: 2, events: 1 });
  });

  test("takes more than one batch", async () => {
    const events = Array.from({ length: 6_000 }, () => add("s-many") as never);
    expect(await streams.send(events)).toMatchObject({
      tag: "decided",
      received: 6_000,
      accepted: 6_000,
      through: 6_000,
    });
    expect(await stateOf("tally", "s-many")).toEqual({ n: 6_000, events: 6_000 });
  });

  test("gives ids from the idempotency key", async () => {
    const events = [{ type: "tally.add", key: "s-keyed", data: { n: 1 } }] as const;
    expect(await streams.send(events, { idempotencyKey: "call-1" })).toMatchObject({ accepted: 1 });
    expect(await streams.send(events, { idempotencyKey: "call-1" })).toMatchObject({ duplicates: 1 });
    expect(await streams.send(events, { idempotencyKey: "call-2" })).toMatchObject({ accepted: 1 });
    expect(await streams.send(events, { idempotencyKey: "" })).toMatchObject({ tag: "invalid" });
  });

  test("ignores what nobody wants only where it is told to", async () => {
    const events = [{ type: "nobody.wants", key: "k", data: null }] as never[];
    expect(await streams.send(events)).toMatchObject({ rejected: 1, errors: [{ code: "unknown_type" }] });
    expect(await streams.send(events, { unrouted: "ignore" })).toMatchObject({ tag: "decided", unrouted: 1 });
  });

  test("refuses a call that can't be taken", async () => {
    expect(await any.send("events")).toMatchObject({ tag: "invalid", code: "not_an_array" });
    expect(await any.send(Array.from({ length: 100_001 }, () => 1))).toMatchObject({ code: "too_many_events" });
    expect(await any.send([])).toMatchObject({ tag: "decided", received: 0 });
  });
});

describe("a timeline", () => {
  const put = (name: string, body: unknown) =>
    call(`/v1/timelines/${name}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const promote = (name: string) =>
    call(`/v1/timelines/${name}/promotion`, { method: "POST", headers: { "if-match": "*" } });
  const left = async (options?: GetOptions) => {
    const got = await streams.get("credits", "s-line", options);
    return got.tag === "found" ? got.value.left : got.tag === "no_state" ? 0 : got.code;
  };

  test("that is named gets the events and is read, and main is as it was", async () => {
    await streams.ask("credits", bought("s-line", 3, "line-1"));
    expect((await put("bound", { from: "now" })).status).toBe(201);
    const options = { timeline: "bound" };
    expect(await streams.ask("credits", bought("s-line", 4, "line-2"), options)).toMatchObject({ value: { left: 7 } });
    expect(await streams.send([bought("s-line", 5, "line-3")], options)).toMatchObject({ tag: "decided", accepted: 1 });
    expect([await left(), await left(options), await left({ at: "bound@now" })]).toEqual([3, 12, 12]);
    expect(await left({ timeline: "bound", at: "main@now" })).toBe("unsupported_parameter");
    // The same ids are free on main.
    expect(await streams.ask("credits", bought("s-line", 1, "line-2"))).toMatchObject({ value: { left: 4 } });
    expect(await left(options)).toBe(12);
  });

  test("that isn't there, or takes nothing, is named as over HTTP", async () => {
    const refused = async (timeline: unknown, code: string): Promise<void> => {
      const event = bought("s-line", 1, "line-4");
      expect(await any.send([event], { timeline })).toMatchObject({ tag: "invalid", code });
      expect(await any.ask("credits", event, { timeline })).toMatchObject({ tag: "rejected", code, id: null });
    };
    for (const none of ["nobody", "main~1", "", "a b", 7]) {
      await refused(none, "no_timeline");
      expect(await any.get("credits", "s-line", { timeline: none })).toMatchObject({
        tag: "rejected",
        code: "no_timeline",
      });
    }
    expect(await any.get("credits", "s-line", { at: "nobody@now" })).toMatchObject({ code: "no_timeline" });
    await put("wide", { from: "end", partitions: { credits: 2 } });
    await refused("wide", "timeline_unstarted");
    expect(await left({ timeline: "wide" })).toBe("timeline_unstarted");
    await put("again", { from: "now", replay: "logged" });
    await refused("again", "timeline_replays");
    const before = await left();
    expect((await promote("bound")).status).toBe(200);
    expect([await left(), await left({ timeline: "main~1" })]).toEqual([12, before]);
    await refused("main~1", "timeline_sealed");
    await refused("bound", "no_timeline");
  });
});

test("a binding with a key prefix is bound to it (U4)", async () => {
  const bound = streams({ props: { keyPrefix: "acme/" } });
  await streams.ask("credits", bought("other/ada", 5, "s10"));
  expect(await bound.ask("credits", bought("acme/ada", 5, "s11"))).toMatchObject({ tag: "applied" });
  expect(await bound.ask("credits", bought("other/ada", 5, "s12"))).toMatchObject({ code: "key_not_allowed" });
  expect(await bound.get("credits", "acme/ada")).toMatchObject({ tag: "found" });
  expect(await bound.get("credits", "other/ada")).toMatchObject({ tag: "rejected", code: "key_not_allowed" });
  const both = [bought("acme/ada", 1, "s13"), bought("other/ada", 1, "s14")];
  expect(await bound.send(both)).toMatchObject({
    accepted: 1,
    rejected: 1,
    errors: [{ index: 1, code: "key_not_allowed" }],
  });
  expect(await stateOf("credits", "other/ada")).toEqual({ left: 5, taken: 0 });
});
