/** A key's history over HTTP, with D1 and R2: from the stores alone, page by page, to the beginning of the log. */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, describe, expect, it } from "vitest";
import { operator, type Operator } from "../../../src/keyframe.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { deploy, type Deployment } from "../deployment.ts";

const purse = operator("purse", {
  version: 1,
  partitions: 2,
  events: { put: z.object({ n: z.int() }), close: z.object({}) },
  initial: () => ({ sum: 0 }),
  on: {
    put(state, event, ctx) {
      if (event.data.n === 0) return ctx.refuse("nothing", { sum: state.sum });
      if (event.data.n === 13) throw new Error("thirteen");
      state.sum += event.data.n;
      return { sum: state.sum };
    },
    close: (_state, _event, ctx) => ctx.remove(),
  },
  replies: { keep: "24h" },
});
const BASE = "/v1/operators/purse";

interface Shown {
  readonly seq: number;
  readonly time: string;
  readonly event: { readonly id: string; readonly type: string };
  readonly outcome: Record<string, unknown>;
  readonly operatorVersion: number;
  readonly value: unknown;
  readonly unknown?: string;
}
interface Page {
  readonly items: readonly Shown[];
  readonly before?: number;
  readonly expired?: boolean;
}

let app: Deployment;
let sent = 0;
const put = (key: string, n: number) => ({ type: "put", id: `p${++sent}`, key, data: { n } });
const send = async (...events: readonly object[]): Promise<void> => {
  expect([200, 207, 409]).toContain((await app.call("/v1/events", events)).status);
};
const snapshot = async (): Promise<void> => {
  for (const n of [0, 1]) await app.call(`${BASE}/partitions/${n}/snapshot`, {});
};
/** In a Worker that can't reach any object: nothing is woken (SNAP9). */
async function read(
  query: string,
  by: Operator = purse,
  of: "history" | "blame" = "history",
): Promise<{ readonly status: number; readonly body: Page & Record<string, unknown> }> {
  const around = { ...env, PARTITION: null as unknown as typeof env.PARTITION };
  const http = routesOf(new App([by]));
  const response = await http.fetch(new Request(`http://localhost${BASE}/${of}${query}`), around);
  return { status: response.status, body: await response.json() };
}
const historyOf = async (key: string, more = ""): Promise<Page> => {
  const { status, body } = await read(`?key=${encodeURIComponent(key)}${more}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ operator: "purse", key });
  return body;
};

beforeAll(async () => {
  app = await deploy(purse);
});

const second = operator("purse", {
  version: 2,
  partitions: 2,
  migrate: { 2: (old) => ({ ...old, currency: "EUR" }) },
  events: { put: z.object({ n: z.int() }) },
  initial: () => ({ sum: 0, currency: "EUR" }),
  on: { put: (state, event) => void (state.sum += event.data.n) },
});

describe("GET /history", () => {
  it("has each event newest first, with its outcome and the value after it", async () => {
    await send(put("ada", 5), put("ada", 0), put("bob", 1), put("ada", 13));
    await send({ type: "close", id: "c", key: "ada", time: "2001-02-03T04:05:06Z", data: {} });
    const { items, ...rest } = await historyOf("ada");
    expect(rest).toEqual({ operator: "purse", key: "ada", partition: expect.any(Number) as unknown });
    expect(items.map(({ outcome, value }) => [outcome, value])).toEqual([
      [{ status: "applied" }, null],
      [{ status: "quarantined", error: "thirteen" }, { sum: 5 }],
      [{ status: "refused", code: "nothing", detail: { sum: 5 } }, { sum: 5 }],
      [{ status: "applied", reply: { sum: 5 } }, { sum: 5 }],
    ]);
    expect(items[0]).toEqual({
      seq: expect.any(Number) as unknown,
      time: expect.stringMatching(/^20\d\d-.*Z$/) as unknown,
      event: {
        type: "close",
        id: "c",
        source: "/",
        partitionkey: "ada",
        time: "2001-02-03T04:05:06Z",
        data: {},
      },
      outcome: { status: "applied" },
      operatorVersion: 1,
      value: null,
    });
  });

  it("continues through archives, on the snapshots that are kept, and gives every event once", async () => {
    const key = "é/../ñ 🙂";
    const values: number[] = [];
    for (let n = 1; n <= 12; n++) {
      await send(put(key, n), put("other", 1));
      values.unshift((values[0] ?? 0) + n);
      if (n % 3 === 0) await snapshot();
    }
    const seen: Shown[] = [];
    for (let before: number | undefined; ;) {
      const page = await historyOf(key, `&limit=5${before === undefined ? "" : `&before=${before}`}`);
      expect(page.items.length).toBeLessThanOrEqual(5);
      seen.push(...page.items);
      before = page.before;
      if (before === undefined) break;
    }
    expect(seen.map(({ value }) => value)).toEqual(values.map((sum) => ({ sum })));
    expect(new Set(seen.map(({ seq }) => seq)).size).toBe(12);
    expect((await historyOf(key)).items).toEqual(seen);
  });

  it("CODE4: where another version ran it says that the value isn't known, until a snapshot knows it", async () => {
    await send(put("eve", 2));
    await snapshot();
    await send(put("eve", 3));
    const { items } = (await read("?key=eve", second)).body;
    expect(items).toMatchObject([
      { value: null, unknown: expect.stringMatching(/^version 1 applied seq \d+, and this is version 2$/) as unknown },
      { value: { sum: 2, currency: "EUR" } },
    ]);
  });

  it("of a key that never came is empty", async () => {
    expect((await historyOf("nobody")).items).toEqual([]);
  });

  it.each([
    ["", "invalid_key"],
    ["?key=", "invalid_key"],
    [`?key=${"k".repeat(1025)}`, "invalid_key"],
    ["?key=ada&limit=0", "invalid_limit"],
    ["?key=ada&limit=1001", "invalid_limit"],
    ["?key=ada&limit=1e2", "invalid_limit"],
    ["?key=ada&limit=", "invalid_limit"],
    ["?key=ada&before=0", "invalid_before"],
    ["?key=ada&before=-1", "invalid_before"],
    ["?key=ada&before=", "invalid_before"],
    ["?key=ada&before=1.5", "invalid_before"],
    ["?key=ada&before=9999999999999999", "invalid_before"],
    ["?key=ada&before=__proto__", "invalid_before"],
    ["?key=ada&at=last%20Tuesday", "invalid_moment"],
  ])("IN1: %s is a 400", async (query, code) => {
    expect((await read(query)).body).toMatchObject({ status: 400, code });
  });

  it("is empty below the first event, and beyond the end begins with the newest", async () => {
    expect(await historyOf("ada", "&before=1")).toMatchObject({ items: [] });
    expect((await historyOf("ada", "&before=999999999999999")).items).toHaveLength(4);
  });

  describe("GET /blame", () => {
    const blamed = async (query: string, by: Operator = purse) => {
      const { status, body } = await read(`?${query}`, by, "blame");
      expect(status, JSON.stringify(body)).toBe(200);
      return body as unknown as Record<string, unknown> & { readonly item: (Shown & Record<string, unknown>) | null };
    };

    beforeAll(async () => {
      await send(put("cy", 5), put("cy", 0), put("cy", 13), put("cy", 2));
      await snapshot();
      await send({ type: "close", id: "c-cy", key: "cy", data: {} }, put("cy", 0));
    });

    it("names the newest event that changed the member, and the member before and after", async () => {
      const { item, ...rest } = await blamed("key=cy&path=/sum");
      expect(rest).toEqual({ operator: "purse", key: "cy", partition: expect.any(Number) as unknown, path: "/sum" });
      expect(item).toEqual({
        seq: expect.any(Number) as unknown,
        time: expect.stringMatching(/^20\d\d-.*Z$/) as unknown,
        event: expect.objectContaining({ id: "c-cy", type: "close" }) as unknown,
        outcome: { status: "applied" },
        operatorVersion: 1,
        from: 7,
      });
      const older = (await blamed(`key=cy&path=/sum&before=${item!.seq}`)).item!;
      expect(older).toMatchObject({ event: { type: "put" }, from: 5, to: 7, outcome: { reply: { sum: 7 } } });
      const first = (await blamed(`key=cy&before=${older.seq}`)).item!;
      expect(first).toMatchObject({ to: { sum: 5 } });
      expect("from" in first).toBe(false);
      expect(await blamed(`key=cy&before=${first.seq}`)).toMatchObject({ item: null, path: "" });
    });

    it("takes a moment, and says its stamp", async () => {
      const { at, item } = await blamed("key=cy&path=/sum&at=now");
      expect(at).toBeGreaterThan(1e15);
      await send(put("cy", 9));
      expect((await blamed("key=cy&path=/sum")).item).toMatchObject({ to: 9 });
      expect((await blamed(`key=cy&path=/sum&at=${String(at)}`)).item).toEqual(item);
    });

    it("of a member that never was, and of a key that never came, is nothing", async () => {
      for (const query of ["key=cy&path=/none", "key=nobody&path=/sum"]) {
        const { item, before, expired } = await blamed(query);
        expect([item, before, expired]).toEqual([null, undefined, undefined]);
      }
    });

    it("CODE4: says that it isn't known where another version ran", async () => {
      expect((await blamed("key=cy&path=/sum", second)).item).toMatchObject({
        unknown: expect.stringMatching(/^version 1 applied seq \d+, and this is version 2$/) as unknown,
      });
    });

    it.each([
      ["?path=/sum", "invalid_key"],
      ["?key=cy&path=sum", "invalid_path"],
      ["?key=cy&path=/~2", "invalid_path"],
      ["?key=cy&before=0", "invalid_before"],
      ["?key=cy&at=last%20Tuesday", "invalid_moment"],
    ])("IN1: %s is a 400", async (query, code) => {
      expect((await read(query, purse, "blame")).body).toMatchObject({ status: 400, code });
    });
  });

  it("SNAP3: a log that can't be read is a named 503, and what stands above it is there", async () => {
    const names = (await env.SNAPSHOTS.list({ prefix: "1/purse/" })).objects.map(({ key }) => key);
    const manifests = names.filter((name) => name.endsWith(".kfm"));
    expect(manifests.length).toBeGreaterThan(3);
    const newest = (await historyOf("other", "&limit=1")).items;
    await env.SNAPSHOTS.delete(manifests);
    const { status, body } = await read("?key=other");
    expect([status, body["code"]]).toEqual([503, "log_broken"]);
    await send(put("other", 1));
    const [after] = (await historyOf("other", "&limit=1")).items;
    expect(after!.value).toEqual({ sum: (newest[0]!.value as { sum: number }).sum + 1 });
  });
});
