/** Events whose handler threw, or left something behind that isn't JSON: set aside, shown, and steered by hand. */
import { beforeEach, describe, expect, test } from "vitest";
import { ask, call, get, postEvents, stateOf, type Answer } from "./http.ts";
import { fuse } from "./operators.ts";

interface Item {
  readonly id: string;
  readonly seq: number;
  readonly key: string;
  readonly error: string;
  readonly time: string;
  readonly event: Record<string, unknown>;
}

const ITEMS = "/v1/operators/fragile/quarantine";
const items = async (key: string): Promise<Item[]> =>
  ((await get(ITEMS)).body["items"] as Item[]).filter((item) => item.key === key);
const only = async (key: string): Promise<Item> => {
  const found = await items(key);
  expect(found).toHaveLength(1);
  return found[0]!;
};
const retry = (id: string): Promise<Answer> => call(`${ITEMS}/${id}/retry`, { method: "POST" });
const remove = (id: string): Promise<Answer> => call(`${ITEMS}/${id}`, { method: "DELETE" });
const evict = (): Promise<Answer> => call("/v1/operators/fragile/partitions/0/evict", { method: "POST" });

/** How many answers had which status. */
function statuses(answers: readonly Answer[]): Record<number, number> {
  const count: Record<number, number> = {};
  for (const { status } of answers) count[status] = (count[status] ?? 0) + 1;
  return count;
}

let made = 0;
const doing = (key: string, what: string) => ({
  type: "fragile.do",
  id: `do-${++made}`,
  key,
  data: { what },
});

beforeEach(() => {
  fuse.lit = true;
});

describe("IN4: a handler that throws", () => {
  test("counts as accepted and quarantined, changes nothing, and the partition goes on", async () => {
    const events = [doing("goes-on", "well"), doing("goes-on", "boom"), doing("goes-on", "well")];
    const { status, body } = await postEvents(events);
    expect(status).toBe(200);
    expect(body).toMatchObject({ received: 3, accepted: 3, quarantined: 1, rejected: 0, through: 3, errors: [] });
    expect(await stateOf("fragile", "goes-on")).toEqual({ done: 2, note: null });
    const again = await postEvents(events);
    expect(again.body).toMatchObject({ received: 3, accepted: 0, duplicates: 3, quarantined: 1 });
    expect(await stateOf("fragile", "goes-on")).toEqual({ done: 2, note: null });
  });

  test("leaves no state where there was none", async () => {
    await postEvents(doing("first", "boom"));
    expect(await stateOf("fragile", "first")).toBeUndefined();
  });

  test("an ask says so, a repeat too", async () => {
    const event = doing("asked", "boom");
    const first = await ask("fragile", event);
    expect(first.status).toBe(422);
    expect(first.body).toMatchObject({ code: "quarantined", key: "asked", duplicate: false });
    expect(first.body["detail"]).toMatch(/boom/);
    expect((await ask("fragile", event)).body).toEqual({ ...first.body, duplicate: true });
  });

  test("is listed with what was sent and what went wrong, also after an eviction", async () => {
    const event = { ...doing("listed", "boom"), time: "2026-01-31T12:00:00Z", source: "/s", ext: 1 };
    await postEvents(event);
    const item = await only("listed");
    expect(item).toEqual({
      id: `0-${item.seq}`,
      partition: 0,
      seq: expect.any(Number),
      key: "listed",
      error: "boom",
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      event: {
        type: "fragile.do",
        id: event["id"],
        key: "listed",
        data: event["data"],
        time: event.time,
        source: "/s",
        ext: 1,
      },
    });
    await evict();
    expect(await only("listed")).toEqual(item);
  });
});

describe("SNAP8: what isn't JSON is not taken for it", () => {
  test.each([
    ["nan", /^the state isn't JSON, at .note: NaN is not JSON \(has the state's shape changed\? raise `version`, /],
    ["date", "the state isn't JSON, at .note: an object of class Date is not JSON"],
    ["map", "the state isn't JSON, at .note: an object of class Map is not JSON"],
    ["bigint", "the state isn't JSON, at .note: a value of type bigint is not JSON"],
    ["circle", /^the state isn't JSON, .*in a circle$/],
    ["huge", "the state would have more than 1048576 bytes"],
    ["async", "the handler is asynchronous; handlers must be synchronous"],
    ["reply-date", "the reply isn't JSON, an object of class Date is not JSON"],
    ["reply-nan", "the reply isn't JSON, at .n: Infinity is not JSON"],
    ["reply-huge", "the reply has more than 65536 bytes"],
    ["throw-text", "just text"],
  ])("%s", async (what, error) => {
    await postEvents(doing(what, "well"));
    const { body } = await postEvents([doing(what, what), doing(what, "well")]);
    expect(body).toMatchObject({ accepted: 2, quarantined: 1 });
    expect(await stateOf("fragile", what)).toEqual({ done: 2, note: null });
    expect((await only(what)).error).toEqual(typeof error === "string" ? error : expect.stringMatching(error));
  });

  test.each([
    ["undefined", { done: 1 }],
    ["minus-zero", { done: 1, note: 0 }],
  ])("%s is what JSON makes of it, before an eviction and after", async (what, value) => {
    expect((await postEvents(doing(what, what))).body).toMatchObject({ accepted: 1, quarantined: 0 });
    expect(await stateOf("fragile", what)).toStrictEqual(value);
    await evict();
    expect(await stateOf("fragile", what)).toStrictEqual(value);
  });

  test("all of it stays as it was after an eviction", async () => {
    const before = (await get(ITEMS)).body;
    const states = (await get("/v1/operators/fragile/state?limit=1000")).body;
    await evict();
    expect((await get(ITEMS)).body).toEqual(before);
    expect((await get("/v1/operators/fragile/state?limit=1000")).body).toEqual(states);
  });
});

describe("steering", () => {
  test("a retry that throws again leaves the event where it is", async () => {
    await postEvents(doing("again", "boom"));
    const item = await only("again");
    const { status, body } = await retry(item.id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: item.id, command: "retry", status: "quarantined", error: "boom" });
    expect(await only("again")).toEqual(item);
    expect(await stateOf("fragile", "again")).toBeUndefined();
  });

  test("ONE6: a retry under a mended handler applies once, for good", async () => {
    const event = doing("mended", "boom");
    await postEvents([doing("mended", "well"), event]);
    const { id } = await only("mended");
    fuse.lit = false;
    const { status, body } = await retry(id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, command: "retry", status: "applied", value: "mended" });
    expect(await items("mended")).toEqual([]);
    expect((await retry(id)).body).toMatchObject({ status: 404, code: "not_quarantined" });
    expect((await remove(id)).status).toBe(404);
    expect((await postEvents(event)).body).toMatchObject({ duplicates: 1 });
    expect(await stateOf("fragile", "mended")).toEqual({ done: 2, note: null });
    await evict();
    expect(await stateOf("fragile", "mended")).toEqual({ done: 2, note: null });
    expect(await items("mended")).toEqual([]);
  });

  test("ONE6: ten retries at once apply once", async () => {
    await postEvents(doing("ten", "boom"));
    const { id } = await only("ten");
    fuse.lit = false;
    const answers = await Promise.all(Array.from({ length: 10 }, () => retry(id)));
    expect(statuses(answers)).toEqual({ 200: 1, 404: 9 });
    expect(await stateOf("fragile", "ten")).toEqual({ done: 1, note: null });
    expect(await items("ten")).toEqual([]);
  });

  test("a delete takes it away without effect, once", async () => {
    const event = doing("deleted", "boom");
    await postEvents(event);
    const { id } = await only("deleted");
    fuse.lit = false;
    const answers = await Promise.all([remove(id), remove(id)]);
    expect(statuses(answers)).toEqual({ 200: 1, 404: 1 });
    expect(answers.find(({ status }) => status === 200)!.body).toMatchObject({
      id,
      command: "delete",
      status: "applied",
    });
    expect((await retry(id)).status).toBe(404);
    expect((await postEvents(event)).body).toMatchObject({ duplicates: 1 });
    expect(await stateOf("fragile", "deleted")).toBeUndefined();
    await evict();
    expect(await items("deleted")).toEqual([]);
  });

  test("a retry and a delete at once: one of them counts", async () => {
    await postEvents(doing("race", "boom"));
    const { id } = await only("race");
    fuse.lit = false;
    const answers = await Promise.all([retry(id), remove(id)]);
    expect(statuses(answers)).toEqual({ 200: 1, 404: 1 });
    const retried = answers[0].status === 200;
    expect(await stateOf("fragile", "race")).toEqual(retried ? { done: 1, note: null } : undefined);
    expect(await items("race")).toEqual([]);
  });

  test("clients can't send the commands themselves", async () => {
    await postEvents(doing("forged", "boom"));
    const { seq } = await only("forged");
    const forged = { type: "keyframe.quarantine.delete", source: "keyframe:quarantine", key: "forged", data: { seq } };
    expect((await postEvents(forged)).body).toMatchObject({ status: 422, code: "unknown_type" });
    expect((await ask("fragile", forged)).body).toMatchObject({ status: 422, code: "unknown_type" });
    expect(await items("forged")).toHaveLength(1);
  });
});

describe("LOG6: a full quarantine", () => {
  test("takes no more events, but can be steered, and goes on once there is room", async () => {
    const flood = Array.from({ length: 10_000 }, () => doing("flood", "boom"));
    await postEvents(flood);
    expect((await get(ITEMS)).body["items"] as Item[]).not.toHaveLength(0);
    const event = doing("after", "well");
    const stopped = await postEvents(event);
    expect(stopped.body).toMatchObject({ status: 503, code: "quarantine_full", accepted: 0, through: 0 });
    expect(stopped.headers.get("retry-after")).toMatch(/^\d+$/);
    const all = (await get(ITEMS)).body["items"] as Item[];
    for (const { id } of all.slice(0, all.length - 9_999)) expect((await remove(id)).status).toBe(200);
    expect((await postEvents(event)).body).toMatchObject({ accepted: 1 });
  });
});
