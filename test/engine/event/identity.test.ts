/** The identity of an event (ONE1, ONE4): its source and id, and what it says. */
import { describe, expect, it } from "vitest";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

/** The outcome of an event after another one with the same id, live and after a recovery from the log. */
async function after(first: Sent, second: Sent): Promise<string> {
  const world = new World();
  const one = world.start(sum());
  expect(words(await world.send(one, first))).toEqual(["applied"]);
  const live = words(await world.send(one, second));
  const replayed = words(await world.send(world.start(sum()), second));
  expect(replayed, "replay computes the same print").toEqual(live);
  return live[0]!;
}

const EVENT: Sent = { id: "1", data: 5, key: "acme/1" };
const TIME = "2026-01-31T12:00:00Z";

describe("the same source and id", () => {
  it("ONE4: with another key is reused, wherever the key comes from, and changes nothing", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "1", data: 5, tenant: "acme/1" });
    const answer = await world.send(one, { id: "1", data: 5, tenant: "evil/1" });
    expect(words(answer)).toEqual(["reused"]);
    expect(answer, "the other one's reply is not told").toMatchObject({ details: [[0, 1, null]] });
    expect(await world.value(one, "evil/1")).toBeUndefined();
    expect(await world.value(one, "acme/1")).toEqual({ total: 5, times: 1 });
  });

  it("ONE4: of the log, of a snapshot and of a pending group alike", async () => {
    const world = new World();
    const one = world.start(sum());
    const other = { ...EVENT, key: "acme/2" };
    const both = [one.partition.append(world.slice([EVENT])), one.partition.append(world.slice([other]))];
    expect((await world.clock.run(Promise.all(both))).flatMap(words)).toEqual(["applied", "reused"]);
    const again = async (to: Incarnation) => words(await world.send(to, EVENT, other));
    expect(await again(world.start(sum()))).toEqual(["applied again", "reused"]);
    await world.clock.run(one.partition.snapshot());
    expect(await again(world.start(sum()))).toEqual(["applied again", "reused"]);
  });

  it.each<[string, Sent, Sent, string]>([
    ["the same", EVENT, EVENT, "applied again"],
    ["another key", EVENT, { ...EVENT, key: "acme/2" }, "reused"],
    ["other data", EVENT, { ...EVENT, data: 6 }, "reused"],
    ["another type", EVENT, { ...EVENT, type: "other" }, "reused"],
    ["a key that says what the subject said", { ...EVENT, key: "a" }, { ...EVENT, key: "a", subject: "a" }, "reused"],
    ["an extension that makes no key", EVENT, { ...EVENT, tenant: "x" }, "applied again"],
    ["how its time is written", { ...EVENT, time: TIME }, { ...EVENT, time: "2026-01-31T13:00:00.000+01:00" }, "applied again"], // prettier-ignore
    ["another instant", { ...EVENT, time: TIME }, { ...EVENT, time: "2026-01-31T12:00:00.001Z" }, "reused"],
    ["a time where there was none", EVENT, { ...EVENT, time: TIME }, "reused"],
  ])("ONE4: %s", async (_, first, second, expected) => {
    expect(await after(first, second)).toBe(expected);
  });
});
