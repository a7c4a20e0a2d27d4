/** Reading the past with the client: one stamp for all reads of a moment (CLIENT3), and answers that name it. */
import { describe, expect, it } from "vitest";
import { client, type MomentLike, type PastClient } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault, type Seen } from "./scripted-app.ts";

const AT = 1_806_200_000_000_000;
const value = { left: 1, taken: 0 };
const answer = (status: number, body: unknown): Fault => ({ tag: "answer", status, body });
const state = (more: object): Fault =>
  answer(200, { operator: "credits", key: "ada", value, partition: 0, seq: 3, time: "t", ...more });
const noState = (more: object): Fault => answer(404, { code: "no_state", detail: "none", ...more });
const page = (items: readonly object[], more: object): Fault => answer(200, { items, ...more });

const answering = (...faults: Fault[]): ScriptedApp => new ScriptedApp((_, attempt) => faults[attempt - 1]!);
const past = (app: ScriptedApp, moment: MomentLike): PastClient =>
  client({ url: "http://app.test", fetch: app.fetch, clock: app.clock }).at(moment);
const creditsOf = (of: PastClient) => of.operator<typeof credits>("credits");
const momentsOf = (seen: readonly Seen[]) =>
  seen.map(({ path }) => new URL(path, "http://app.test").searchParams.get("at"));

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("a moment of the client", () => {
  it.each([
    ["month-end", "month-end"],
    ["-90m", "-90m"],
    ["2026-11-24T10:00:00+01:00", "2026-11-24T10:00:00+01:00"],
    [AT, String(AT)],
    [new Date(Date.UTC(2026, 10, 24, 9)), "2026-11-24T09:00:00.000Z"],
  ])("%s is asked for as %s", async (moment, text) => {
    const app = answering(state({ at: AT }));
    await app.run(creditsOf(past(app, moment)).get("ada"));
    expect(momentsOf(app.seen)).toEqual([text]);
  });

  it.each([-1, 1.5, Number.NaN, new Date(Number.NaN)])("%s is none", (moment) => {
    const app = answering();
    expect(() => past(app, moment)).toThrow(expect.objectContaining({ code: "invalid_options" }));
  });

  it("is one stamp for all reads: that of the first answer, whatever operator it was of", async () => {
    const app = answering(noState({ at: AT }), state({ at: AT, exact: false }), state({ at: AT }));
    const then = past(app, "now");
    expect(then.stamp).toBeNull();
    expect(await app.run(creditsOf(then).get("bo"))).toBeNull();
    expect(then.stamp).toBe(AT);
    expect(await app.run(creditsOf(then).get("ada"))).toMatchObject({ key: "ada", value, at: AT, exact: false });
    expect(await app.run(then.operator("usage").get("ada"))).toMatchObject({ at: AT, exact: true });
    expect(momentsOf(app.seen)).toEqual(["now", String(AT), String(AT)]);
  });

  it("makes reads that begin together wait for the first answer, and the next one asks if that one fails", async () => {
    const app = answering(
      answer(403, { code: "key_not_allowed", detail: "no" }),
      state({ at: AT }),
      state({ at: AT }),
      state({ at: AT }),
    );
    const of = creditsOf(past(app, "now"));
    const reads = await app.run(Promise.allSettled(["a", "b", "c", "d"].map((key) => of.get(key))));
    expect(reads.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled", "fulfilled"]);
    expect(momentsOf(app.seen)).toEqual(["now", "now", String(AT), String(AT)]);
    expect(app.mostUnderWay).toBe(2);
  });

  it("holds for many keys, in several requests", async () => {
    const app = new ScriptedApp(({ text }) => {
      const { keys } = JSON.parse(text) as { readonly keys: string[] };
      return page(
        keys.map((key) => ({ key, value, seq: 1 })),
        { missing: [], at: AT },
      );
    });
    const keys = Array.from({ length: 501 }, (_, n) => `k${n}`);
    const found = await app.run(creditsOf(past(app, "-1h")).getMany(keys));
    expect(found.get("k500")).toEqual({ key: "k500", value, seq: 1, at: AT, exact: true });
    expect(app.seen.map(({ path }) => path)).toEqual([
      "/v1/operators/credits/state/batch?at=-1h",
      `/v1/operators/credits/state/batch?at=${AT}`,
    ]);
  });

  it("holds for all pages of a scan", async () => {
    const app = answering(
      page([{ key: "a", value }], { cursor: "YQ", at: AT }),
      page([{ key: "b", value }], { at: AT, exact: false }),
    );
    const pages = await app.run(all(creditsOf(past(app, "now")).scan({ limit: 1 })));
    expect(pages.flat()).toEqual([
      { key: "a", value, at: AT, exact: true },
      { key: "b", value, at: AT, exact: false },
    ]);
    expect(momentsOf(app.seen)).toEqual(["now", String(AT)]);
  });

  it("bounds a history from above: `before` says the rest", async () => {
    const entry = { time: "t", event: { type: "t", id: "1", source: "/" }, operatorVersion: 1, value };
    const body = { operator: "credits", key: "ada" };
    const item = (seq: number) => ({ seq, outcome: { status: "applied" }, ...entry });
    const app = answering(page([item(9)], { ...body, before: 9, at: AT }), page([item(2)], { ...body, expired: true }));
    const then = past(app, "month-end");
    const found = await app.run(all(creditsOf(then).history("ada")));
    expect([found.map(({ seq }) => seq), then.stamp]).toEqual([[9, 2], AT]);
    expect(app.seen.map(({ path }) => path.split("?")[1])).toEqual([
      "key=ada&limit=100&at=month-end",
      "key=ada&limit=100&before=9",
    ]);
  });

  it.each([
    [409, "not_settled"],
    [410, "moment_gone"],
    [404, "no_savepoint"],
  ])("that can't be read throws: %i %s", async (status, code) => {
    const app = answering(answer(status, { code, detail: "why" }));
    const read = app.run(creditsOf(past(app, "2125-01-01T00:00:00Z")).get("ada"));
    await expect(read).rejects.toMatchObject({ status, code, detail: "why" });
  });

  it.each<[string, Fault]>([
    ["a state", state({})],
    ["no state", noState({})],
    ["a stamp that is no whole number", state({ at: "now" })],
    ["an unknown way to be exact", state({ at: AT, exact: "perhaps" })],
  ])("is never taken for the present: %s without a stamp is an error", async (_, fault) => {
    const app = answering(fault);
    const read = app.run(creditsOf(past(app, AT)).get("ada"));
    await expect(read).rejects.toMatchObject({ code: "unexpected_answer" });
  });

  it("of a page, a batch and a history is checked too", async () => {
    const reads = [
      [page([], {}), (of: ReturnType<typeof creditsOf>) => all(of.scan())],
      [page([], { missing: [] }), (of: ReturnType<typeof creditsOf>) => of.getMany(["a"])],
      [page([], { operator: "credits", key: "a" }), (of: ReturnType<typeof creditsOf>) => all(of.history("a"))],
    ] as const;
    for (const [fault, read] of reads) {
      const app = answering(fault);
      await expect(app.run<unknown>(read(creditsOf(past(app, AT))))).rejects.toMatchObject({
        code: "unexpected_answer",
        detail: expect.stringContaining("it lacks `at`") as unknown,
      });
    }
  });
});
