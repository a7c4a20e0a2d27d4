/**
 * Damage that is found while a state is read, in the real runtime: what the next instance must know outlives the end of
 * this one.
 */
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";

const ledger = operator("ledger", {
  version: 1,
  events: { entry: z.object({ n: z.int() }) },
  initial: () => ({ sum: 0 }),
  on: {
    entry(state, event) {
      state.sum += event.data.n;
    },
  },
  snapshot: { every: "10m" },
});

let app: Deployment;
beforeAll(async () => {
  app = await deploy(ledger);
});

it("SNAP4: a state block is damaged: the partition continues without that file, at the next call", async () => {
  const event = (id: string, key: string) => ({ type: "entry", id, key, data: { n: 1 } });
  await app.call("/v1/events", [event("1", "a"), event("2", "b")]);
  const { body } = await app.call("/v1/operators/ledger/partitions/0/snapshot", {});
  const { name } = body["snapshot"] as { name: string };
  const bytes = new Uint8Array(await (await env.SNAPSHOTS.get(name))!.arrayBuffer());
  bytes[14]! ^= 1;
  await env.SNAPSHOTS.put(name, bytes);
  await evictDurableObject(env.PARTITION.getByName("1/ledger/0000"));
  const read = () => app.call("/v1/operators/ledger/state?key=a");
  // The call that finds it may break with the instance.
  await read();
  expect(await read()).toMatchObject({ status: 200, body: { value: { sum: 1 } } });
  expect((await app.call("/v1/events", [event("1", "a"), event("3", "a")])).body).toMatchObject({
    accepted: 1,
    duplicates: 1,
  });
  expect((await read()).body).toMatchObject({ value: { sum: 2 } });
  const partition = (await app.call("/v1/operators/ledger/partitions/0?live=true")).body;
  expect(partition).toMatchObject({ lastRecovery: { fallbacks: 1 } });
});
