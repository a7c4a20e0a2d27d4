/** Timelines of the client: a client on a timeline, and what becomes of the answers about timelines. */
import { describe, expect, it } from "vitest";
import { client, type Client, type ClientOptions } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const AT = 1_838_629_852_437_504;
const FIX = { name: "fix", line: 2, state: "ready", from: "main", at: AT, time: "t", created: "c", expires: "e" };
const STRETCH = { events: 2, last: "t", partitions: [{ operator: "credits", partition: 0, first: 4, last: 5 }] };
const PREVIEW = {
  timeline: "fix",
  mode: "give_up",
  parted: AT,
  partedTime: "t",
  givesUp: STRETCH,
  takes: { events: 0, partitions: [] },
};
const PROMOTED = { ...PREVIEW, promoted: true, switches: 1, former: "main~1" };
const ETAG = `"${"a".repeat(64)}"`;
const answer = (status: number, body: unknown, headers: Record<string, string> = {}): Fault => ({
  tag: "answer",
  status,
  body,
  headers,
});
const NO_TIMELINE = answer(404, { code: "no_timeline", detail: "none" });

function asked(
  faults: readonly Fault[],
  options: Partial<ClientOptions> = {},
): { readonly app: ScriptedApp; readonly kf: Client } {
  const app = new ScriptedApp((_, attempt) => faults[attempt - 1] ?? { tag: "none" });
  return { app, kf: client({ url: "http://app.test", fetch: app.fetch, clock: app.clock, ...options }) };
}
const lines = ({ seen }: ScriptedApp): string[] => seen.map(({ method, path, text }) => `${method} ${path} ${text}`);
const paths = ({ seen }: ScriptedApp): string[] => seen.map(({ path }) => path);

const value = { left: 1, taken: 0 };
const state = (more: object = {}): Fault =>
  answer(200, { operator: "credits", key: "ada", value, partition: 0, seq: 3, time: "t", ...more });
const history = (more: object): Fault => answer(200, { operator: "credits", key: "ada", items: [], ...more });

describe("a client on a timeline", () => {
  it("names it in every request, in that of the sender too", async () => {
    const { app, kf } = asked([
      state(),
      answer(200, { items: [], missing: [] }),
      answer(200, { value: null, key: "ada", partition: 0, seq: 1, duplicate: false }),
      answer(200, []),
    ]);
    const fix = kf.timeline("fix");
    const account = fix.operator<typeof credits>("credits");
    await app.run(account.get("ada"));
    await app.run(account.getMany(["ada"]));
    await app.run(account.ask("credits.take", { account: "ada", n: 1 }));
    await app.run(fix.savepoints.list());
    expect(await app.run(fix.send({ type: "x", id: "1" }))).toMatchObject({ tag: "accepted" });
    expect(paths(app)).toEqual([
      "/v1/operators/credits/state?key=ada&timeline=fix",
      "/v1/operators/credits/state/batch?timeline=fix",
      "/v1/operators/credits/ask?timeline=fix",
      "/v1/savepoints?timeline=fix",
      "/v1/events?timeline=fix",
    ]);
    expect(await app.run(kf.send({ type: "x", id: "2" }))).toMatchObject({ tag: "accepted" });
    expect(paths(app).at(-1), "the other client is as it was").toBe("/v1/events");
  });

  it("watches and compares there", async () => {
    const refusal = answer(403, { code: "key_not_allowed" });
    const { app, kf } = asked([refusal, refusal]);
    const fix = kf.timeline("main~1");
    const asking = [fix.operator<typeof credits>("credits").watch("ada"), fix.diff({ from: "main@now" })];
    for (const { next } of asking.map((items) => ({ next: (): Promise<unknown> => items.next() })))
      await expect(app.run(next())).rejects.toMatchObject({ code: "key_not_allowed" });
    expect(paths(app)).toEqual([
      "/v1/operators/credits/watch?key=ada&timeline=main%7E1",
      "/v1/diff?from=main%40now&timeline=main%7E1",
    ]);
  });

  it("asks about timelines without naming one", async () => {
    const { app, kf } = asked([answer(200, [FIX])]);
    await app.run(kf.timeline("fix").timelines.list());
    expect(paths(app)).toEqual(["/v1/timelines"]);
  });

  it("sends unnumbered batches, since the timeline knows the numbers of before its start", async () => {
    const { app, kf } = asked([], { producer: { id: "meter", epoch: 1 } });
    await app.run(kf.send({ type: "x", id: "1" }));
    await app.run(kf.timeline("fix").send({ type: "x", id: "2" }));
    const { fetch, clock } = app;
    const own = client({ url: "http://app.test", fetch, clock, timeline: "fix", producer: { id: "meter", epoch: 2 } });
    await app.run(own.send({ type: "x", id: "3" }));
    expect(app.seen.map(({ headers }) => headers.get("producer-epoch"))).toEqual(["1", null, "2"]);
    expect(paths(app).slice(1)).toEqual(["/v1/events?timeline=fix", "/v1/events?timeline=fix"]);
  });
});

describe("a moment on a timeline", () => {
  it.each<[string, (kf: Client) => ReturnType<Client["at"]>]>([
    ["of a client on it", (kf) => kf.timeline("fix").at("-90m")],
    ["that names it", (kf) => kf.at("fix@-90m")],
    ["that names it again", (kf) => kf.timeline("fix").at("fix@-90m")],
  ])("%s stays on it when it is a stamp, and behind the first page", async (_, momentOf) => {
    const { app, kf } = asked([state({ at: AT }), history({ at: AT, before: 3 }), history({})]);
    const account = momentOf(kf).operator<typeof credits>("credits");
    await app.run(account.get("ada"));
    await app.run(account.history("ada").next());
    expect(paths(app)).toEqual([
      "/v1/operators/credits/state?key=ada&at=-90m&timeline=fix",
      `/v1/operators/credits/history?key=ada&limit=100&at=${AT}&timeline=fix`,
      "/v1/operators/credits/history?key=ada&limit=100&before=3&timeline=fix",
    ]);
  });

  it("of another timeline than the client's is refused", () => {
    const { app, kf } = asked([]);
    expect(() => kf.timeline("fix").at("main@now")).toThrow(expect.objectContaining({ code: "invalid_options" }));
    expect(app.seen).toEqual([]);
  });
});

describe("timelines of the client", () => {
  it("are started from main, or from a moment, and expire as asked", async () => {
    const { app, kf } = asked([answer(201, FIX), { tag: "lost", taken: true }, answer(200, FIX), answer(200, FIX)]);
    expect(await app.run(kf.timelines.start("fix"))).toEqual(FIX);
    expect(await app.run(kf.timelines.start("fix", { from: "month-end", expires: "12h" })), "asked again").toEqual(FIX);
    await app.run(kf.timelines.start("fix", { from: new Date(Date.UTC(2026, 10, 24, 9)), expires: null }));
    expect(lines(app)).toEqual([
      "PUT /v1/timelines/fix {}",
      ...Array<string>(2).fill('PUT /v1/timelines/fix {"from":"month-end","expires":"12h"}'),
      'PUT /v1/timelines/fix {"from":"2026-11-24T09:00:00.000Z","expires":null}',
    ]);
  });

  it("are listed, found or not found, and removed, in several requests if need be", async () => {
    const { app, kf } = asked([
      answer(200, [FIX]),
      answer(200, FIX),
      NO_TIMELINE,
      answer(202, { name: "fix", removed: false }),
      answer(200, { name: "fix", removed: true }),
    ]);
    expect(await app.run(kf.timelines.list())).toEqual([FIX]);
    expect(await app.run(kf.timelines.get("fix"))).toEqual(FIX);
    expect(await app.run(kf.timelines.get("none"))).toBeNull();
    expect(await app.run(kf.timelines.remove("fix"))).toBeUndefined();
    expect(lines(app).slice(2)).toEqual([
      "GET /v1/timelines/none ",
      "DELETE /v1/timelines/fix ",
      "DELETE /v1/timelines/fix ",
    ]);
  });

  it("stop being removed at a bound, and at a refusal", async () => {
    const left = new ScriptedApp(() => answer(202, { name: "fix", removed: false }));
    const { timelines } = client({ url: "http://app.test", fetch: left.fetch, clock: left.clock });
    await expect(left.run(timelines.remove("fix"))).rejects.toMatchObject({ code: "gave_up" });
    const { app, kf } = asked([answer(409, { code: "timeline_in_use", detail: "main" })]);
    await expect(app.run(kf.timelines.remove("main"))).rejects.toMatchObject({ code: "timeline_in_use", status: 409 });
  });

  it("are previewed with an ETag, and promoted with it, once, though the answer is lost", async () => {
    const { app, kf } = asked([
      answer(200, PREVIEW, { etag: ETAG }),
      { tag: "lost", taken: true },
      answer(200, PROMOTED),
    ]);
    const preview = await app.run(kf.timelines.promotion("fix"));
    expect(preview).toEqual({ ...PREVIEW, etag: ETAG });
    expect(await app.run(kf.timelines.promote("fix", preview.etag))).toEqual(PROMOTED);
    expect(lines(app)).toEqual([
      "GET /v1/timelines/fix/promotion ",
      ...Array<string>(2).fill("POST /v1/timelines/fix/promotion "),
    ]);
    expect(app.seen.map(({ headers }) => headers.get("if-match"))).toEqual([null, ETAG, ETAG]);
  });

  it("aren't promoted if the list has changed; a promotion can be aborted", async () => {
    const { app, kf } = asked([
      answer(412, { code: "promotion_moved", detail: "more", etag: ETAG }),
      answer(200, { name: "fix", state: "idle", switches: 0 }),
    ]);
    await expect(app.run(kf.timelines.promote("fix", "*"))).rejects.toMatchObject({
      code: "promotion_moved",
      problem: { etag: ETAG },
    });
    expect(await app.run(kf.timelines.abort("fix"))).toBeUndefined();
    expect(lines(app).at(-1)).toBe("DELETE /v1/timelines/fix/promotion ");
  });

  it("have no preview without an ETag", async () => {
    const { app, kf } = asked([answer(200, PREVIEW)]);
    await expect(app.run(kf.timelines.promotion("fix"))).rejects.toMatchObject({ code: "unexpected_answer" });
  });

  it.each(["start", "list", "get", "remove", "promotion", "abort"] as const)(
    "%s believes no stranger's answer",
    async (method) => {
      const { app, kf } = asked([answer(200, { ok: true })]);
      const call: Promise<unknown> = kf.timelines[method]("fix");
      await expect(app.run(call)).rejects.toMatchObject({ code: "unexpected_answer" });
    },
  );
});
