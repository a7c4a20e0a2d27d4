/** A migration that fails for one key (MIGRATION1 of engine/operator/migration.ts), as callers see it. */
import { z } from "zod";
import { beforeAll, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";

const events = { read: z.object({ value: z.number() }) };

const first = operator("meter", {
  version: 1,
  events,
  initial: () => ({ sum: 0 }),
  on: { read: (state, event) => void (state.sum += event.data.value) },
});

const second = (fixed: boolean) =>
  operator("meter", {
    version: 2,
    events,
    initial: () => ({ tenths: 0 }),
    on: { read: (state, event) => void (state.tenths += event.data.value * 10) },
    migrate: {
      2: (old) => {
        if (!fixed && Number(old["sum"]) > 100) throw new Error("a sum above 100");
        return { tenths: Number(old["sum"]) * 10 };
      },
    },
  });

const BASE = "/v1/operators/meter";
const event = (id: string, key: string, value: number) => ({ type: "read", id, key, data: { value } });
const snapshot = (app: Deployment) => app.call(`${BASE}/partitions/0/snapshot`, {});

let app: Deployment;
beforeAll(async () => {
  const one = await deploy(first);
  await one.call("/v1/events", [event("1", "a", 1), event("2", "bad", 500)]);
  await snapshot(one);
  app = await deploy(second(false));
});

it("reads of the key say what is wrong, and have the state as it was; all others are answered", async () => {
  expect(await app.call(`${BASE}/state?key=bad`)).toMatchObject({
    status: 503,
    body: { code: "migration_failed", version: 1, value: { sum: 500 }, key: "bad" },
  });
  expect((await app.call(`${BASE}/state?key=a`)).body).toMatchObject({ value: { tenths: 10 } });
  const failed = [{ key: "bad", code: "migration_failed", version: 1 }];
  expect((await app.call(`${BASE}/state`)).body).toMatchObject({ items: [{ key: "a" }], failed });
  const batch = await app.call(`${BASE}/state/batch`, { keys: ["a", "bad", "none"] });
  expect(batch.body).toMatchObject({ items: [{ key: "a" }], missing: ["none"], failed });
  const watched = await app.call(`${BASE}/watch?key=bad`);
  expect(watched).toMatchObject({ status: 503, body: { code: "migration_failed" } });
});

it("events of the key are rejected with a code of their own, those beside them count", async () => {
  const many = await app.call("/v1/events", [event("3", "a", 1), event("4", "bad", 1), event("5", "new", 1)]);
  expect(many).toMatchObject({
    status: 207,
    body: { accepted: 2, rejected: 1, through: 3, errors: [{ index: 1, id: "4", code: "migration_failed" }] },
  });
  const alone = await app.call("/v1/events", event("4", "bad", 1));
  expect(alone).toMatchObject({ status: 503, body: { code: "migration_failed", rejected: 1, through: 1 } });
  expect(alone.headers.get("retry-after")).toBe("60");
  const asked = await app.call(`${BASE}/ask`, event("4", "bad", 1));
  expect(asked).toMatchObject({ status: 503, body: { code: "migration_failed" } });
});

it("the partition, its manifest and the verification name the key", async () => {
  await snapshot(app);
  const unmigrated = { keys: 1, some: [{ key: "bad", version: 1 }] };
  expect((await app.call(`${BASE}/partitions/0`)).body).toMatchObject({ unmigrated });
  expect((await app.call(`${BASE}/partitions/0?live=true`)).body).toMatchObject({ unmigrated });
  expect((await app.call(`${BASE}/partitions/0/verify`, {})).body).toMatchObject({ unmigrated });
});

it("a PUT with the ETag that the read said puts another state", async () => {
  const { body } = await app.call(`${BASE}/state?key=bad`);
  const headers = { "if-match": String(body["etag"]) };
  const put = await app.call(`${BASE}/state?key=bad`, { tenths: 1 }, headers, "PUT");
  expect([put.status, (await app.call(`${BASE}/state?key=bad`)).status]).toEqual([200, 200]);
});

it("fixed code continues with the state, and takes the event that was sent again", async () => {
  const one = await deploy(first);
  // The rollback resumes from the pinned snapshot; the PUT of version 2 waits in its quarantine.
  expect((await one.call(`${BASE}/state?key=bad`)).body).toMatchObject({ value: { sum: 500 } });
  expect((await one.call(`${BASE}/quarantine`)).body).toMatchObject({ items: [{ key: "bad" }] });
  await snapshot(one);
  const broken = await deploy(second(false));
  expect((await broken.call("/v1/events", event("6", "bad", 1))).status).toBe(503);
  const fixed = await deploy(second(true));
  expect((await fixed.call("/v1/events", event("6", "bad", 1))).body).toMatchObject({ accepted: 1 });
  expect((await fixed.call(`${BASE}/state?key=bad`)).body).toMatchObject({ value: { tenths: 5_010 } });
});
