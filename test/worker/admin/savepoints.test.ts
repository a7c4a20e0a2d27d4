/** `/v1/savepoints`: a name for a moment of all operators, that retention respects. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { add, call, get, postEvents } from "../http.ts";

const put = (name: string, body?: unknown) =>
  call(`/v1/savepoints/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const remove = (name: string) => call(`/v1/savepoints/${name}`, { method: "DELETE" });
const valueAt = async (at: string): Promise<unknown> =>
  (await get(`/v1/operators/tally/state?key=saved&at=${at}`)).body["value"];

describe("a savepoint", () => {
  test("names all that was acknowledged; it can be read by its name, listed, and removed", async () => {
    await postEvents([add("saved", 1)]);
    const taken = await put("before-sale");
    expect(taken).toMatchObject({ status: 201, body: { name: "before-sale" } });
    await postEvents([add("saved", 5)]);
    expect(await valueAt("before-sale")).toMatchObject({ n: 1 });
    expect(await valueAt("now")).toMatchObject({ n: 6 });
    const { body } = await get("/v1/savepoints/before-sale");
    expect(body).toEqual(taken.body);
    expect(body).toMatchObject({ restorable: false });
    const objects = async () => (await env.SNAPSHOTS.list({ prefix: "savepoints/" })).objects.map(({ key }) => key);
    expect(await objects()).toEqual([expect.stringContaining(`/before-sale/`)]);
    expect((await get("/v1/savepoints")).body).toEqual([taken.body]);
    expect(await remove("before-sale")).toMatchObject({ status: 200 });
    expect(await remove("before-sale")).toMatchObject({ status: 200 });
    expect(await objects()).toEqual([]);
    expect(await get("/v1/savepoints/before-sale")).toMatchObject({ status: 404, body: { code: "no_savepoint" } });
    expect(await get("/v1/operators/tally/state?key=saved&at=before-sale")).toMatchObject({ status: 404 });
  });

  test("is the same again, and another moment under its name is a conflict", async () => {
    await postEvents([add("saved", 1)]);
    const first = await put("twice");
    expect((await put("twice")).body).toEqual(first.body);
    const at = first.body["at"] as number;
    expect(await put("twice", { at })).toMatchObject({ status: 200, body: { at } });
    expect(await put("twice", { at: at - 1 })).toMatchObject({ status: 409, body: { code: "savepoint_exists", at } });
    await remove("twice");
  });

  test("of a moment that some partition has given up is refused, and stands in no database", async () => {
    await postEvents(Array.from({ length: 20 }, (_, n) => add(`saved-${n}`, 1)));
    const at = (await put("for-its-stamp")).body["at"] as number;
    await env.LOG_1.prepare("UPDATE partitions SET retain_from = ?1")
      .bind(at + 1)
      .run();
    expect(await put("late", { at: at - 1 })).toMatchObject({ status: 410, body: { code: "moment_gone" } });
    // The savepoint of that moment keeps it.
    expect(await put("as-kept", { at })).toMatchObject({ status: 201, body: { at } });
    await env.LOG_1.prepare("UPDATE partitions SET retain_from = 0").run();
    const rows = await Promise.all(
      [env.LOG_0, env.LOG_1].map((db) =>
        db.prepare("SELECT COUNT(*) AS n FROM savepoints WHERE name = 'late'").first("n"),
      ),
    );
    expect(rows).toEqual([0, 0]);
    await remove("for-its-stamp");
    await remove("as-kept");
  });

  test("wakes no partition: no row of one changes", async () => {
    const rows = async (): Promise<unknown> =>
      (await env.LOG_0.prepare("SELECT partition, epoch, version FROM partitions ORDER BY partition").all()).results;
    const before = await rows();
    await put("quiet");
    expect(await rows()).toEqual(before);
    await remove("quiet");
  });

  test.each([
    ["now", undefined, 400, "invalid_name"],
    ["Month", undefined, 400, "invalid_name"],
    ["a", { at: "yesterday evening" }, 400, "invalid_moment"],
    ["a", { at: true }, 400, "invalid_body"],
    ["a", [], 400, "invalid_body"],
    ["a", { at: "2125-01-01T00:00:00Z" }, 409, "not_settled"],
    ["a", { at: "no-such" }, 404, "no_savepoint"],
  ])("%s %j is %i %s", async (name, body, status, code) => {
    expect(await put(name, body)).toMatchObject({ status, body: { code } });
  });
});
