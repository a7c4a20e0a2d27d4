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

  it("says that an app without tokens is shut", async () => {
    const sent = clientOf({ url: "http://elsewhere.example" }).send({ type: "x" });
    await expect(sent).rejects.toMatchObject({ status: 401, code: "shut" });
  });
});
