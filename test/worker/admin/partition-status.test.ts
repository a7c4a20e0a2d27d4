/** The status that D1 gives of a partition without waking it, beside the partition's own. */
import { expect, test } from "vitest";
import { call, get, postEvents } from "../http.ts";
import { fuse } from "../operators.ts";

const PATH = "/v1/operators/fragile/partitions";

test("SNAP9: the events in quarantine are counted, by D1 as by the partition, with a snapshot and without", async () => {
  fuse.lit = true;
  const quarantined = async (query = ""): Promise<unknown> => (await get(`${PATH}/0${query}`)).body["quarantined"];
  expect(await quarantined()).toBe(0);
  const boom = (id: string) => ({ type: "fragile.do", id, key: "counted", data: { what: "boom" } });
  await postEvents([boom("1"), boom("2")]);
  expect([await quarantined(), await quarantined("?live=true")]).toEqual([2, 2]);
  expect((await call(`${PATH}/0/snapshot`, { method: "POST" })).status).toBe(200);
  await call(`${PATH}/0/evict`, { method: "POST" });
  expect([await quarantined(), await quarantined("?live=true")]).toEqual([2, 2]);
});
