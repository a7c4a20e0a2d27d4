/** Events whose handler threw, or left something behind that isn't JSON: quarantined, shown, and steered by hand. */
import { beforeEach, describe, expect, test } from "vitest";
import { ask, call, get, postEvents, stateOf, type Answer } from "../http.ts";
import { fuse } from "../operators.ts";

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
  test("counts as accepted and quarantined, changes nothing, and the partition continues", async () => {
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

  test("an ask says so, a retry too", async () => {
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
      type: "fragile.do",
      key: "listed",
      error: "boom",
      errorName: "Error",
      stack: expect.stringMatching(/^at mischief .*operators\.ts:\d+/),
      operatorVersion: 1,
      code: expect.any(String),
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
    expect(await only("again")).toEqual({ ...item, stack: expect.any(String) });
    expect(await stateOf("fragile", "again")).toBeUndefined();
  });

  test("ONE6: a retry under a fixed handler applies once, for good", async () => {
    const event = doing("fixed", "boom");
    await postEvents([doing("fixed", "well"), event]);
    const { id } = await only("fixed");
    fuse.lit = false;
    const { status, body } = await retry(id);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, command: "retry", status: "applied", value: "fixed" });
    expect(await items("fixed")).toEqual([]);
    expect((await retry(id)).body).toEqual({ ...body, duplicate: true, value: null });
    const late = await remove(id);
    expect(late.body).toMatchObject({ status: 409, code: "settled", how: "retried", seq: body["seq"] });
    // A quarantine is a pause: its sender hears that it is applied.
    expect((await postEvents(event)).body).toMatchObject({ duplicates: 1, quarantined: 0, errors: [] });
    expect((await ask("fragile", event)).status).toBe(200);
    expect(await stateOf("fragile", "fixed")).toEqual({ done: 2, note: null });
    await evict();
    expect(await stateOf("fragile", "fixed")).toEqual({ done: 2, note: null });
    expect(await items("fixed")).toEqual([]);
  });

  test("ONE6: ten retries at once apply once", async () => {
    await postEvents(doing("ten", "boom"));
    const { id } = await only("ten");
    fuse.lit = false;
    const answers = await Promise.all(Array.from({ length: 10 }, () => retry(id)));
    expect(statuses(answers)).toEqual({ 200: 10 });
    expect(answers.filter(({ body }) => body["duplicate"] === false)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body["seq"])).size).toBe(1);
    expect(await stateOf("fragile", "ten")).toEqual({ done: 1, note: null });
    expect(await items("ten")).toEqual([]);
  });

  test("a delete takes it away without effect, once", async () => {
    const event = doing("deleted", "boom");
    await postEvents(event);
    const { id } = await only("deleted");
    fuse.lit = false;
    const answers = await Promise.all([remove(id), remove(id)]);
    expect(statuses(answers)).toEqual({ 200: 2 });
    for (const { body } of answers) expect(body).toMatchObject({ id, command: "delete", status: "applied" });
    expect(answers.filter(({ body }) => body["duplicate"] === true)).toHaveLength(1);
    expect((await retry(id)).body).toMatchObject({ status: 409, code: "settled", how: "deleted" });
    // Its sender hears that it was given up.
    expect((await postEvents(event)).body).toMatchObject({ duplicates: 0, refused: 1, quarantined: 0 });
    expect((await ask("fragile", event)).body).toMatchObject({ status: 409, code: "deleted", duplicate: true });
    expect(await stateOf("fragile", "deleted")).toBeUndefined();
    await evict();
    expect(await items("deleted")).toEqual([]);
  });

  test("a retry and a delete at once: one of them counts", async () => {
    await postEvents(doing("race", "boom"));
    const { id } = await only("race");
    fuse.lit = false;
    const answers = await Promise.all([retry(id), remove(id)]);
    expect(statuses(answers)).toEqual({ 200: 1, 409: 1 });
    const retried = answers[0].status === 200;
    expect(await stateOf("fragile", "race")).toEqual(retried ? { done: 1, note: null } : undefined);
    expect(await items("race")).toEqual([]);
  });

  test("what never was in the quarantine, or is no id, isn't found", async () => {
    await postEvents(doing("sound", "well"));
    const { seq } = (await ask("fragile", doing("sound", "well"))).body as { seq: number };
    for (const id of [`0-${seq}`, "0-999999", "7-1", "0-0", "x"])
      for (const answer of [await retry(id), await remove(id)])
        expect(answer.body).toMatchObject({ status: 404, code: "not_quarantined" });
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

describe("many at once", () => {
  const many = (command: string, query: string): Promise<Answer> =>
    call(`${ITEMS}/${command}${query}`, { method: "POST" });
  const keys = ["m1", "m2", "m3"];

  beforeEach(async () => {
    fuse.lit = false;
    await many("delete", "?all=true");
    fuse.lit = true;
  });

  test("are counted by what went wrong, found by it, and retried in the order of their seqs, page by page", async () => {
    await postEvents([...keys.map((key) => doing(key, "boom")), doing("m1", "throw-text"), doing("m2", "nan")]);
    const groups = await get(`${ITEMS}/groups`);
    expect(groups.body).toMatchObject({ events: 5, groups: 3 });
    const [first] = groups.body["items"] as Record<string, unknown>[];
    expect(first).toMatchObject({ type: "fragile.do", errorName: "Error", error: "boom", events: 3 });
    const group = "?type=fragile.do&errorName=Error&error=boom";
    const listed = (await get(`${ITEMS}${group}`)).body["items"] as Item[];
    expect(listed.map(({ key }) => key)).toEqual(keys);
    expect(first!["first"]).toBe(listed[0]!.id);
    fuse.lit = false;
    const one = await many("retry", `${group}&limit=2`);
    expect(one.body).toMatchObject({ command: "retry", applied: 2, refused: 0, quarantined: 0, gone: 0 });
    expect(one.body["items"]).toEqual(listed.slice(0, 2).map(({ id }) => ({ id, status: "applied" })));
    const two = await many("retry", `${group}&limit=2&cursor=${one.body["cursor"] as string}`);
    expect(two.body).toMatchObject({ applied: 1, items: [{ id: listed[2]!.id, status: "applied" }] });
    expect(two.body["cursor"]).toBeUndefined();
    expect((await get(`${ITEMS}?error=the%20state*`)).body["items"]).toHaveLength(1);
    expect((await get(ITEMS)).body["items"]).toHaveLength(2);
  });

  test("what throws again is passed by once, and stays", async () => {
    await postEvents(keys.map((key) => doing(key, "boom")));
    const answers = [await many("retry", "?limit=2")];
    for (let last = answers[0]!; last.body["cursor"] !== undefined; last = answers.at(-1)!) {
      // Received after the first page: it waits for the next time.
      await postEvents(doing("later", "boom"));
      answers.push(await many("retry", `?limit=2&cursor=${last.body["cursor"] as string}`));
    }
    expect(answers.map(({ body }) => body["quarantined"])).toEqual([2, 1]);
    expect(await items("m1")).toHaveLength(1);
  });

  test("are deleted with a filter, or all where that is said", async () => {
    await postEvents([...keys.map((key) => doing(key, "boom")), doing("m1", "throw-text")]);
    expect((await many("delete", "")).body).toMatchObject({ status: 400, code: "no_filter" });
    expect((await many("delete", "?all=yes")).body).toMatchObject({ status: 400, code: "invalid_all" });
    expect((await many("delete", "?error=just%20text")).body).toMatchObject({ applied: 1 });
    expect((await get(ITEMS)).body["items"]).toHaveLength(3);
    expect((await many("delete", "?all=true")).body).toMatchObject({ applied: 3 });
    expect((await get(ITEMS)).body["items"]).toEqual([]);
    expect((await many("retry", "")).body).toMatchObject({ applied: 0, items: [] });
  });

  test.each(["?limit=0", "?limit=101", "?cursor=1", "?cursor=0-1", "?cursor=9-1-1"])("%s is refused", async (query) => {
    expect((await many("retry", query)).status).toBe(400);
  });
});

describe("LOG6: a full quarantine", () => {
  test("takes no more events, but can be steered, and continues once there is room", async () => {
    const flood = Array.from({ length: 10_000 }, () => doing("flood", "boom"));
    await postEvents(flood);
    expect((await get(ITEMS)).body["items"] as Item[]).not.toHaveLength(0);
    const event = doing("after", "well");
    const stopped = await postEvents(event);
    expect(stopped.body).toMatchObject({ status: 503, code: "quarantine_full", accepted: 0, through: 0 });
    expect(stopped.headers.get("retry-after")).toMatch(/^\d+$/);
    const { events } = (await get(`${ITEMS}/groups`)).body as { events: number };
    const some = (await get(`${ITEMS}?limit=${events - 9_999}`)).body["items"] as Item[];
    for (const { id } of some) expect((await remove(id)).status).toBe(200);
    expect((await postEvents(event)).body).toMatchObject({ accepted: 1 });
  });
});
