/** D1 is deleted, R2 is left: what is lost is noticed, and comes back up to the last snapshot (CODE2, SNAP2). */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readManifestObject } from "../../../src/engine/snapshot/manifest-object.ts";
import { manifestName } from "../../../src/engine/base/ids.ts";
import { manifestText } from "../../../src/engine/snapshot/manifest.ts";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { loseD1 } from "../lose-d1.ts";

const shared = z.object({ n: z.int() });

/** Over both databases. */
const meter = operator("meter", {
  version: 1,
  partitions: 4,
  events: { used: shared, "meter.only": shared },
  initial: () => ({ sum: 0 }),
  on: {
    used: (state, event) => ({ sum: (state.sum += event.data.n) }),
    "meter.only": (state, event) => ({ sum: (state.sum += event.data.n) }),
  },
  replies: { keep: "24h" },
});

/** Wants one of the meter's types too. */
const audit = operator("audit", {
  version: 1,
  events: { used: shared, noted: shared },
  initial: () => ({ n: 0 }),
  on: { used: (state) => void (state.n += 1), noted: (state) => void (state.n += 1) },
});

const KEYS = Array.from({ length: 40 }, (_, i) => `customer-${i}`);
const sent = (round: number, keys = KEYS, type = "meter.only") =>
  keys.map((key, i) => ({ type, id: `${type}-${round}-${key}`, key, data: { n: round * 100 + i } }));

interface Item {
  readonly partition: number;
  readonly status: string;
  readonly seq?: number;
  readonly at?: string;
}
const recover = async (app: Deployment, name = "meter") => {
  const { status, body } = await app.call(`/v1/operators/${name}/recover`, {});
  return { status, body, items: body["items"] as Item[] };
};

async function sums(app: Deployment): Promise<Record<string, number>> {
  const { status, body } = await app.call("/v1/operators/meter/state?limit=1000");
  expect(status).toBe(200);
  const items = body["items"] as { key: string; value: { sum: number } }[];
  return Object.fromEntries(items.map(({ key, value }) => [key, value.sum]));
}

async function snapshotAll(app: Deployment, only = [0, 1, 2, 3]): Promise<void> {
  for (const n of only) expect((await app.call(`/v1/operators/meter/partitions/${n}/snapshot`, {})).status).toBe(200);
}

/** Everything in D1, as it stands. */
const dump = async (): Promise<unknown> =>
  Promise.all(
    [env.LOG_0, env.LOG_1].flatMap((db) =>
      ["operators", "partitions", "segments"].map(
        async (table) => (await db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all()).results,
      ),
    ),
  );

describe("D1 is deleted", () => {
  it("SNAP2, CODE2: it is noticed, recovered from R2 up to the last snapshot, and continues", async () => {
    const before = await deploy(meter, audit);
    await before.call("/v1/events", sent(1));
    await snapshotAll(before);
    await before.call("/v1/events", sent(2));
    await snapshotAll(before);
    const saved = await sums(before);
    expect((await before.call("/v1/events", sent(3))).body).toMatchObject({ accepted: 40 });
    await before.call("/v1/events", sent(1, ["a"], "noted"));

    await loseD1(env.LOG_0, env.LOG_1);
    const after = await deploy(meter, audit);

    // The other operator has left nothing in R2, so it is placed anew; but its object knows that there was something.
    expect((await after.call("/v1/events", sent(1, ["b"], "noted"))).body["code"]).toBe("log_rewound");
    expect((await after.call("/v1/operators/audit/partitions/0/adopt", { truth: "d1" })).body).toMatchObject({
      seq: 0,
      givenUp: { seqs: [1, 1] },
    });

    // Noticed: nothing of it is served or taken, and the other operator continues.
    const state = await after.call("/v1/operators/meter/state?key=customer-1");
    expect([state.status, state.body["code"]]).toEqual([503, "catalogue_lost"]);
    expect(state.body["detail"]).toMatch(/R2 holds 1\/meter\/.*\/v1\/operators\/meter\/recover/);
    const asked = await after.call("/v1/operators/meter/ask", sent(9, ["x"])[0]);
    expect([asked.status, asked.body["code"]]).toEqual([503, "catalogue_lost"]);
    const mixed = [...sent(1, ["b"], "noted"), ...sent(3, ["customer-1"], "used"), ...sent(2, ["b"], "noted")];
    for (const [type, body] of [
      ["application/json", mixed],
      ["application/x-ndjson", mixed.map((event) => JSON.stringify(event)).join("\n")],
    ] as const) {
      const strict = await after.call("/v1/events", body, { "content-type": type, prefer: "handling=strict" });
      expect(strict.status).toBe(503);
      expect(strict.body, "strict: nothing of it").toMatchObject({ code: "catalogue_lost", received: 3, through: 0, accepted: 0, duplicates: 0 }); // prettier-ignore
      const answer = await after.call("/v1/events", body, { "content-type": type });
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("30");
      expect(answer.body).toMatchObject({ code: "catalogue_lost", received: 3, through: 1 });
      expect(Number(answer.body["accepted"]) + Number(answer.body["duplicates"]), "what only others want").toBe(2);
    }
    expect((await after.call("/v1/operators/audit/state?key=b")).body["value"]).toEqual({ n: 2 });
    expect((await after.call("/v1/operators/audit/state?key=customer-1")).status, "nor by the other one alone").toBe(
      404,
    );
    const listed = (await after.call("/v1/operators")).body as unknown as unknown[];
    expect(listed).toMatchObject([
      { name: "meter", partitions: null, lost: "catalogue_lost" },
      { name: "audit", partitions: 1 },
    ]);
    expect((await env.LOG_0.prepare("SELECT operator FROM operators").all()).results).toEqual([{ operator: "audit" }]);

    // Recovered.
    const { status, body, items } = await recover(after);
    expect(status).toBe(200);
    expect(body).toMatchObject({ operator: "meter", changed: true, complete: true, partitions: 4 });
    expect(items.map((item) => item.status)).toEqual(["recovered", "recovered", "recovered", "recovered"]);
    expect(
      items.reduce((sum, item) => sum + item.seq!, 0),
      "two rounds",
    ).toBe(80);
    expect(Date.parse(items[0]!.at!)).toBeGreaterThan(Date.now() - 60_000);
    // D1 has no segment that says how much there is: its snapshot does.
    const { body: partitions } = await after.call("/v1/operators/meter/partitions");
    const seen = partitions as unknown as readonly { keys: number; stateBytes: number; dedupSince: string | null }[];
    expect(seen.reduce((sum, { keys }) => sum + keys, 0)).toBe(KEYS.length);
    expect(seen.every(({ stateBytes, dedupSince }) => stateBytes > 0 && dedupSince !== null)).toBe(true);
    expect(await sums(after)).toEqual(saved);

    // It resumes: repeats are known, what came after the snapshot is new again.
    expect((await after.call("/v1/events", [...sent(1), ...sent(2), ...sent(3)])).body).toMatchObject({
      accepted: 40,
      duplicates: 80,
    });
    const reply = await after.call("/v1/operators/meter/ask", sent(2)[5]);
    expect(reply.body).toMatchObject({ duplicate: true, value: { sum: saved["customer-5"] } });
    await snapshotAll(after);
    const listedAfter = (await after.call("/v1/operators/meter/partitions/0/manifests")).body as unknown as {
      number: number;
    }[];
    expect(listedAfter.map(({ number }) => number)).toEqual([3, 2, 1]);
    expect((await after.call("/v1/operators/meter/partitions/0/verify", {})).body).toMatchObject({ equal: true });
    const again = await deploy(meter, audit);
    expect((await sums(again))["customer-5"]).toBe(105 + 205 + 305);
  });

  it("running it again, or on what is intact, changes nothing and says so", async () => {
    const app = await deploy(meter, audit);
    const before = await dump();
    const { body, items } = await recover(app);
    expect(body).toMatchObject({ changed: false, complete: true });
    expect(items.map((item) => item.status)).toEqual(["kept", "kept", "kept", "kept"]);
    const never = await recover(await deploy(meter, audit, operator("unused", { ...spec, partitions: 2 })), "unused");
    expect(never.body).toMatchObject({ changed: false, items: [{ status: "nothing" }, { status: "nothing" }] });
    expect((await recover(app, "nobody")).status).toBe(404);
    const rows = (await dump()) as unknown[][];
    expect(rows.slice(1)).toEqual((before as unknown[][]).slice(1));
  });

  it("one database of two: what it held comes back, the rest is left alone", async () => {
    const app = await deploy(meter, audit);
    const saved = await sums(app);
    await loseD1(env.LOG_1);
    const after = await deploy(meter, audit);
    const lost = await after.call("/v1/operators/meter/state?limit=1000");
    expect([lost.status, lost.body["code"]]).toEqual([503, "catalogue_lost"]);
    const { items } = await recover(after);
    expect(items.map((item) => item.status)).toEqual(["kept", "recovered", "kept", "recovered"]);
    expect(await sums(after)).toEqual(saved);
  });

  it("only the catalogue: partitions whose rows are left are taken as they are, tail included", async () => {
    const app = await deploy(meter, audit);
    await app.call("/v1/events", sent(4));
    const saved = await sums(app);
    await env.LOG_0.prepare("DELETE FROM operators").run();
    const after = await deploy(meter, audit);
    expect((await after.call("/v1/operators/meter/state?key=customer-1")).status).toBe(503);
    const { body, items } = await recover(after);
    expect(body).toMatchObject({ changed: true, complete: true });
    expect(items.map((item) => item.status)).toEqual(["kept", "kept", "kept", "kept"]);
    expect(await sums(after)).toEqual(saved);
  });

  it("a partition that can't be read stops none of the others, and refuses by name", async () => {
    const app = await deploy(meter, audit);
    await snapshotAll(app);
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/meter/0002/snapshots/" });
    await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
    await loseD1(env.LOG_0, env.LOG_1);
    const after = await deploy(meter, audit);
    const { body, items } = await recover(after);
    expect(body).toMatchObject({ changed: true, complete: false });
    expect(items.map((item) => item.status)).toEqual(["recovered", "recovered", "unreadable", "recovered"]);
    expect(items[2]).toMatchObject({
      passedOver: expect.arrayContaining([expect.stringMatching(/isn't there/)]) as string[],
    });
    const codes = new Set<unknown>();
    for (const key of KEYS) {
      const { status, body: told } = await after.call(`/v1/operators/meter/state?key=${key}`);
      codes.add(status === 200 ? 200 : told["code"]);
    }
    expect(codes).toEqual(new Set([200, "catalogue_lost"]));
    expect((await after.call("/v1/operators/meter/partitions/2/snapshot", {})).body["code"]).toBe("catalogue_lost");
  });

  it("SNAP3: an object under another partition's name is not taken for a manifest", async () => {
    await loseD1(env.LOG_0, env.LOG_1);
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/meter/0001/manifests/" });
    const name = objects.at(-1)!.key;
    const text = await (await env.SNAPSHOTS.get(name))!.text();
    await env.SNAPSHOTS.put(name.replace("/0001/", "/0003/").replace("manifests/0", "manifests/9"), text);
    const { items } = await recover(await deploy(meter, audit));
    expect(items[3]).toMatchObject({ status: "recovered", passedOver: [expect.anything()] });
  });

  it("CODE2: manifests that don't agree on how keys were placed are refused by name, and nothing is placed", async () => {
    await loseD1(env.LOG_0, env.LOG_1);
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/meter/0001/manifests/" });
    const file = new Uint8Array(await (await env.SNAPSHOTS.get(objects.at(-1)!.key))!.arrayBuffer());
    const { checksum: _, ...manifest } = readManifestObject(file, brotli).manifest;
    const number = manifest.number + 1;
    const other = { ...manifest, number, placed: { ...manifest.placed!, seed: 1 } };
    const id = { line: 1, operator: "meter", partition: 1 };
    const name = manifestName(id, number, manifest.attempt);
    await env.SNAPSHOTS.put(name, `${manifestText(other, brotli.crc32)}\n`);
    const app = await deploy(meter, audit);
    const { status, body } = await recover(app);
    expect([status, body["code"]]).toEqual([503, "placement_unclear"]);
    expect(body["detail"]).toMatch(/two seeds/);
    expect((await env.LOG_0.prepare("SELECT operator FROM operators").all()).results).toEqual([{ operator: "audit" }]);
    await env.SNAPSHOTS.delete(name);
    expect((await recover(app)).body).toMatchObject({ changed: true });
  });

  it("LOG2: lost again before the next snapshot, it begins an incarnation of its own, and its objects resume", async () => {
    const tally = operator("tally", {
      version: 1,
      events: { "tally.add": shared },
      initial: () => ({ sum: 0 }),
      on: { "tally.add": (state, event) => void (state.sum += event.data.n) },
    });
    const add = (app: Deployment, id: string) =>
      app.call("/v1/events", [{ type: "tally.add", id, key: "k", data: { n: 1 } }]);
    const before = await deploy(tally);
    await add(before, "saved");
    expect((await before.call("/v1/operators/tally/partitions/0/snapshot", {})).status).toBe(200);
    for (let round = 0; round < 3; round++) {
      await loseD1(env.LOG_0, env.LOG_1);
      const after = await deploy(tally);
      expect((await recover(after, "tally")).items).toMatchObject([{ status: "recovered", seq: 1 }]);
      expect((await after.call("/v1/operators/tally/state?key=k")).body["value"]).toEqual({ sum: 1 });
      // Logged, and in no snapshot: the next loss takes it away.
      expect((await add(after, "unsaved")).body).toMatchObject({ accepted: 1 });
    }
  });
});

const spec = {
  version: 1,
  events: { "unused.event": shared },
  initial: () => ({ n: 0 }),
  on: { "unused.event": () => undefined },
};
