/**
 * D1 restored to an older point by its own time travel, in workerd: refused by name, then adopted, from D1 or from R2
 * (rewind-check.ts, adopt.ts).
 */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, describe, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { replaceRow } from "../../../src/adapters/rebuilt-rows.ts";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { epoch } from "../../../src/engine/base/ids.ts";
import { deploy, type Deployment } from "../deployment.ts";

const make = (name: string) =>
  operator(name, {
    version: 1,
    partitions: 1,
    events: { [`${name}.add`]: z.object({ n: z.int() }) },
    initial: () => ({ sum: 0 }),
    on: { [`${name}.add`]: (state, event) => ({ sum: (state.sum += event.data.n) }) },
    replies: { keep: "24h" },
  });
const NAMES = ["living", "gone", "kept", "unsaved", "twice", "pinned"] as const;
type Name = (typeof NAMES)[number];
let app: Deployment;
beforeAll(async () => {
  app = await deploy(...NAMES.map(make));
});

/** Events worth 1 each, with these ids. */
const send = (name: Name, from: number, to: number) =>
  app.call(
    "/v1/events",
    Array.from({ length: to - from + 1 }, (_, i) => ({
      type: `${name}.add`,
      id: `${name}-${from + i}`,
      key: "k",
      data: { n: 1 },
    })),
  );
const base = (name: Name): string => `/v1/operators/${name}/partitions/0`;
const snapshot = async (name: Name) => expect((await app.call(`${base(name)}/snapshot`, {})).status).toBe(200);
const adopt = (name: Name, body: unknown) => app.call(`${base(name)}/adopt`, body);
const sumOf = async (name: Name): Promise<unknown> => {
  const { status, body } = await app.call(`/v1/operators/${name}/state?key=k`);
  return status === 200 ? (body["value"] as { sum: number }).sum : body["code"];
};
const evictAll = async (): Promise<void> => {
  app = await deploy(...NAMES.map(make));
};

const TABLES = [
  ["segments", "place >> 43 = (SELECT number FROM partitions WHERE partition = ?1)"],
  ["partitions", "partition = ?1"],
] as const;
const wipe = (partition: string): D1PreparedStatement[] =>
  TABLES.map(([table, where]) => env.LOG_0.prepare(`DELETE FROM ${table} WHERE ${where}`).bind(partition));

/** D1 as of now, for one partition; what it gives back sets it back to that. */
async function remember(name: Name): Promise<() => Promise<void>> {
  const partition = `1/${name}/0000`;
  const db = env.LOG_0;
  const copies = await Promise.all(
    TABLES.map(async ([table, where]) => {
      const { results } = await db.prepare(`SELECT * FROM ${table} WHERE ${where}`).bind(partition).all();
      return results.map((row) => {
        const columns = Object.keys(row);
        const places = columns.map((_, i) => `?${i + 1}`).join(", ");
        return db
          .prepare(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places})`)
          .bind(...columns.map((column) => row[column]));
      });
    }),
  );
  return async () => void (await db.batch([...wipe(partition), ...copies.flat()]));
}

/** By events and by reads, now and by a new object; nothing of D1 is changed by the second refusal. */
async function expectRefused(name: Name): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const { status, body, headers } = await send(name, 900, 901);
    expect([status, body["code"]]).toEqual([503, "log_rewound"]);
    expect(headers.get("retry-after")).toBe("30");
    expect(body["detail"]).toMatch(/was restored to an older point: D1 .*\/adopt/);
    expect(await sumOf(name)).toBe("log_rewound");
    await evictAll();
  }
}

describe("D1 is restored to an older point", () => {
  it("under a living object; d1 is adopted", async () => {
    await send("living", 1, 3);
    const back = await remember("living");
    await send("living", 4, 6);
    await back();
    await expectRefused("living");
    for (const body of [undefined, {}, { truth: "d2" }, "{", "null", " ".repeat(5_000)])
      expect((await adopt("living", body ?? "")).body["code"]).toBe("invalid_body");
    const { status, body } = await adopt("living", { truth: "d1" });
    expect(status).toBe(200);
    expect(body).toMatchObject({ partition: 0, truth: "d1", epoch: 2_000_000, seq: 3, manifest: null });
    expect(body["givenUp"]).toEqual({ seqs: [4, 6], manifests: null });
    expect(await sumOf("living")).toBe(3);
    expect((await send("living", 1, 6)).body).toMatchObject({ accepted: 3, duplicates: 3 });
    expect(await sumOf("living")).toBe(6);
    const again = await adopt("living", { truth: "d1" });
    expect([again.status, again.body["code"]]).toEqual([409, "not_rewound"]);
  });

  it("after its object has left memory, over snapshots; r2 is adopted", async () => {
    await send("gone", 1, 3);
    await snapshot("gone");
    await send("gone", 4, 5);
    const back = await remember("gone");
    await send("gone", 6, 7);
    await snapshot("gone");
    await send("gone", 8, 8);
    await evictAll();
    await back();
    await expectRefused("gone");
    const recovered = await app.call("/v1/operators/gone/recover", {});
    expect(recovered.body, "which changes no row that is there").toMatchObject({ changed: false });
    const { body } = await adopt("gone", { truth: "r2" });
    expect(body).toMatchObject({ truth: "r2", seq: 7, manifest: 2, givenUp: { manifests: null }, passedOver: [] });
    expect(await sumOf("gone")).toBe(7);
    expect((await send("gone", 1, 9)).body).toMatchObject({ accepted: 2, duplicates: 7 });
    await snapshot("gone");
    await evictAll();
    expect(await sumOf("gone")).toBe(9);
    expect((await app.call(`${base("gone")}/verify`, {})).body).toMatchObject({ equal: true });
  });

  it("after its object has left memory; d1 is adopted, and what R2 has of the other future never comes back", async () => {
    await send("kept", 1, 3);
    await snapshot("kept");
    const back = await remember("kept");
    await send("kept", 4, 7);
    await snapshot("kept");
    await evictAll();
    await back();
    await expectRefused("kept");
    const { body } = await adopt("kept", { truth: "d1" });
    expect(body).toMatchObject({ seq: 3, manifest: 1, givenUp: { seqs: [4, 7], manifests: [2, 2] } });
    await send("kept", 50, 59);
    await snapshot("kept");
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/kept/0000/snapshots/" });
    await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
    await evictAll();
    expect(await sumOf("kept"), "from the archives alone").toBe(13);
  });

  it("SNAP10: what is current until r2 is adopted stays for its pins, and doesn't stop garbage collection", async () => {
    await send("pinned", 1, 3);
    await snapshot("pinned");
    expect((await app.call(`${base("pinned")}/manifests/1/pin?name=mine`, {})).status).toBe(200);
    const back = await remember("pinned");
    await send("pinned", 4, 5);
    await snapshot("pinned");
    await evictAll();
    await back();
    const ofIt = "place >> 43 = (SELECT number FROM partitions WHERE partition = '1/pinned/0000')";
    await env.LOG_0.prepare(`DELETE FROM restore_points WHERE ${ofIt}`).run();
    const { body } = await adopt("pinned", { truth: "r2" });
    expect(body).toMatchObject({ seq: 5, manifest: 2 });
    const points = await new D1Log(env.LOG_0, { line: 1, operator: "pinned", partition: 0 }).roots();
    expect(points).toMatchObject({ points: [{ version: 1, seq: 3 }], pins: [{ version: 1, name: "mine" }] });
    const files = points!.points[0]!.files;
    // The file of what was pinned stays, and what a later snapshot displaces is given up.
    await send("pinned", 6, 7);
    await snapshot("pinned");
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/pinned/0000/snapshots/" });
    expect(objects.map(({ key }) => key)).toEqual(expect.arrayContaining([...files]));
    expect((await app.call(`${base("pinned")}/verify`, {})).body).toMatchObject({ equal: true });
  });

  it("lost without a snapshot: it begins anew only by decision", async () => {
    await send("unsaved", 1, 3);
    await env.LOG_0.batch(wipe("1/unsaved/0000"));
    await evictAll();
    expect((await send("unsaved", 1, 3)).body["code"]).toBe("log_rewound");
    expect((await adopt("unsaved", { truth: "r2" })).body["code"]).toBe("nothing_in_r2");
    expect((await adopt("unsaved", { truth: "d1" })).body).toMatchObject({ seq: 0, givenUp: { seqs: [1, 3] } });
    expect((await send("unsaved", 1, 3)).body).toMatchObject({ accepted: 3 });
    expect(await sumOf("unsaved")).toBe(3);
  });

  it("of two decisions one counts, and the other's log stays", async () => {
    await send("twice", 1, 3);
    const id = { line: 1, operator: "twice", partition: 0 };
    const { row } = (await new D1Log(env.LOG_0, id).peek())!;
    const next = { ...row, epoch: epoch(2_000_000) };
    expect(await replaceRow(env.LOG_0, id, row, next, true)).toBe(true);
    expect(await replaceRow(env.LOG_0, id, row, next, false)).toBe(false);
    await evictAll();
    expect(await sumOf("twice")).toBe(3);
    expect((await new D1Log(env.LOG_0, id).peek())!.rows).toHaveLength(1);
  });
});
