/** SNAP10 over HTTP, with D1 and R2: what is pinned stays, what is given up can't be pinned. */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, describe, expect, it } from "vitest";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { stamp } from "../../../src/engine/base/ids.ts";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";

const held = operator("held", {
  version: 1,
  events: { more: z.object({ n: z.int() }) },
  initial: () => ({ sum: 0 }),
  on: { more: (state, event) => void (state.sum += event.data.n) },
  snapshot: { every: "1d", retain: { age: "7d", last: 2 } },
});
const BASE = "/v1/operators/held/partitions/0";
const log = new D1Log(env.LOG_0, { line: 1, operator: "held", partition: 0 });

let app: Deployment;
let sent = 0;
const snapshots = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) {
    await app.call("/v1/events", [{ type: "more", id: `m${++sent}`, key: `k${sent % 3}`, data: { n: 1 } }]);
    expect((await app.call(`${BASE}/snapshot`, {})).status).toBe(200);
  }
};
/** The work of garbage collection once the grace is over. */
const giveUp = async (...drop: readonly number[]): Promise<void> => {
  const { epoch, version } = (await log.row())!;
  expect(
    await log.retain({ epoch, version, savepoints: [], drop, retainFrom: stamp(0), archiveFrom: 0 }),
  ).not.toBeNull();
};
const points = async (): Promise<number[]> => (await log.roots())!.points.map(({ version }) => version);
const pin = (version: number | string, query = "") => app.call(`${BASE}/manifests/${version}/pin${query}`, {});
const unpin = (version: number | string, query = "") =>
  app.call(`${BASE}/manifests/${version}/pin${query}`, undefined, {}, "DELETE");
const pins = async (): Promise<unknown> => (await app.call(`${BASE}/pins`)).body;

beforeAll(async () => {
  app = await deploy(held);
});

describe("pins", () => {
  it("of a partition that has nothing yet: none, and nothing to pin", async () => {
    expect(await pins()).toEqual([]);
    expect((await pin(1)).body).toMatchObject({ status: 404, code: "no_restore_point" });
  });

  it("hold restore points and the current snapshot, against all that is given up", async () => {
    await snapshots(4);
    expect(await points()).toEqual([1, 2, 3]);
    expect((await pin(2)).body).toEqual({ partition: 0, manifest: 2, name: "admin", pinned: true });
    expect((await pin(2, "?name=audit-2026")).status).toBe(200);
    expect((await pin(4)).status).toBe(200);
    await snapshots(1);
    await giveUp(1, 2, 3, 4);
    expect(await points()).toEqual([2, 4]);
    expect((await pin(1)).body).toMatchObject({ status: 404, code: "no_restore_point" });
    expect(await pins()).toEqual([
      { manifest: 2, name: "admin", since: expect.stringMatching(/^\d{4}-.*Z$/) as unknown },
      { manifest: 2, name: "audit-2026", since: expect.anything() as unknown },
      { manifest: 4, name: "admin", since: expect.anything() as unknown },
    ]);
    const listed = (await app.call(`${BASE}/manifests`)).body as unknown as { number: number }[];
    expect(listed.map(({ number }) => number)).toEqual(expect.arrayContaining([5, 4, 2]));
    expect((await app.call(`${BASE}/manifests/2`)).body).toMatchObject({ number: 2, seq: 2 });
  });

  it("are let go of one by one, as often as one likes", async () => {
    expect((await unpin(2)).body).toEqual({ partition: 0, manifest: 2, name: "admin", pinned: false });
    expect((await unpin(2)).status).toBe(200);
    await giveUp(2, 4);
    expect(await points()).toEqual([2, 4]);
    await unpin(2, "?name=audit-2026");
    await giveUp(2, 4);
    expect(await points()).toEqual([4]);
  });

  it.each([
    ["a version that is no number", () => pin("one"), 404, "no_restore_point"],
    ["version 0", () => pin(0), 404, "no_restore_point"],
    ["more digits than a version has", () => unpin("99999999999999999999"), 404, "no_restore_point"],
    ["a name with a slash", () => pin(4, "?name=a%2Fb"), 400, "invalid_name"],
    ["an empty name", () => unpin(4, "?name="), 400, "invalid_name"],
  ])("IN1: %s", async (_, send, status, code) => {
    const before = await pins();
    expect((await send()).body).toMatchObject({ status, code });
    expect(await pins()).toEqual(before);
  });

  it("SNAP2: where a row is rebuilt from R2, what came after the snapshot that was found isn't a restore point any more", async () => {
    await snapshots(2);
    const { row } = (await log.roots())!;
    expect((await pin(6)).status).toBe(200);
    expect((await pin(4)).status).toBe(200);
    expect(Math.max(...(await points()))).toBe(6);
    const lost = (JSON.parse(row.manifest!) as { snapshot: { name: string } }).snapshot.name;
    await env.SNAPSHOTS.delete(lost);
    const before = (await log.roots())!.points.find(({ version }) => version === 6)!;
    await env.SNAPSHOTS.delete(before.files.at(-1)!);
    await env.LOG_0.prepare("DELETE FROM partitions").run();
    app = await deploy(held);
    const recovered = await app.call("/v1/operators/held/recover", {});
    expect(recovered.body).toMatchObject({ changed: true, items: [{ status: "recovered", manifest: 5 }] });
    expect(await points()).toEqual(expect.arrayContaining([4, 5]));
    expect(Math.max(...(await points()))).toBe(5);
    expect(await pins()).toMatchObject([{ manifest: 4, name: "admin" }]);
  });
});
