/** `keyframe blame`: what it asks for, what it shows, and its exit status. */
import { describe, expect, it } from "vitest";
import { against, type Given } from "./scripted-server.ts";

const ITEM = {
  seq: 48_211,
  time: "2026-01-01T00:00:00.000Z",
  event: { type: "credits.take", id: "e", source: "/" },
  outcome: { status: "applied" },
  operatorVersion: 1,
};
const answer = (more: object): Given => ({ body: { operator: "usage", key: "k", path: "/n", item: null, ...more } });

describe("keyframe blame", () => {
  it("prints the event, and the member before and after", async () => {
    const ran = await against([answer({ item: { ...ITEM, from: { n: 1 }, to: 2 } })], "blame", "usage", "a b", "/n");
    expect(ran).toMatchObject({
      status: 0,
      out: ['48,211\t2026-01-01T00:00:00.000Z\t"credits.take" "e"\tapplied\t{"n":1} -> 2'],
      err: "",
      requests: ["GET /v1/operators/usage/blame?key=a+b&path=%2Fn"],
    });
    const first = await against([answer({ item: { ...ITEM, to: 2 } })], "blame", "usage", "k");
    expect(first.out[0]).toMatch(/\tnothing -> 2$/);
    expect(first.requests).toEqual(["GET /v1/operators/usage/blame?key=k&path="]);
    const json = await against([answer({ item: { ...ITEM, from: 1 } })], "blame", "usage", "k", "/n", "--json");
    expect(json.out.map((line) => JSON.parse(line) as unknown)).toEqual([{ ...ITEM, from: 1 }]);
  });

  it("asks on where the app stopped", async () => {
    const answers = [answer({ before: 70 }), answer({ before: 20 }), answer({ item: { ...ITEM, seq: 9, to: 1 } })];
    const ran = await against(answers, "blame", "usage", "k", "/n", "--before", "99");
    expect(ran.requests.map((line) => line.split("before=")[1])).toEqual(["99", "70", "20"]);
    expect(ran.status).toBe(0);
  });

  it.each<[object, string]>([
    [{}, "no event changed it\n"],
    [{ expired: true }, "no event that is kept changed it\n"],
  ])("%j: there is none, status 1", async (more, err) => {
    expect(await against([answer(more)], "blame", "usage", "k", "/n")).toMatchObject({ status: 1, out: [], err });
  });

  it("shows an event whose effect isn't known, with the reason, status 1", async () => {
    const item = { ...ITEM, unknown: "version 1 applied seq 3, and this is version 2" };
    const ran = await against([answer({ item })], "blame", "usage", "k", "/n");
    expect(ran.status).toBe(1);
    expect(ran.out[0]).toMatch(/\tapplied$/);
    expect(ran.err).toBe("whether this event changed it isn't known: version 1 applied seq 3, and this is version 2\n");
  });

  it.each<[Given, RegExp]>([
    [{ status: 400, body: { code: "invalid_path", detail: "no" } }, /400 invalid_path: no/],
    [answer({ item: 7 }), /`item` is not an object/],
    [answer({ before: 9 }), /below seq 9 twice/],
  ])("status 2: %j", async (given, message) => {
    const ran = await against([given], "blame", "usage", "k", "/n", "--before", "9");
    expect([ran.status, ran.out]).toEqual([2, []]);
    expect(ran.err).toMatch(message);
  });
});
