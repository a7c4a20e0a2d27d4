/** `keyframe timers`: what it asks for, what it shows, and its exit status. */
import { describe, expect, it } from "vitest";
import { against } from "./scripted-server.ts";

const ABANDON = { name: "abandon", due: "2026-01-01T00:30:00.000Z" };
const EXPIRES = "2026-03-01T00:00:00.000Z";
const answer = (timers: readonly object[], expires: string | null) => ({
  body: { operator: "carts", key: "c 1", timers, expires, partition: 0, seq: 12, time: "2026-01-01T00:00:00.000Z" },
});

describe("keyframe timers", () => {
  it("prints each timer and the expiry", async () => {
    const ran = await against([answer([ABANDON], EXPIRES)], "timers", "carts", "c 1");
    expect(ran).toMatchObject({
      status: 0,
      out: [`"abandon"\t${ABANDON.due}`, `expires\t${EXPIRES}`],
      err: "",
      requests: ["GET /v1/operators/carts/timers?key=c+1"],
    });
  });

  it("says that none is pending", async () => {
    const ran = await against([answer([], null)], "timers", "carts", "c 1");
    expect(ran).toMatchObject({ status: 0, out: [], err: "no timer is pending\n" });
  });

  it("prints one object with --json", async () => {
    const ran = await against([answer([ABANDON], null)], "timers", "carts", "c 1", "--json");
    expect(ran.out.map((line) => JSON.parse(line) as unknown)).toEqual([
      { key: "c 1", timers: [ABANDON], expires: null, seq: 12 },
    ]);
  });

  it("is status 1 for a key without state, and 2 for no such operator", async () => {
    const none = { status: 404, body: { code: "no_state", detail: "none" } };
    expect(await against([none], "timers", "carts", "k")).toMatchObject({ status: 1, out: [], err: 'no state: "k"\n' });
    const nothing = { status: 404, body: { code: "no_operator", detail: "there is none" } };
    expect(await against([nothing], "timers", "carts", "k")).toMatchObject({ status: 2, out: [] });
  });
});
