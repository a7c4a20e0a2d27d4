/**
 * ONE1, LOG1: `keyframe send` of real flights that have no ids, with the sender killed on the way, and the whole app
 * killed on the way of the second run. Every flight counts once, and at most one batch is sent a second time for each
 * kill.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { client } from "../../src/client/client.ts";
import { readAllStates } from "../../src/local/client.ts";
import { compareCounts, countByAirport, readFlights } from "../../src/local/flights.ts";
import { sendSignal } from "../../src/local/processes.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import type { credits } from "../../src/operators/credits.ts";
import { Command, until } from "./command.ts";

const BATCH = 250;
const flights = readFlights();
let folder: string;
let runtime: Runtime;
const started: Command[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
  runtime = await startRuntime({ port: 0, stateDir: join(folder, "state"), vars: {} });
});

afterAll(async () => {
  for (const command of started) command.killGroup();
  await runtime.stop();
  rmSync(folder, { recursive: true });
});

function sending(file: string): Command {
  const options = { file, url: runtime.url, json: true, batch: { events: BATCH } };
  const command = new Command(projectNode(), ["test/e2e/send-entry.ts", JSON.stringify(options)], {});
  started.push(command);
  return command;
}

/** Events that the progress file says are decided. */
function decided(file: string): number {
  const progress = `${file}.keyframe-progress`;
  if (!existsSync(progress)) return 0;
  return (JSON.parse(readFileSync(progress, "utf8")) as { position: { events: number } }).position.events;
}

test("a sender that is killed, then an app that is killed: every flight counts once", async () => {
  const lines = flights.map(({ line }) => line.replace(/"id":"[^"]*",/, ""));
  expect(lines[0]).not.toContain('"id"');
  const file = join(folder, "flights.ndjson.gz");
  writeFileSync(file, gzipSync(lines.join("\n")));

  const first = sending(file);
  await until(() => decided(file) >= 4_000);
  sendSignal(first.pid, "SIGKILL");
  expect(await first.exited).toBe(null);
  const sentBefore = decided(file);
  expect(sentBefore).toBeLessThan(15_000);

  const second = sending(file);
  await until(() => decided(file) >= sentBefore + 2_000);
  const { port } = runtime;
  await runtime.kill();
  expect(decided(file)).toBeLessThan(20_000);
  runtime = await startRuntime({ port, stateDir: join(folder, "state"), vars: {} });
  expect(await second.exited, second.stderr).toBe(0);

  const summary = JSON.parse(second.stdout) as Record<"events" | "accepted" | "duplicates" | "sentBefore", number>;
  expect([summary.events, summary.accepted + summary.duplicates]).toEqual([20_000, 20_000]);
  expect(summary.sentBefore).toBe(sentBefore);
  expect(summary.duplicates).toBeLessThanOrEqual(2 * BATCH);
  // The digest that ids of its lines are made of stays known, for when the file grows.
  expect(decided(file)).toBe(20_000);
  const found = compareCounts(countByAirport(flights), await readAllStates(runtime.url, "airport-delays"));
  expect(found).toMatchObject({ lost: 0, doubled: 0, differences: [], equal: found.airports });
});

test("the client against the app: fates, answers typed by the operator, state", async () => {
  const kf = client({ url: runtime.url, batch: { events: 100 }, gzip: true });
  const account = (n: number): string => `account-${n}`;
  const bought = Array.from({ length: 300 }, (_, n) => ({
    type: "credits.bought",
    id: `b${n}`,
    data: { account: account(n), n: n === 7 ? -1 : 2 },
  }));
  const fates = await kf.send(bought);
  expect(fates.map(({ tag, id }) => [tag, id])).toEqual(
    bought.map(({ id }, n) => [n === 7 ? "rejected" : "accepted", id]),
  );
  const wrong = Array.from({ length: 250 }, (_, n) => ({ type: "nobody.wants", id: `w${n}` }));
  const why = await kf.send([...wrong, ...bought.slice(0, 3)]);
  expect(new Set(why.slice(0, 250).map((fate) => fate.tag === "rejected" && fate.code))).toEqual(
    new Set(["unknown_type"]),
  );
  expect(why.slice(250).map(({ tag }) => tag)).toEqual(["duplicate", "duplicate", "duplicate"]);

  const of = kf.operator<typeof credits>("credits");
  const taken = await of.ask("credits.take", { account: account(1), n: 2 }, { id: "t1" });
  expect(taken).toMatchObject({ tag: "applied", value: { left: 0 }, duplicate: false, key: account(1) });
  const no = await of.ask("credits.take", { account: account(1), n: 1 }, { id: "t2" });
  expect(no).toMatchObject({ tag: "refused", code: "insufficient_credits", detail: { left: 0 } });
  expect(await of.ask("credits.take", { account: account(1), n: 2 }, { id: "t1" })).toMatchObject({
    tag: "applied",
    value: { left: 0 },
    duplicate: true,
  });
  const reused = of.ask("credits.take", { account: account(1), n: 1 }, { id: "t1" });
  await expect(reused).rejects.toMatchObject({ code: "id_reused", status: 409 });

  expect((await of.get(account(1)))?.value).toEqual({ left: 0, taken: 2 });
  expect(await of.get("nobody")).toBeNull();
  const many = await of.getMany([...bought.map((_, n) => account(n)), "nobody"]);
  expect([many.size, many.get(account(7))]).toEqual([299, undefined]);
  const pages: number[] = [];
  for await (const page of of.scan({ prefix: "account-", limit: 200 })) pages.push(page.length);
  expect(pages).toEqual([200, 99]);
  await kf.close();
});

test("ONE2: numbered batches against the app, fenced by a higher epoch", async () => {
  const producer = { id: "meter", epoch: 1 };
  const event = (id: string) => ({ type: "credits.bought", id, data: { account: "numbered", n: 1 } });
  const old = client({ url: runtime.url, producer });
  expect((await old.send(event("n1"))).tag).toBe("accepted");
  const next = client({ url: runtime.url, producer: { ...producer, epoch: 2 } });
  expect((await next.send(event("n2"))).tag).toBe("accepted");
  expect(await old.send(event("n3"))).toMatchObject({ tag: "rejected", code: "producer_fenced" });
  const state = await next.operator<typeof credits>("credits").get("numbered");
  expect(state?.value).toEqual({ left: 2, taken: 0 });
});
