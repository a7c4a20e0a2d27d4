/** A timeline that replays main's log with the code at hand, its promotion while main takes events, and the way back. */
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";
import { sweepTimelines } from "../../../src/worker/admin/timeline-routes.ts";
import { add, call, fetchApp, get, postEvents } from "../http.ts";
import { fuse } from "../operators.ts";

const put = (name: string, body: unknown) =>
  call(`/v1/timelines/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const remove = (name: string) => call(`/v1/timelines/${name}`, { method: "DELETE" });
const advance = (name: string) => call(`/v1/timelines/${name}/replay`, { method: "POST" });
const preview = (name: string) => get(`/v1/timelines/${name}/promotion`);
const promote = (name: string, ifMatch: string) =>
  call(`/v1/timelines/${name}/promotion`, { method: "POST", headers: { "if-match": ifMatch } });

let ids = 0;
const fragile = (key: string, what: string) => ({
  id: `replay-${++ids}`,
  source: "test",
  type: "fragile.do",
  key,
  data: { what },
});
const valueOf = async (operator: string, key: string, query = ""): Promise<unknown> =>
  (await get(`/v1/operators/${operator}/state?key=${key}${query}`)).body["value"] ?? null;
const done = async (key: string, query = ""): Promise<unknown> =>
  ((await valueOf("fragile", key, query)) as { done: number } | null)?.done;
const n = async (key: string, query = ""): Promise<unknown> =>
  ((await valueOf("tally", key, query)) as { n: number } | null)?.n;
const stampNow = async (): Promise<string> =>
  String((await get("/v1/operators/tally/state?at=now&limit=1")).body["at"]);
const changes = async (name: string): Promise<Record<string, unknown>[]> => {
  const answer = await fetchApp(`/v1/timelines/${name}/promotion`, { headers: { accept: "application/x-ndjson" } });
  return (await answer.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};

afterEach(() => {
  fuse.lit = true;
});

describe("a replay", () => {
  test("takes in main's log with the code at hand, follows it, and becomes main without an event lost or doubled", async () => {
    await postEvents([fragile("r-a", "ok"), add("r-n", 1)]);
    const start = await stampNow();
    const boom = fragile("r-a", "boom");
    await postEvents([boom, fragile("r-a", "ok"), fragile("r-b", "boom"), add("r-n", 2)]);
    expect([await done("r-a"), await done("r-b")]).toEqual([2, undefined]);
    fuse.lit = false;
    const made = await put("fix", { from: start, replay: "decide" });
    expect(made).toMatchObject({ status: 201, body: { name: "fix", state: "replaying", from: "main" } });
    expect((await put("fix", { from: start, replay: "decide" })).status).toBe(200);
    expect(await put("fix", { from: start, replay: "logged" })).toMatchObject({ status: 409 });
    expect((await get("/v1/timelines/fix")).body).toMatchObject({
      state: "replaying",
      replay: { of: "main", outcomes: "decide", lag: 4, changed: 0 },
    });
    expect((await advance("fix")).body).toMatchObject({ replay: { lag: 0, behind: 0, changed: 2 } });
    expect([await done("r-a", "&timeline=fix"), await done("r-b", "&timeline=fix")]).toEqual([3, 1]);
    // It takes nothing else.
    const refused = await call("/v1/events?timeline=fix", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([add("r-n", 5)]),
    });
    expect(refused).toMatchObject({ status: 409, body: { code: "timeline_replays" } });
    expect(await put("other", { from: "fix@now" })).toMatchObject({ status: 409, body: { code: "timeline_replays" } });
    // Events that main logs meanwhile come too, and an event that changes nothing on the list doesn't move it.
    const seen = await preview("fix");
    expect(seen.body).toMatchObject({ timeline: "fix", mode: "follow", changes: { events: 2 } });
    const differ = (body: Record<string, unknown>) =>
      (body["keys"] as { operator: string; count: number; first: string[] }[]).map(
        ({ operator, count, first }) => `${operator} ${count}: ${first.toSorted().join(" ")}`,
      );
    expect(differ(seen.body).toSorted()).toEqual(["fragile 2: r-a r-b", "tally 0: "]);
    await postEvents([add("r-n", 4), fragile("r-b", "ok")]);
    expect((await get("/v1/operators/fragile/state?key=r-b&at=fix@now")).body).toMatchObject({ code: "not_settled" });
    const list = await changes("fix");
    expect(list.slice(0, -1)).toMatchObject([
      { operator: "fragile", key: "r-a", id: boom.id, from: expect.stringMatching(/^quarantined boom/), to: "applied" },
      { operator: "fragile", key: "r-b", to: "applied" },
    ]);
    expect(list.at(-1)).toMatchObject({ complete: true, events: 2 });
    const diff = await (await fetchApp("/v1/diff?from=main@now&to=fix@now&prefix=r-")).text();
    expect(diff).toMatch(/"r-a"/);
    expect(diff).not.toMatch(/"r-n"/);
    const etag = seen.headers.get("etag")!;
    const answer = await promote("fix", etag);
    expect(answer).toMatchObject({ status: 200, body: { mode: "follow", promoted: true, former: "main~1" } });
    expect(await promote("fix", etag), "the same again hears the same").toMatchObject({
      status: 200,
      body: answer.body,
    });
    expect([await done("r-a"), await done("r-b"), await n("r-n")]).toEqual([3, 2, 7]);
    expect([await done("r-a", "&timeline=main~1"), await n("r-n", "&timeline=main~1")]).toEqual([2, 7]);
    // Nothing came since, so the former main's own log isn't what differs.
    await put("early", { from: "main~1@now", replay: "logged" });
    expect(differ((await preview("early")).body).toSorted()).toEqual(["fragile 2: r-a r-b", "tally 0: "]);
    await remove("early");
    // Retries of what was taken in count once, and hear what is true now.
    expect((await postEvents([boom])).body).toMatchObject({ duplicates: 1, accepted: 0, quarantined: 0 });
    expect((await postEvents([add("r-n", 8), fragile("r-a", "ok")])).body).toMatchObject({ accepted: 2 });
    expect([await done("r-a"), await n("r-n")]).toEqual([4, 15]);
    expect(await done("r-a", `&at=${start}`)).toBe(1);
    for (const operator of ["fragile", "tally"])
      await call(`/v1/operators/${operator}/partitions/0/evict`, { method: "POST" });
    expect([await done("r-a"), await n("r-n")]).toEqual([4, 15]);

    // The way back takes in what main logged since.
    const undo = await put("undo", { from: "main~1@now", replay: "logged" });
    expect(undo).toMatchObject({ status: 201, body: { from: "main~1" } });
    const back = await preview("undo");
    expect(back.body).toMatchObject({ mode: "follow", changes: { events: 2 } });
    expect(differ(back.body).toSorted()).toEqual(["fragile 2: r-a r-b", "tally 0: "]);
    expect((await changes("undo"))[0]).toMatchObject({ from: "applied", to: expect.stringMatching(/^quarantined/) });
    expect(await promote("undo", back.headers.get("etag")!)).toMatchObject({ status: 200 });
    expect([await done("r-a"), await done("r-b"), await n("r-n")]).toEqual([3, 1, 15]);
    expect((await postEvents([boom])).body).toMatchObject({ duplicates: 1, quarantined: 1 });
    // More than one list of changes lies between main and the fixed line now.
    expect(await put("again", { from: "main~1@now", replay: "logged" })).toMatchObject({
      status: 409,
      body: { code: "timeline_unrelated" },
    });
  });

  test("a second replay from the same moment changes nothing back", async () => {
    await postEvents([add("s-n", 1)]);
    const start = await stampNow();
    await postEvents([fragile("s-a", "boom")]);
    fuse.lit = false;
    await put("first", { from: start, replay: "decide" });
    expect(await promote("first", "*")).toMatchObject({ status: 200, body: { changes: { events: 1 } } });
    await put("second", { from: start, replay: "logged" });
    expect(await promote("second", "*")).toMatchObject({ status: 200, body: { changes: { events: 0 } } });
    expect(await done("s-a")).toBe(1);
  });

  test("a preview that another outcome has changed is answered 412, and main takes events again", async () => {
    const start = await stampNow();
    await postEvents([fragile("m-a", "boom")]);
    fuse.lit = false;
    await put("moved", { from: start, replay: "decide" });
    const etag = (await preview("moved")).headers.get("etag")!;
    fuse.lit = true;
    await postEvents([fragile("m-a", "boom")]);
    fuse.lit = false;
    expect(await promote("moved", etag)).toMatchObject({ status: 412, body: { code: "promotion_moved" } });
    expect((await postEvents([add("m-n", 1)])).body).toMatchObject({ accepted: 1 });
    expect(await promote("moved", "*")).toMatchObject({ status: 200, body: { changes: { events: 2 } } });
    expect(await done("m-a")).toBe(2);
    expect((await postEvents([add("m-n", 1)])).body).toMatchObject({ accepted: 1 });
  });

  test("starts again under other code, and follows nothing but what is main", async () => {
    const start = await stampNow();
    await postEvents([add("o-n", 1)]);
    const made = await put("old", { from: start, replay: "logged" });
    await env.LOG_0.prepare("UPDATE timelines SET code = 'earlier' WHERE name = 'old'").run();
    const again = await advance("old");
    expect(again).toMatchObject({ status: 200, body: { name: "old", replay: { lag: 0 } } });
    expect(again.body["line"]).not.toBe(made.body["line"]);
    expect(await n("o-n", "&timeline=old")).toBe(1);
    await put("rival", { from: start, replay: "logged" });
    expect(await promote("rival", "*")).toMatchObject({ status: 200, body: { changes: { events: 0 } } });
    await postEvents([add("o-n", 1)]);
    expect(await preview("old")).toMatchObject({ status: 409, body: { code: "timeline_unrelated" } });
    expect(await promote("old", "*")).toMatchObject({ status: 409, body: { code: "timeline_unrelated" } });
    expect(await n("o-n")).toBe(2);
    // The former main is kept for it.
    await env.LOG_0.prepare(
      "UPDATE timelines SET expires_at = 1 WHERE replaced = (SELECT switches FROM directory)",
    ).run();
    await sweepTimelines(env);
    const readers = async (): Promise<string[]> => {
      const { keptFor } = (await get("/v1/timelines/main~1")).body as { keptFor: { timelines: { name: string }[] } };
      return keptFor.timelines.map(({ name }) => name);
    };
    expect(await readers()).toContain("old");
    expect(await remove("old")).toMatchObject({ status: 200 });
    expect(await readers()).not.toContain("old");
  });

  test("KEPTLOG1: from a savepoint whose log above is given up it is refused, with the oldest moment that has all of it", async () => {
    const snapshot = async (): Promise<void> => {
      await postEvents([add("k-n", 1)]);
      for (let i = 0; i < 4; i++) await call(`/v1/operators/tally/partitions/${i}/snapshot`, { method: "POST" });
    };
    await snapshot();
    const save = { method: "PUT", headers: { "content-type": "application/json" }, body: "{}" };
    expect(await call("/v1/savepoints/k-old", save)).toMatchObject({ status: 201 });
    for (let i = 0; i < 3; i++) await snapshot();
    const { line } = (await get("/v1/timelines/main")).body as { line: number };
    // As retention leaves it: the first archive after the savepoint stays, and those before `archive_from` go.
    const keepFrom = async (back: number): Promise<void> => {
      for (const db of [env.LOG_0, env.LOG_1])
        await db
          .prepare(
            "UPDATE partitions SET retain_from = snapshot_stamp, archive_from = version - ?2 WHERE partition >= ?1 || '/tally/' AND partition < ?1 || '/tally/~' AND version >= 4",
          )
          .bind(String(line), back)
          .run();
    };
    await keepFrom(1);
    expect(await put("k-whole", { from: "k-old", replay: "logged" })).toMatchObject({ status: 201 });
    expect((await advance("k-whole")).body).toMatchObject({ replay: { lag: 0 } });
    await remove("k-whole");
    await keepFrom(0);
    const refused = await put("k-short", { from: "k-old", replay: "logged" });
    expect(refused).toMatchObject({ status: 410, body: { code: "moment_gone" } });
    expect(refused.body["detail"]).toContain("above stamp");
    expect(await put("k-fork", { from: "k-old" }), "its state can be read").toMatchObject({ status: 201 });
    expect((await get("/v1/timelines/k-short")).status).toBe(404);
    const { oldest } = refused.body as { oldest: number };
    expect(await put("k-short", { from: String(oldest), replay: "logged" })).toMatchObject({ status: 201 });
    const before = await put("k-before", { from: String(oldest - 1), replay: "logged" });
    expect(before).toMatchObject({ status: 410, body: { code: "moment_gone" } });
    expect((await advance("k-short")).body).toMatchObject({ replay: { lag: 0, behind: 0 } });
    for (const db of [env.LOG_0, env.LOG_1])
      await db.prepare("UPDATE partitions SET retain_from = 0, archive_from = 0").run();
    for (const one of ["k-short", "k-fork"]) await remove(one);
  });

  test("an erasure on main is taken in, and asks nothing of the timeline", async () => {
    await postEvents([add("e-n", 1)]);
    const start = await stampNow();
    await put("erasing", { from: start, replay: "logged" });
    const erased = await call("/v1/erasures", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ operator: "tally", key: "e-n" }),
    });
    expect(erased.status).toBeLessThan(300);
    await advance("erasing");
    expect([await n("e-n"), await n("e-n", "&timeline=erasing")]).toEqual([undefined, undefined]);
    expect(await promote("erasing", "*")).toMatchObject({ status: 200 });
    expect(await n("e-n")).toBeUndefined();
  });

  test.each([
    ["a", { replay: "yes" }, 400, "invalid_body"],
    ["a", { replay: true }, 400, "invalid_body"],
  ])("refuses %s %j with %i %s", async (name, body, status, code) => {
    expect(await put(name, body)).toMatchObject({ status, body: { code } });
  });

  test("only a timeline that replays can go on", async () => {
    await put("plain", {});
    expect(await advance("plain")).toMatchObject({ status: 409, body: { code: "no_replay" } });
    expect(await advance("nobody")).toMatchObject({ status: 404, body: { code: "no_timeline" } });
    await remove("plain");
  });
});
