/** TIME1: a client that is made with `after` sends back the highest stamp that it has heard of. */
import { describe, expect, it } from "vitest";
import { client, type Client, type ClientOptions } from "../../src/client/client.ts";
import type { Fetch } from "../../src/client/http.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const LARGE = 1_839_176_274_792_447;
const event = (id: string) => ({ type: "tick", id, data: {} });
const asked: Fault = {
  tag: "answer",
  status: 200,
  body: { value: 1, key: "k", partition: 0, seq: 1, duplicate: false },
};

/** An app whose n-th answer names the n-th stamp, null for none. */
function stamping(stamps: readonly (string | null)[], faults: readonly Fault[] = []) {
  const app = new ScriptedApp((_, attempt) => faults[attempt - 1] ?? { tag: "none" });
  let answers = 0;
  const fetch: Fetch = async (url, init) => {
    const response = await app.fetch(url, init);
    const stamp = stamps[answers++] ?? null;
    if (stamp !== null) response.headers.set("keyframe-stamp", stamp);
    return response;
  };
  const make = (options: Partial<ClientOptions>): Client =>
    client({ url: "http://app.test", fetch, clock: app.clock, random: () => 0, ...options });
  return { app, make, sent: () => app.seen.map(({ headers }) => headers.get("keyframe-stamp")) };
}

describe("a client's stamps", () => {
  it("go back with the next events, and the highest one counts", async () => {
    const { app, make, sent } = stamping([String(LARGE), "7", null], [{ tag: "none" }, asked]);
    const kf = make({ after: 0 });
    expect(kf.stamp).toBe(0);
    await app.run(kf.send(event("a")));
    expect(kf.stamp).toBe(LARGE);
    await app.run(kf.operator<typeof credits>("credits").ask("credits.take", { account: "ada", n: 1 }));
    await app.run(kf.send(event("b")));
    expect(sent()).toEqual([null, String(LARGE), String(LARGE)]);
    expect(kf.stamp).toBe(LARGE);
  });

  it("go from one client to another one, and to its timelines", async () => {
    const { app, make, sent } = stamping(["5"]);
    const first = make({});
    await app.run(first.send(event("a")));
    const second = make({ after: first.stamp });
    await app.run(second.send(event("b")));
    await app.run(second.timeline("fix").send(event("c")));
    expect(sent()).toEqual([null, "5", "5"]);
  });

  it("are heard of refused and retried events too, and sent with no read", async () => {
    const { app, make, sent } = stamping(["5", "9"], [{ tag: "partly", through: 0 }]);
    const kf = make({ after: 1 });
    await app.run(kf.send(event("a")));
    await app.run(kf.timelines.list().catch(() => []));
    expect(sent().slice(0, 3)).toEqual(["1", "5", null]);
    expect(kf.stamp).toBe(9);
  });

  it("aren't sent unless the client is made so, nor heard of strangers or in other words", async () => {
    const stranger: Fault = { tag: "answer", status: 200, body: "<html>" };
    const { app, make, sent } = stamping(["5", "6", "soon"], [{ tag: "none" }, stranger]);
    const kf = make({});
    await app.run(kf.send(event("a")));
    await app.run(kf.send(event("b")).catch(() => null));
    await app.run(kf.send(event("c")));
    expect(sent()).toEqual([null, null, null]);
    expect(kf.stamp).toBe(5);
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 60])("after: %d is refused", (after) => {
    expect(() => client({ url: "http://app.test", after })).toThrow(/after must be/);
  });
});
