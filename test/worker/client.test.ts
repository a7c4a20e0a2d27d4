/** The client inside workerd, as another Worker uses it: batches, packed ones too, answers and state of the app beside it. */
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { client, type ClientOptions } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { BASE } from "./http.ts";

const clientOf = (options: Partial<ClientOptions> = {}) =>
  client({ url: BASE, fetch: (url, init) => exports.default.fetch(new Request(url, init)), ...options });

describe("the client in a Worker", () => {
  it.each([false, true])("sends, asks and reads; gzip: %s", async (gzip) => {
    const kf = clientOf({ gzip, batch: { events: 20 } });
    const account = `worker-${gzip}`;
    const fates = await kf.send(
      Array.from({ length: 50 }, (_, n) => ({
        type: n === 30 ? "text.none" : "credits.bought",
        data: { account, n: 1 },
      })),
    );
    expect(fates.map(({ tag }) => tag)).toEqual(
      Array.from({ length: 50 }, (_, n) => (n === 30 ? "rejected" : "accepted")),
    );
    const of = kf.operator<typeof credits>("credits");
    const taken = await of.ask("credits.take", { account, n: 9 });
    expect(taken).toMatchObject({ tag: "applied", value: { left: 40 } });
    expect((await of.get(account))?.value).toEqual({ left: 40, taken: 9 });
  });

  it("reads the past, of several operators at one stamp", async () => {
    const kf = clientOf();
    const account = "worker-past";
    const bought = (n: number) => kf.send({ type: "credits.bought", data: { account, n } });
    await bought(1);
    const then = kf.at("now");
    const past = then.operator<typeof credits>("credits");
    expect(await past.get(account)).toMatchObject({ value: { left: 1 }, at: then.stamp, exact: true });
    await bought(10);
    const now = kf.operator<typeof credits>("credits");
    expect((await now.get(account))?.value.left).toBe(11);
    // The moment was `now`, and has become a stamp.
    expect((await past.get(account))?.value.left).toBe(1);
    expect((await past.getMany([account, "nobody"])).get(account)).toMatchObject({
      value: { left: 1 },
      at: then.stamp,
    });
    const found: object[] = [];
    for await (const page of past.scan({ prefix: account })) found.push(...page);
    expect(found).toEqual([{ key: account, value: { left: 1, taken: 0 }, at: then.stamp, exact: true }]);
    const events: unknown[] = [];
    for await (const { value } of past.history(account)) events.push(value);
    expect(events).toEqual([{ left: 1, taken: 0 }]);
    expect(await kf.at(then.stamp!).operator("tally").get("nobody-at-all")).toBeNull();
    await expect(kf.at("2125-01-01T00:00:00Z").operator("credits").get(account)).rejects.toMatchObject({
      status: 409,
      code: "not_settled",
    });
  });

  it("yields the keys that differ between two moments", async () => {
    const kf = clientOf();
    const [account, other] = ["worker-diff", "worker-diff-other"];
    await kf.send([account, other].map((key) => ({ type: "credits.bought", data: { account: key, n: 1 } })));
    const then = kf.at("now");
    await then.operator("credits").get(account);
    await kf.send({ type: "credits.bought", data: { account, n: 10 } });
    const diff = kf.diff<typeof credits>({ from: then.stamp!, operator: "credits", prefix: "worker-" });
    const first = await diff.next();
    expect(first.value).toEqual({
      operator: "credits",
      key: account,
      from: { left: 1, taken: 0 },
      to: { left: 11, taken: 0 },
      partition: 0,
    });
    expect(await diff.next()).toMatchObject({ done: true, value: { from: then.stamp, keys: 1, exact: true } });
    const again: unknown[] = [];
    for await (const { key } of kf.diff({ from: "-1h", to: "-30m" })) again.push(key);
    expect(again).toEqual([]);
  });

  it("says that an app without tokens is closed", async () => {
    const sent = clientOf({ url: "http://elsewhere.example" }).send({ type: "x" });
    await expect(sent).rejects.toMatchObject({ status: 401, code: "closed" });
  });
});
