import { expect, test } from "vitest";
import { fetchApp } from "./http.ts";

test("it runs", async () => {
  const r = await fetchApp("/v1/events", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(["a", "b", "c", "d", "e", "f"].map((key) => ({ type: "tally.add", key, data: { n: 2 } }))),
  });
  expect(await r.json()).toMatchObject({ accepted: 6 });
  expect(await (await fetchApp("/v1/operators/tally/state?key=a")).json()).toMatchObject({ value: { n: 2 } });
});
