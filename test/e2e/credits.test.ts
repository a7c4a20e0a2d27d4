import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getJson } from "../../src/local/client.ts";
import { CrashingApp } from "./crashing-app.ts";
import { seededRandom } from "./random.ts";

const CREDITS = 10;
const TAKERS = 40;
const COPIES = 3;
/** Requests at a time. */
const LANES = 24;
const MAX_ATTEMPTS = 600;
/** The server answers within 30 s whatever happens. */
const REQUEST_TIMEOUT_MS = 35_000;
const ACCOUNT = "north/7";

interface Outcome {
  granted: boolean;
  left: number | null;
  seq: number;
  duplicate: boolean;
}

const app = new CrashingApp();
beforeAll(() => app.start());
afterAll(async () => expect(await app.remove()).toEqual([]));

test("as many grants as there are credits, and every repeat gets its first answer, through a kill", async () => {
  const random = seededRandom("credits");
  expect(await ask("bought-1", "credits.bought", CREDITS)).toMatchObject({ granted: true, left: CREDITS });
  expect(await ask("bought-1", "credits.bought", CREDITS)).toMatchObject({ left: CREDITS, duplicate: true });

  const copies = Array.from({ length: TAKERS * COPIES }, (_, i) => `take-${i % TAKERS}`);
  const killAfter = TAKERS + random.below(TAKERS);
  const first = await askAll(random.shuffled(copies), killAfter);
  expect(app.kills).toBe(1);
  const decided = new Map([...first].map(([id, outcomes]) => [id, theOne(id, outcomes)]));

  const granted = [...decided.values()].filter((outcome) => outcome.granted);
  expect(granted.length).toBe(CREDITS);
  const left = granted.map((outcome) => outcome.left).sort((a, b) => Number(a) - Number(b));
  expect(left).toEqual(Array.from({ length: CREDITS }, (_, i) => i));
  expect(new Set([...decided.values()].map((outcome) => outcome.seq)).size).toBe(TAKERS);

  for (const [id, outcomes] of await askAll(random.shuffled([...decided.keys()]))) {
    expect(outcomes).toEqual([{ ...decided.get(id), duplicate: true }]);
  }
  const state = await getJson(`${app.url()}/v1/operators/credits/state?key=${encodeURIComponent(ACCOUNT)}`);
  expect(state).toMatchObject({ operator: "credits", key: ACCOUNT, value: { left: 0, taken: CREDITS } });
});

/** All copies of one request got the same answer, and at most one of them was told that it was the first. */
function theOne(id: string, outcomes: Outcome[]): Outcome {
  expect(outcomes.length, id).toBe(COPIES);
  const [decided] = outcomes;
  if (decided === undefined) throw new Error(`no answer for ${id}`);
  for (const outcome of outcomes) expect({ ...outcome, duplicate: decided.duplicate }, id).toEqual(decided);
  // None of them where the first answer was lost in the kill.
  expect(outcomes.filter((outcome) => !outcome.duplicate).length, id).toBeLessThanOrEqual(1);
  return decided;
}

async function askAll(ids: string[], killAfter?: number): Promise<Map<string, Outcome[]>> {
  const outcomes = new Map<string, Outcome[]>();
  const queue = ids.values();
  let answers = 0;
  const lane = async (): Promise<void> => {
    for (const id of queue) {
      const outcome = await ask(id, "credits.take", 1);
      outcomes.set(id, [...(outcomes.get(id) ?? []), outcome]);
      answers += 1;
      if (answers === killAfter) await app.crash();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return outcomes;
}

async function ask(id: string, type: string, n: number): Promise<Outcome> {
  const event = JSON.stringify({ id, type, data: { account: ACCOUNT, n } });
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const response = await post(`${app.url()}/v1/operators/credits/ask`, event);
    if (response !== null && response.status !== 503) return outcomeOf(response);
    await app.whenUp();
    await sleep(50);
  }
  throw new Error(`no answer to ${id}`);
}

async function post(url: string, body: string): Promise<{ status: number; text: string } | null> {
  try {
    const headers = { "content-type": "application/json" };
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await fetch(url, { method: "POST", headers, body, signal });
    return { status: response.status, text: await response.text() };
  } catch {
    return null;
  }
}

function outcomeOf({ status, text }: { status: number; text: string }): Outcome {
  const body = JSON.parse(text) as { value?: { left: number }; code?: string; seq: number; duplicate: boolean };
  if (status !== 200) expect({ status, code: body.code }, text).toEqual({ status: 409, code: "insufficient_credits" });
  const { seq, duplicate } = body;
  return { granted: status === 200, left: body.value?.left ?? null, seq, duplicate };
}
