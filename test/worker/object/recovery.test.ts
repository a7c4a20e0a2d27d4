/** Coming back in the real runtime: after an eviction, a crash, an alarm, a lost alarm. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { patiently } from "../patiently.ts";

const ledger = operator("ledger", {
  version: 1,
  events: { entry: z.object({ n: z.int() }) },
  initial: () => ({ sum: 0, entries: 0 }),
  on: {
    entry(state, event) {
      state.sum += event.data.n;
      state.entries += 1;
      return { sum: state.sum };
    },
  },
  replies: { keep: "24h" },
  snapshot: { every: "1ms" },
});

let app: Deployment;
beforeAll(async () => {
  app = await deploy(ledger);
});

const stub = () => env.PARTITION.getByName("1/ledger/0000");
const entries = (from: number, to: number, key: string) =>
  Array.from({ length: to - from + 1 }, (_, i) => ({
    type: "entry",
    id: `${key}-${from + i}`,
    key,
    data: { n: from + i },
  }));
const value = async (key: string): Promise<unknown> =>
  (await app.call(`/v1/operators/ledger/state?key=${key}`)).body["value"];
const partition = async (query = ""): Promise<Record<string, unknown>> =>
  (await app.call(`/v1/operators/ledger/partitions/0${query}`)).body;

describe("coming back", () => {
  it("from an eviction: state, repeats and first replies, without any snapshot", async () => {
    expect((await app.call("/v1/events", entries(1, 10, "a"))).body).toMatchObject({ accepted: 10 });
    await evictDurableObject(stub());
    expect(await value("a")).toEqual({ sum: 55, entries: 10 });
    expect((await app.call("/v1/events", entries(1, 11, "a"))).body).toMatchObject({ accepted: 1, duplicates: 10 });
    const again = await app.call("/v1/operators/ledger/ask", entries(3, 3, "a")[0]);
    expect(again.body).toMatchObject({ duplicate: true, seq: 3, value: { sum: 6 } });
  });

  it("from a crash (ctx.abort), with a snapshot and a tail above it", async () => {
    const manifest = (await app.call("/v1/operators/ledger/partitions/0/snapshot", {})).body;
    expect(manifest).toMatchObject({ number: 1, kind: "full", seq: 11 });
    await app.call("/v1/events", entries(1, 5, "b"));
    await runInDurableObject(stub(), (_, state) => state.abort("a crash")).catch(() => undefined);
    expect(await value("a")).toEqual({ sum: 66, entries: 11 });
    expect(await value("b")).toEqual({ sum: 15, entries: 5 });
    expect(await partition("?live=true")).toMatchObject({
      appliedSeq: 16,
      snapshotSeq: 11,
      lastRecovery: { manifest: 1, replayedEvents: 5, fallbacks: 0 },
    });
    expect((await app.call("/v1/events", [...entries(11, 11, "a"), ...entries(1, 5, "b")])).body).toMatchObject({
      duplicates: 6,
    });
  });

  it("evict by request drops the object; the next call finds everything", async () => {
    expect((await app.call("/v1/operators/ledger/partitions/0/evict", {})).status).toBe(200);
    expect(await value("b")).toEqual({ sum: 15, entries: 5 });
  });

  it("two generations: the manifests are listed newest first, and the older one is used when the newest is damaged", async () => {
    await app.call("/v1/operators/ledger/partitions/0/snapshot", {});
    const listed = (await app.call("/v1/operators/ledger/partitions/0/manifests")).body as unknown as {
      number: number;
      snapshot: { name: string };
    }[];
    expect(listed.map((one) => one.number)).toEqual([2, 1]);
    await env.SNAPSHOTS.delete(listed[0]!.snapshot.name);
    await app.call("/v1/operators/ledger/partitions/0/evict", {});
    expect(await value("b")).toEqual({ sum: 15, entries: 5 });
    expect(await partition("?live=true")).toMatchObject({ lastRecovery: { manifest: 1, fallbacks: 1 } });
  });

  it("the verification rebuilds the state from snapshot, archive and log, and finds it equal", async () => {
    const { status, body } = await app.call("/v1/operators/ledger/partitions/0/verify", {});
    expect(status).toBe(200);
    expect(body).toMatchObject({ partition: 0, equal: true, keys: expect.any(Number) as number });
    expect(body["replayedEvents"]).toBeGreaterThan(0);
  });

  it("SNAP6, SNAP7: the alarm takes a snapshot once 1,000 events are worth it", async () => {
    // The one that fixes what the fall-back left.
    await app.call("/v1/operators/ledger/partitions/0/snapshot", {});
    const before = (await partition())["snapshotSeq"];
    await app.call("/v1/events", entries(1, 1_200, "c"));
    await patiently(async () => expect((await partition())["snapshotSeq"]).toBeGreaterThan(Number(before)));
    expect(await partition()).toMatchObject({ tailEvents: 0, lastSnapshot: { kind: "delta" } });
  });

  it("SNAP6: an alarm without work, or by an object that has just started, does no harm", async () => {
    await app.call("/v1/events", entries(1, 1, "d"));
    await evictDurableObject(stub());
    await runInDurableObject(stub(), async (_, state) => state.storage.setAlarm(Date.now() + 600_000));
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    expect(await value("d")).toEqual({ sum: 1, entries: 1 });
  });

  it("SNAP6, SNAP9: the cron finds a partition whose alarm was lost, from D1", async () => {
    await runInDurableObject(stub(), (_, state) => state.storage.deleteAlarm());
    await evictDurableObject(stub());
    const before = await partition();
    expect(before["tailEvents"]).toBe(1);
    await app.cron();
    expect((await partition())["tailEvents"], "not overdue yet").toBe(1);
    vi.setSystemTime(Date.now() + 2 * 86_400_000);
    await app.cron();
    vi.useRealTimers();
    await patiently(async () => expect((await partition())["tailEvents"]).toBe(0));
  });

  it.each([
    ["damaged", "{broken", "the manifest isn't JSON"],
    ["of a format of the future", '{"format":"keyframe.manifest","v":3,"number":9}', "manifest 9 has format 3"],
  ])("SNAP3, IN3: a manifest that is %s stops neither the partition nor looking at it", async (_, text, why) => {
    await app.call("/v1/operators/ledger/partitions/0/snapshot", {});
    const before = await partition();
    const [row] = (await env.LOG_0.prepare("SELECT manifest FROM partitions WHERE partition = '1/ledger/0000'").all())
      .results;
    await env.LOG_0.prepare("UPDATE partitions SET manifest = ?1 WHERE partition = '1/ledger/0000'").bind(text).run();
    const shown = await partition();
    expect(shown).toMatchObject({ snapshotSeq: before["snapshotSeq"], tailEvents: 0 });
    const unreadable = { unreadable: expect.stringContaining(why) as string };
    expect(shown["lastSnapshot"]).toEqual(unreadable);
    const listed = (await app.call("/v1/operators/ledger/partitions/0/manifests")).body as unknown as unknown[];
    expect(listed.at(-1)).toEqual(unreadable);
    expect(listed.length).toBeGreaterThan(1);
    expect((await app.call("/v1/operators/ledger/partitions/0/manifests/999")).status).toBe(404);
    await app.call("/v1/operators/ledger/partitions/0/evict", {});
    expect(await value("d")).toEqual({ sum: 1, entries: 1 });
    await env.LOG_0.prepare("UPDATE partitions SET manifest = ?1 WHERE partition = '1/ledger/0000' AND manifest = ?2")
      .bind(row!["manifest"], text)
      .run();
    await app.call("/v1/operators/ledger/partitions/0/evict", {});
  });

  it("what a partition says of itself and what D1 says of it agree", async () => {
    await app.call("/v1/events", entries(1, 3, "e"));
    const live = await partition("?live=true");
    const fromD1 = await partition();
    for (const name of ["epoch", "appliedSeq", "snapshotSeq", "tailEvents", "keys", "stateBytes", "lastSnapshot"])
      expect(fromD1[name], name).toEqual(live[name]);
    expect(await value("e")).toEqual({ sum: 6, entries: 3 });
  });
});
