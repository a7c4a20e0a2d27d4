/** Erasing a key: its state at once; all else when nothing is found any more that holds it, and not before. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { operator } from "../../../src/engine/operator/operator.ts";
import { App, type Routes } from "../../../src/worker/app.ts";
import { getErasure, postErasure } from "../../../src/worker/admin/erasure-routes.ts";
import { deploy, type Deployment } from "../deployment.ts";

interface Shown {
  readonly id: string;
  readonly complete: boolean;
  readonly holders: readonly { readonly where: string; readonly count: number }[];
  readonly [member: string]: unknown;
}

/** `keep`: of ids, and of all history. */
const secrets = (name: string, keep: "24h" | "1ms") =>
  operator(name, {
    version: 1,
    events: { [`${name}.told`]: z.object({ text: z.string() }) },
    initial: () => ({ text: "" }),
    dedup: { keep },
    snapshot: { retain: "7d" },
    on: { [`${name}.told`]: (state, event) => void (state.text = event.data.text) },
  });

let made = 0;
const tell = (app: Deployment, name: string, key: string, text = "secret") =>
  app.call("/v1/events", [{ type: `${name}.told`, id: `told-${++made}`, key, data: { text } }]);
const snapshot = async (app: Deployment, name: string): Promise<void> => {
  expect((await app.call(`/v1/operators/${name}/partitions/0/snapshot`, undefined, {}, "POST")).status).toBe(200);
};
const erase = async (app: Deployment, name: string, key: string): Promise<Shown> => {
  const { status, body } = await app.call("/v1/erasures", { operator: name, key });
  expect(status).toBe(202);
  return body as unknown as Shown;
};
const look = async (app: Deployment, { id }: Shown): Promise<Shown> => {
  const { status, body } = await app.call(`/v1/erasures/${id}`);
  expect(status).toBe(200);
  return body as unknown as Shown;
};
const where = ({ holders }: Shown): string[] => holders.map((holder) => holder.where);

describe("an erasure", () => {
  test("takes the state at once, and names all that holds the key still, with what makes that go", async () => {
    const app = await deploy(secrets("told", "24h"));
    await tell(app, "told", "ada");
    await snapshot(app, "told");
    await app.call("/v1/operators/told/partitions/0/manifests/1/pin?name=auditor", undefined, {}, "POST");
    const first = await erase(app, "told", "ada");
    expect((await app.call("/v1/operators/told/state?key=ada")).status).toBe(404);
    expect(first).toMatchObject({ operator: "told", partition: 0, state: "erased", complete: false });
    expect(Date.parse(first["notBefore"] as string) - Date.parse(first["at"] as string)).toBeGreaterThanOrEqual(
      7 * 86_400_000,
    );
    expect(where(first)).toEqual(["log", "archives", "snapshots", "pins"]);
    expect(first.holders.at(-1)).toMatchObject({ count: 1, pins: [{ manifest: 1, name: "auditor" }] });
    expect(JSON.stringify(first)).not.toContain("ada");
    for (let n = 0; n < 3; n++) {
      await tell(app, "told", "bob");
      await snapshot(app, "told");
    }
    const later = await look(app, first);
    expect(where(later), "the log is cut").toEqual(["archives", "snapshots", "pins"]);
    expect(later.holders[0]!.count, "that of the key's event, and that of the erasure").toBe(2);
    expect(later.complete).toBe(false);
  });

  test("is complete when log, archives and snapshots are gone, and ids have expired, and not a step before", async () => {
    const app = await deploy(secrets("brief", "1ms"));
    await tell(app, "brief", "ada");
    await snapshot(app, "brief");
    const first = await erase(app, "brief", "ada");
    for (let n = 0; n < 3; n++) {
      await tell(app, "brief", "bob");
      await snapshot(app, "brief");
    }
    // As if it were three minutes older, so that its ids have expired by logged time.
    const age = (ms: number) =>
      env.LOG_0.prepare("UPDATE erasures SET at_ms = at_ms - ?1 WHERE partition = '1/brief/0000'").bind(ms).run();
    await age(180_000);
    const older = first;
    expect(where(await look(app, older))).toEqual(["archives", "snapshots"]);
    const names = async (of: string): Promise<string[]> =>
      (await env.SNAPSHOTS.list({ prefix: `1/brief/0000/${of}/` })).objects.map(({ key }) => key).sort();
    // Garbage collection deletes these once retention has given them up.
    const [one, two, ...kept] = await names("manifests");
    await env.SNAPSHOTS.delete([one!]);
    expect(where(await look(app, older))).toEqual(["archives", "snapshots"]);
    await env.SNAPSHOTS.delete([two!]);
    expect(where(await look(app, older))).toEqual(["snapshots"]);
    const attempts = kept.map((name) => /\d{10}-(\d{10}-\d{6}-.*)\.kfm$/.exec(name)![1]!);
    await env.SNAPSHOTS.delete(
      (await names("snapshots")).filter((name) => !attempts.some((made_) => name.includes(made_))),
    );
    expect(await look(app, older)).toMatchObject({ complete: true, holders: [] });
    await age(-180_000);
    expect(where(await look(app, first)), "its ids and replies may be there still").toEqual(["snapshots"]);
  });

  test("X1: what can't be read may hold it", async () => {
    const app = await deploy(secrets("unread", "24h"));
    await tell(app, "unread", "ada");
    await snapshot(app, "unread");
    const first = await erase(app, "unread", "ada");
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/unread/0000/manifests/" });
    await env.SNAPSHOTS.put(objects[0]!.key, "nonsense\n");
    expect(where(await look(app, first))).toContain("unknown");
  });

  test("X2: is not known any more if D1 was restored to a point before it, or rebuilt", async () => {
    const app = await deploy(secrets("back", "24h"));
    await tell(app, "back", "ada");
    await snapshot(app, "back");
    const first = await erase(app, "back", "ada");
    await env.LOG_0.prepare(
      "DELETE FROM segments WHERE place = (SELECT number << 43 | 2 FROM partitions WHERE partition = '1/back/0000')",
    ).run();
    const { status, body } = await app.call(`/v1/erasures/${first.id}`);
    expect([status, body["code"]]).toEqual([409, "erasure_unknown"]);
    // A new incarnation: the record tells of the old one.
    await env.LOG_0.prepare("UPDATE erasures SET incarnation = 7 WHERE partition = '1/back/0000'").run();
    const incarnation = await app.call(`/v1/erasures/${first.id.replace(/\d+$/, "7")}`);
    expect([incarnation.status, incarnation.body["code"]]).toEqual([409, "erasure_unknown"]);
    expect((await app.call(`/v1/erasures/${first.id}`)).body["code"]).toBe("no_erasure");
  });

  test.each<[string, unknown, number, string]>([
    ["no JSON", "{", 400, "malformed_json"],
    ["no object", "[]", 400, "invalid_body"],
    ["without a key", { operator: "told" }, 400, "invalid_body"],
    ["with an empty key", { operator: "told", key: "" }, 400, "invalid_key"],
    ["of no operator", { operator: "nobody", key: "k" }, 404, "no_operator"],
    ["too large", JSON.stringify({ operator: "told", key: "k".repeat(20_000) }), 413, "body_too_large"],
  ])("400 and the like: %s", async (_, body, status, code) => {
    const app = await deploy(secrets("told", "24h"));
    const answer = await app.call("/v1/erasures", body);
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  test("X2: an id proves nothing: neither that of an ordinary event, nor one that is made up, shortened or lengthened", async () => {
    const app = await deploy(secrets("claimed", "24h"));
    await tell(app, "claimed", "ada");
    await snapshot(app, "claimed");
    const { id } = await erase(app, "claimed", "ada");
    await tell(app, "claimed", "bob");
    const [, operator, n, seq, incarnation] = id.split(".") as [string, string, string, string, string];
    const of = (...parts: readonly (string | number)[]) => parts.join(".");
    for (const other of [
      of(operator, n, Number(seq) - 1, incarnation),
      of(operator, n, Number(seq) + 1, incarnation),
      of(operator, n, seq, Number(incarnation) + 1),
      of(operator, n, `0${seq}`, incarnation),
      of(operator, n, `${seq}0`, incarnation),
      of(operator, n, seq),
      `${id}.a`,
      `${id}0`,
      id.slice(0, -1),
    ]) {
      const { status, body } = await app.call(`/v1/erasures/${other}`);
      expect([status, body["code"]], other).toEqual([404, "no_erasure"]);
    }
    expect((await look(app, { id } as Shown)).id).toBe(id);
  });

  test.each([
    "x",
    "told.0.1.0",
    "1.told.0.1.0",
    "9.told.0.1.0",
    "1.told.9.1.0",
    "1.nobody.0.1.0",
    "1.told.0.1.0.b",
    "1.told.0.0.0",
  ])("404: %s", async (id) => {
    const app = await deploy(secrets("told", "24h"));
    const answer = await app.call(`/v1/erasures/${id}`);
    expect([answer.status, answer.body["code"]]).toEqual([404, "no_erasure"]);
  });
});

test("of an operator that D1 has lost neither takes an erasure nor forgets one: 503, as all its routes", async () => {
  const why = { code: "operator_lost", message: "recover it" };
  const routes = {
    line: 1,
    byOperator: new Map(),
    lost: { byOperator: new Map([["tally", why]]) },
  } as unknown as Routes;
  const body = JSON.stringify({ operator: "tally", key: "k" });
  const asked = await postErasure(new Request("http://localhost/", { method: "POST", body }), env, new App([]), routes);
  const looked = await getErasure(env, new App([]), routes, "1.tally.0.1.0");
  for (const answer of [asked, looked])
    expect([answer.status, (await answer.json<{ code: string }>()).code]).toEqual([503, "operator_lost"]);
});
