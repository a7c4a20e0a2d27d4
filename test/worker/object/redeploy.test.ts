/** Other code under the same state: a raised version, its rollback, and a handler that is fixed (CODE3, CODE4, ONE6). */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { patiently } from "../patiently.ts";

const events = { read: z.object({ value: z.number() }) };

/** Version 1 keeps a sum. */
const first = operator("gauge", {
  version: 1,
  events,
  initial: () => ({ sum: 0 }),
  on: { read: (state, event) => void (state.sum += event.data.value) },
});

/** Version 2 counts as well, and keeps the sum in tenths. */
const second = operator("gauge", {
  version: 2,
  events,
  initial: () => ({ tenths: 0, known: 0 }),
  on: {
    read(state, event) {
      state.tenths += event.data.value * 10;
      state.known += 1;
    },
  },
  migrate: { 2: (old) => ({ tenths: Number(old["sum"]) * 10, known: 0 }) },
});

let sent = 0;
const read = (app: Deployment, value: number) =>
  app.call("/v1/events", [{ type: "read", id: `r${++sent}`, key: "k", data: { value } }]);
const state = async (app: Deployment): Promise<unknown> =>
  (await app.call("/v1/operators/gauge/state?key=k")).body["value"];
const snapshot = (app: Deployment) => app.call("/v1/operators/gauge/partitions/0/snapshot", {});
const manifests = async (app: Deployment) =>
  (await app.call("/v1/operators/gauge/partitions/0/manifests")).body as unknown as {
    number: number;
    operatorVersion: number;
  }[];

describe("a redeploy", () => {
  it("CODE3, CODE4: a raised version migrates the snapshot and replays the tail; a rollback resumes from the old version's snapshot", async () => {
    const one = await deploy(first);
    for (const value of [1, 2, 3]) await read(one, value);
    await snapshot(one);
    await read(one, 4);

    const two = await deploy(second);
    expect(await state(two)).toEqual({ tenths: 100, known: 1 });
    expect((await read(two, 5)).body).toMatchObject({ accepted: 1 });
    expect(await state(two)).toEqual({ tenths: 150, known: 2 });
    await patiently(async () => expect((await manifests(two))[0]).toMatchObject({ operatorVersion: 2 }));
    for (const value of [6, 7]) {
      await read(two, value);
      await snapshot(two);
    }

    const back = await deploy(first);
    expect(await state(back)).toEqual({ sum: 28 });
    expect((await read(back, 8)).body).toMatchObject({ accepted: 1 });
    expect(await state(back)).toEqual({ sum: 36 });
    await patiently(async () => expect((await manifests(back))[0]).toMatchObject({ operatorVersion: 1 }));

    await snapshot(back);
    const again = await deploy(second);
    expect(await state(again)).toEqual({ tenths: 360, known: 0 });
  });

  it("CODE3, CODE4: an ETag of before a migration, or of before a handler was fixed, doesn't hide the value of after it", async () => {
    const meter = (version: number, factor: number) =>
      operator("meter", {
        version,
        events,
        initial: () => ({ sum: 0 }),
        on: { read: (state, event) => void (state.sum += event.data.value * factor) },
        ...(version === 2 ? { migrate: { 2: (old) => ({ sum: Number(old["sum"]) + 0.5 }) } } : {}),
      });
    const look = async (app: Deployment, etag = "") => {
      const path = "/v1/operators/meter/state?key=k";
      const { status, headers, body } = await app.call(path, undefined, { "if-none-match": etag });
      return { status, etag: headers.get("etag")!, value: body["value"] };
    };
    const one = await deploy(meter(1, 1));
    await read(one, 1);
    const first = await look(one);
    expect(await look(one, first.etag)).toMatchObject({ status: 304 });

    const fixed = await deploy(meter(1, 10));
    const second = await look(fixed, first.etag);
    expect(second).toMatchObject({ status: 200, value: { sum: 10 } });
    await fixed.call("/v1/operators/meter/partitions/0/snapshot", {});

    const two = await deploy(meter(2, 10));
    const third = await look(two, second.etag);
    expect(third).toMatchObject({ status: 200, value: { sum: 10.5 } });
    expect(await look(two, third.etag)).toMatchObject({ status: 304, etag: third.etag });
  });

  it("CODE1: a caller of a newer version makes an object of older code step aside", async () => {
    const stale = await deploy(first);
    const stub = env.PARTITION.getByName("1/gauge/0000");
    await read(stale, 0);
    const address = { line: 1, operator: "gauge", partition: 0, database: "LOG_0", seed: 1 };
    const slice = {
      v: 1,
      operatorVersion: 9,
      at: Date.now(),
      body: "",
      bytes: 0,
      lengths: [],
      keys: [],
      prints: [],
      full: false,
    };
    const answer = (await stub.append(address, slice).catch(() => ({ tag: "busy" }))) as { tag: string };
    expect(answer.tag).toBe("busy");
    expect((await read(stale, 0)).body).toMatchObject({ accepted: 1 });
    // The platform has started the same code again: from now on the object stays, and serves callers of its own version.
    const next = env.PARTITION.getByName("1/gauge/0000");
    const instance = await runInDurableObject(next, (object) => object);
    for (let n = 0; n < 3; n++) {
      expect(await next.append(address, slice)).toMatchObject({ tag: "busy", code: "object_older" });
      expect((await read(stale, 0)).body).toMatchObject({ accepted: 1 });
    }
    expect(await runInDurableObject(next, (object) => object === instance)).toBe(true);
  });

  it("ONE6: a handler that threw is fixed with the tail unsnapshotted: its event stays out until it is retried, once", async () => {
    const torn = operator("torn", {
      version: 1,
      events,
      initial: () => ({ sum: 0 }),
      on: {
        read: (s, e) => {
          if (e.data.value === 13) throw new Error("unlucky");
          s.sum += e.data.value;
        },
      },
    });
    const fixed = operator("torn", {
      version: 1,
      events,
      initial: () => ({ sum: 0 }),
      on: { read: (s, e) => void (s.sum += e.data.value) },
    });
    const old = await deploy(torn);
    const batch = [1, 13, 2].map((value, i) => ({ type: "read", id: `t${i}`, key: "k", data: { value } }));
    expect((await old.call("/v1/events", batch)).body).toMatchObject({ accepted: 3, quarantined: 1 });

    const app = await deploy(fixed);
    const now = async () => (await app.call("/v1/operators/torn/state?key=k")).body["value"];
    expect(await now()).toEqual({ sum: 3 });
    const { items } = (await app.call("/v1/operators/torn/quarantine")).body as {
      items: { id: string; error: string }[];
    };
    expect(items).toMatchObject([{ error: "unlucky" }]);
    expect((await app.call(`/v1/operators/torn/quarantine/${items[0]!.id}/retry`, {})).body).toMatchObject({
      status: "applied",
    });
    expect(await now()).toEqual({ sum: 16 });
    const again = await app.call(`/v1/operators/torn/quarantine/${items[0]!.id}/retry`, {});
    expect(again).toMatchObject({ status: 200, body: { status: "applied", duplicate: true } });
    const later = await deploy(fixed);
    expect((await later.call("/v1/operators/torn/state?key=k")).body["value"]).toEqual({ sum: 16 });
  });

  it("CODE2: the stored number of partitions rules over the code's", async () => {
    const spread = (partitions: number) =>
      operator("spread", {
        version: 1,
        events,
        partitions,
        initial: () => ({ sum: 0 }),
        on: { read: (s, e) => void (s.sum += e.data.value) },
      });
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const before = await deploy(spread(3));
    await before.call(
      "/v1/events",
      keys.map((key) => ({ type: "read", id: key, key, data: { value: 1 } })),
    );
    const after = await deploy(spread(8));
    expect((await after.call("/v1/operators")).body).toMatchObject([{ name: "spread", partitions: 3 }]);
    const { items } = (await after.call("/v1/operators/spread/state?limit=1000")).body as { items: { key: string }[] };
    expect(items.map((item) => item.key).sort()).toEqual([...keys].sort());
    expect(
      (
        await after.call(
          "/v1/events",
          keys.map((key) => ({ type: "read", id: key, key, data: { value: 1 } })),
        )
      ).body,
    ).toMatchObject({ duplicates: 40 });
  });

  it("SNAP6: an alarm of a partition whose operator is gone from the code doesn't throw; with the operator it is back", async () => {
    const one = await deploy(first);
    await read(one, 0);
    const stub = env.PARTITION.getByName("1/gauge/0000");
    const before = await state(one);
    const spread = operator("spread", {
      version: 1,
      events,
      initial: () => ({ sum: 0 }),
      on: { read: (s, e) => void (s.sum += e.data.value) },
    });
    await deploy(spread);
    await runInDurableObject(stub, async (_, { storage }) => storage.setAlarm(Date.now() + 600_000));
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await state(await deploy(first))).toEqual(before);
  });

  it("CODE2: two operators of one name stop the start", async () => {
    await expect(deploy(first, second)).rejects.toThrow(/two operators/);
  });
});
