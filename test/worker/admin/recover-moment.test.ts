/** D1 is gone: all operators come back as of one moment, from R2 alone. */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeEach, describe, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { loseD1 } from "../lose-d1.ts";

const shared = z.object({ n: z.int() });

/** Over both databases. */
const bank = operator("bank", {
  version: 1,
  partitions: 4,
  events: { paid: shared },
  initial: () => ({ sum: 0 }),
  on: { paid: (state, event) => void (state.sum += event.data.n) },
});

/** Hears of each payment too. */
const audit = operator("audit", {
  version: 1,
  events: { paid: shared },
  key: () => "all",
  initial: () => ({ sum: 0 }),
  on: { paid: (state, event) => void (state.sum += event.data.n) },
});

const KEYS = Array.from({ length: 40 }, (_, i) => `account-${i}`);

interface Item {
  readonly partition: number;
  readonly status: string;
  readonly seq?: number;
  readonly missing?: number;
  readonly givenUp?: number;
}
const recover = async (app: Deployment, name: string, body: unknown = {}) => {
  const answer = await app.call(`/v1/operators/${name}/recover`, body);
  return { ...answer, items: answer.body["items"] as Item[] };
};

let round = 0;
/** One payment for each account. */
async function pay(app: Deployment): Promise<void> {
  round += 1;
  const events = KEYS.map((key, i) => ({ type: "paid", id: `${round}-${key}`, key, data: { n: round * 100 + i } }));
  expect((await app.call("/v1/events", events)).body).toMatchObject({ accepted: 40 });
}

async function states(app: Deployment, at = ""): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const name of ["bank", "audit"]) {
    const { status, body } = await app.call(`/v1/operators/${name}/state?limit=1000${at === "" ? "" : `&at=${at}`}`);
    expect(status).toBe(200);
    for (const { key, value } of body["items"] as { key: string; value: { sum: number } }[])
      found[`${name}/${key}`] = value.sum;
  }
  return found;
}

async function snapshot(app: Deployment, name: string, partitions: readonly number[]): Promise<void> {
  for (const n of partitions)
    expect((await app.call(`/v1/operators/${name}/partitions/${n}/snapshot`, {})).status).toBe(200);
}
const snapshotAll = async (app: Deployment): Promise<void> => {
  await snapshot(app, "bank", [0, 1, 2, 3]);
  await snapshot(app, "audit", [0]);
};

const save = async (app: Deployment, name: string) => (await app.call(`/v1/savepoints/${name}`, {}, {}, "PUT")).body;

const dump = async (): Promise<unknown> =>
  Promise.all(
    [env.LOG_0, env.LOG_1].flatMap((db) =>
      ["operators", "partitions", "segments"].map(
        async (table) => (await db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all()).results,
      ),
    ),
  );

beforeEach(async () => {
  const { objects } = await env.SNAPSHOTS.list();
  if (objects.length > 0) await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
  await loseD1(env.LOG_0, env.LOG_1);
});

/** D1 is lost after a savepoint, whose events are all archived, and further payments. */
async function lostAfter(name: string) {
  const before = await deploy(bank, audit);
  await recoverObjects(before);
  await pay(before);
  await snapshotAll(before);
  await pay(before);
  const saved = await save(before, name);
  const there = await states(before);
  await pay(before);
  await snapshotAll(before);
  await pay(before);
  await snapshotAll(before);
  await loseD1(env.LOG_0, env.LOG_1);
  return { app: await deploy(bank, audit), at: saved["at"] as number, there };
}

/** Objects of a test before know a log that is gone: the tests begin anew. */
async function recoverObjects(app: Deployment): Promise<void> {
  for (const [name, partitions] of [
    ["bank", 4],
    ["audit", 1],
  ] as const)
    for (let n = 0; n < partitions; n++) await app.call(`/v1/operators/${name}/partitions/${n}/adopt`, { truth: "d1" });
}

describe("a recovery to a moment", () => {
  it("brings every key of all operators back as of a savepoint, closes them until they are whole, and gives up the rest", async () => {
    const { app, at, there } = await lostAfter("before-sale");
    expect((await app.call("/v1/operators/bank/state?key=account-1")).body["code"]).toBe("catalogue_lost");

    const first = await recover(app, "bank", { to: "before-sale" });
    expect(first).toMatchObject({ status: 200, body: { to: at, changed: true, complete: true, partitions: 4 } });
    expect(first.items.map(({ status }) => status)).toEqual(["recovered", "recovered", "recovered", "recovered"]);
    expect(
      first.items.reduce((sum, { givenUp = 0 }) => sum + givenUp, 0),
      "two rounds",
    ).toBe(80);
    expect((await recover(app, "audit", { to: at })).body).toMatchObject({ changed: true, complete: true });
    expect(await states(app)).toEqual(there);
    // It may be sent again, and the other kind finds nothing to do.
    const again = await recover(app, "bank", { to: "before-sale" });
    expect(again).toMatchObject({ status: 200, body: { changed: false, complete: true } });
    expect(again.items.map(({ status }) => status)).toEqual(["kept", "kept", "kept", "kept"]);
    expect((await recover(app, "bank")).body).toMatchObject({ changed: false, complete: true });

    // An event that was known at the moment is a duplicate, and one that was given up counts again.
    const events = [round - 2, round - 1].map((of) => ({
      type: "paid",
      id: `${of}-account-0`,
      key: "account-0",
      data: { n: of * 100 },
    }));
    expect((await app.call("/v1/events", events)).body).toMatchObject({ accepted: 1, duplicates: 1 });
    await snapshotAll(app);
    const later = await states(await deploy(bank, audit));
    expect(later["bank/account-0"]).toBe(there["bank/account-0"]! + (round - 1) * 100);
    expect(later["audit/all"]).toBe(there["audit/all"]! + (round - 1) * 100);
    expect(await states(app, String(at))).toEqual(there);
  });

  it("by a time comes to the same state as by its stamp", async () => {
    const { app, at, there } = await lostAfter("a");
    const time = new Date(Math.floor(at / 1_024)).toISOString();
    for (const name of ["bank", "audit"])
      expect((await recover(app, name, { to: time })).body).toMatchObject({ complete: true, changed: true });
    expect(await states(app)).toEqual(there);
  });

  it("says how far a partition gets that D1 alone had more of, needs a yes for it, and closes the operator until then", async () => {
    const before = await deploy(bank, audit);
    await recoverObjects(before);
    await pay(before);
    await snapshotAll(before);
    const old = await states(before);
    await pay(before);
    expect(await save(before, "gap")).toMatchObject({ restorable: false, unarchived: 5 });
    const there = await states(before);
    await snapshot(before, "bank", [0, 1, 2]);
    await snapshot(before, "audit", [0]);
    expect((await before.call("/v1/savepoints/gap")).body).toMatchObject({ restorable: false, unarchived: 1 });
    await loseD1(env.LOG_0, env.LOG_1);
    const app = await deploy(bank, audit);

    const first = await recover(app, "bank", { to: "gap" });
    expect(first.body).toMatchObject({ changed: true, complete: false });
    expect(first.items.map(({ status }) => status)).toEqual(["recovered", "recovered", "recovered", "short"]);
    const { seq: reached, missing } = first.items[3]!;
    expect(missing).toBe(reached);
    const closed = await app.call("/v1/operators/bank/state?key=account-1");
    expect(closed).toMatchObject({ status: 503, body: { code: "catalogue_lost" } });
    expect(closed.body["detail"]).toContain("is being recovered to stamp");
    expect(await recover(app, "bank")).toMatchObject({ status: 409, body: { code: "recovering" } });
    const other = await recover(app, "bank", { to: "2026-01-01T00:00:00Z" });
    expect(other).toMatchObject({ status: 409, body: { code: "recovering" } });

    // A copy of its log that broke off: rows that aren't its own any more.
    await env.LOG_1.batch([
      env.LOG_1.prepare("INSERT OR IGNORE INTO numbers (partition) VALUES ('1/bank/0003')"),
      env.LOG_1.prepare(
        "INSERT INTO segments SELECT number << 43 | 1, 1, 1, 1, 'x', 1, 1, '', 'json', 1, 1, '{}', '{}' FROM numbers WHERE partition = '1/bank/0003'",
      ),
    ]);
    const second = await recover(app, "bank", { to: "gap", incomplete: true });
    expect(second.body).toMatchObject({ changed: true, complete: true });
    expect(second.items[3]).toMatchObject({ status: "recovered", seq: reached, missing, incomplete: true });
    expect((await recover(app, "audit", { to: "gap" })).body).toMatchObject({ complete: true });
    const now = await states(app);
    const differ = Object.keys(there).filter((key) => now[key] !== there[key]);
    expect(differ.length).toBe(missing);
    for (const key of differ) expect(now[key]).toBe(old[key]);
  });

  it("names an operator of which only D1 had anything, and how many events are missing", async () => {
    const before = await deploy(bank, audit);
    await recoverObjects(before);
    await pay(before);
    await snapshot(before, "bank", [0, 1, 2, 3]);
    await save(before, "unsaved");
    await loseD1(env.LOG_0, env.LOG_1);
    const app = await deploy(bank, audit);
    const { body, items } = await recover(app, "audit", { to: "unsaved" });
    expect(body).toMatchObject({ changed: false, complete: false });
    expect(items).toEqual([{ partition: 0, status: "nothing", missing: 40 }]);
    expect((await recover(app, "audit", { to: "unsaved", incomplete: true })).body).toMatchObject({ complete: true });
  });

  it("changes nothing of an operator that is in use, or of which anything is left", async () => {
    const app = await deploy(bank, audit);
    await recoverObjects(app);
    await pay(app);
    await snapshotAll(app);
    await save(app, "used");
    await pay(app);
    const before = await dump();
    const used = await recover(app, "bank", { to: "used", incomplete: true });
    expect(used).toMatchObject({ status: 409, body: { code: "not_empty" } });
    expect(await dump()).toEqual(before);

    await loseD1(env.LOG_0);
    const half = await recover(await deploy(bank, audit), "bank", { to: "used" });
    expect(half.body["detail"]).toContain("LOG_1 has rows of it");
    await env.LOG_1.prepare("DELETE FROM partitions").run();
    const log = await recover(await deploy(bank, audit), "bank", { to: "used" });
    expect(log.body["detail"]).toContain("D1 has events of 1/bank/000");
  });

  it("refuses what names no fixed moment, and a name that R2 doesn't have or has twice", async () => {
    const { app, at } = await lostAfter("month-end");
    for (const [body, status, code] of [
      [{ to: "-90m" }, 400, "invalid_moment"],
      [{ to: "now" }, 400, "invalid_moment"],
      [{ to: "last tuesday" }, 400, "invalid_moment"],
      [{ to: "fix@month-end" }, 400, "invalid_moment"],
      [{ to: true }, 400, "invalid_body"],
      [{ to: "month-end", incomplete: "yes" }, 400, "invalid_body"],
      [[], 400, "invalid_body"],
      ["{", 400, "malformed_json"],
      [{ to: "2125-01-01T00:00:00Z" }, 409, "not_settled"],
    ] as const)
      expect(await recover(app, "bank", body)).toMatchObject({ status, body: { code } });
    const none = await recover(app, "bank", { to: "no-such" });
    expect(none).toMatchObject({ status: 404, body: { code: "no_savepoint" } });
    expect(none.body["detail"]).toContain("it has month-end");

    await env.SNAPSHOTS.put(`savepoints/1/month-end/0000000009-${at + 5}.kfp`, "x");
    const twice = await recover(app, "bank", { to: "month-end" });
    expect(twice).toMatchObject({ status: 409, body: { code: "savepoint_unclear" } });
    expect(twice.body["detail"]).toContain(String(at + 5));
    expect((await env.LOG_0.prepare("SELECT operator FROM operators").all()).results).toEqual([]);
    expect((await recover(app, "bank", { to: at })).body).toMatchObject({ complete: true });
  });

  it("goes without the object of a savepoint that is damaged: then the archive alone says what is complete", async () => {
    const { app, at, there } = await lostAfter("hurt");
    const { objects } = await env.SNAPSHOTS.list({ prefix: "savepoints/" });
    await env.SNAPSHOTS.put(objects[0]!.key, "damaged");
    for (const name of ["bank", "audit"])
      expect((await recover(app, name, { to: "hurt" })).body).toMatchObject({ complete: true, to: at });
    expect(await states(app)).toEqual(there);
  });
});
