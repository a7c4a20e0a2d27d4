/** `at=` on everything that reads state: what it was at that moment, the same for ever, and nobody is woken. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { add, call, fetchApp, get, postEvents, postJson } from "../http.ts";

const KEYS = ["moment-a", "moment-b", "moment-c"];
const stateAt = (key: string, at: string | number) =>
  get(`/v1/operators/tally/state?key=${key}&at=${encodeURIComponent(at)}`);
const snapshots = async (): Promise<void> => {
  for (const n of [0, 1, 2, 3]) await call(`/v1/operators/tally/partitions/${n}/snapshot`, { method: "POST" });
};

let first: number;
let second: number;

/** The stamp of now, after what was acknowledged. */
async function now(): Promise<number> {
  const { status, body } = await stateAt("moment-a", "now");
  expect(`${status} ${JSON.stringify(body)}`).toMatch(/^200/);
  return body["at"] as number;
}

beforeAll(async () => {
  await postEvents(KEYS.map((key) => add(key, 1)));
  first = await now();
  await snapshots();
  await postEvents(KEYS.map((key) => add(key, 10)));
  second = await now();
  await postEvents([add("moment-a", 100), add("moment-new", 7)]);
  await snapshots();
});

describe("a moment", () => {
  test("is what each key was then, and names its stamp", async () => {
    expect(second).toBeGreaterThan(first);
    const then = await stateAt("moment-a", first);
    const again = await stateAt("moment-a", first);
    expect(then.body).toMatchObject({ key: "moment-a", at: first });
    expect(again.body).toEqual(then.body);
    const values = await Promise.all(
      [first, second, "now"].map(async (at) => (await stateAt("moment-a", at)).body["value"]),
    );
    expect(values).toEqual([1, 11, 111].map((n) => expect.objectContaining({ n })));
    expect(await stateAt("moment-new", second)).toMatchObject({ status: 404, body: { code: "no_state", at: second } });
  });

  test("may be a time, or so long ago", async () => {
    const time = new Date(Math.floor(first / 1_024)).toISOString();
    const at = (await stateAt("moment-a", time)).body["at"] as number;
    expect(Math.floor(at / 1_024)).toBe(Math.floor(first / 1_024));
    const long = await stateAt("moment-a", "-36500d");
    expect(long.body).toMatchObject({ code: "no_state" });
    expect((await stateAt("moment-a", String(long.body["at"]))).body).toEqual(long.body);
  });

  test("holds for many keys, for pages and for exports", async () => {
    const batch = await postJson(`/v1/operators/tally/state/batch?at=${first}`, { keys: [...KEYS, "moment-new"] });
    expect(batch.body).toMatchObject({ at: first, missing: ["moment-new"] });
    expect((batch.body["items"] as { value: { n: number } }[]).map(({ value }) => value.n)).toEqual([1, 1, 1]);

    const items: [string, number][] = [];
    for (let cursor = ""; ;) {
      const page = await get(`/v1/operators/tally/state?prefix=moment-&limit=2&at=${second}${cursor}`);
      expect(page.body["at"]).toBe(second);
      items.push(
        ...(page.body["items"] as { key: string; value: { n: number } }[]).map(
          ({ key, value }) => [key, value.n] as [string, number],
        ),
      );
      if (page.body["cursor"] === undefined) break;
      cursor = `&cursor=${page.body["cursor"] as string}`;
    }
    expect(items).toEqual(KEYS.map((key) => [key, 11]));

    const text = await (await fetchApp(`/v1/operators/tally/export?prefix=moment-&at=${first}`)).text();
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ at: first });
    expect(lines.at(-1)).toMatchObject({ complete: true, keys: 3 });
    expect(
      lines
        .filter((line) => "key" in line)
        .map(({ key }) => JSON.stringify(key))
        .sort((a, b) => (a < b ? -1 : 1)),
    ).toEqual(KEYS.map((key) => JSON.stringify(key)));
  });

  test("bounds a history from above", async () => {
    const { body } = await get(`/v1/operators/tally/history?key=moment-a&at=${second}`);
    expect(body).toMatchObject({ at: second });
    expect((body["items"] as { value: { n: number } }[]).map(({ value }) => value.n)).toEqual([11, 1]);
  });

  test("takes no epoch and writes no row of a partition", async () => {
    const rows = async (): Promise<unknown> =>
      (await env.LOG_0.prepare("SELECT partition, epoch, version FROM partitions ORDER BY partition").all()).results;
    const before = await rows();
    await stateAt("moment-a", first);
    await get(`/v1/operators/tally/state?at=${first}`);
    expect(await rows()).toEqual(before);
  });

  test.each([
    ["at=yesterday%20evening", 400, "invalid_moment"],
    ["at=no-such-savepoint", 404, "no_savepoint"],
    ["at=2125-01-01T00:00:00Z", 409, "not_settled"],
  ])("%s is %i %s", async (query, status, code) => {
    const { status: answered, body, headers } = await get(`/v1/operators/tally/state?key=a&${query}`);
    expect([answered, body["code"]]).toEqual([status, code]);
    if (status === 409) expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("that retention has given up is 410, with the oldest that is left", async () => {
    await env.LOG_0.prepare("UPDATE partitions SET retain_from = ?1").bind(first).run();
    await env.LOG_1.prepare("UPDATE partitions SET retain_from = ?1").bind(first).run();
    expect(await stateAt("moment-a", first - 1_024)).toMatchObject({
      status: 410,
      body: { code: "moment_gone", oldest: first, oldestTime: new Date(Math.floor(first / 1_024)).toISOString() },
    });
    expect((await stateAt("moment-a", first)).status).toBe(200);
    expect((await get(`/v1/operators/tally/state?at=${first - 1_024}`)).status).toBe(410);
  });
});
