// A clock that a measurement moves forward, so that a month of a partition's life takes minutes. Date.now() is the
// machine's time and what was jumped over; timers of the runtime are left alone, since they only limit calls that are
// under way. Alarms ring when the clock has passed them, and an object that hears nothing for ten seconds is gone, as
// on the platform.

import { counters } from "./counters.ts";

const machineNow = Date.now.bind(Date);
let aheadMs = 0;
Date.now = () => machineNow() + aheadMs;

/** After so long without a call the platform drops an object from memory. */
const IDLE_MS = 10_000;

/**
 * The ranges of R2 that an opening read are cached a second later (engine/snapshot/range-reader.ts), by a clock that
 * looks four times a second.
 */
const PUT_OFF_MS = 1_500;
const TICK_MS = 300;
let readsSettled = 0;

/** By the object's name. */
const alarms = new Map<string, number>();
const awake = new Set<string>();
const underWay = new Set<Promise<void>>();

/** The platform's part for one object. Alarms outlive the instance, as they do there. */
export function attach(ctx: DurableObjectState): void {
  const name = ctx.id.name ?? "";
  awake.add(name);
  replace(ctx.storage, "setAlarm", async (at) => void alarms.set(name, Number(at)));
  replace(ctx.storage, "getAlarm", async () => alarms.get(name) ?? null);
  replace(ctx.storage, "deleteAlarm", async () => void alarms.delete(name));
  const waitUntil = ctx.waitUntil.bind(ctx);
  replace(ctx, "waitUntil", (promise) => {
    const done = (promise as Promise<void>).finally(() => void underWay.delete(done));
    underWay.add(done);
    waitUntil(done);
  });
}

export interface Objects {
  ring(name: string): Promise<void>;
  evict(name: string): Promise<void>;
}

/** Moves the clock on, and lets happen on the way what falls due. */
export async function advance(ms: number, objects: Objects): Promise<void> {
  const until = Date.now() + ms;
  for (;;) {
    await quiet();
    const due = [...alarms].filter(([, at]) => at <= until).sort(([, a], [, b]) => a - b)[0];
    if (due === undefined) break;
    const [name, at] = due;
    await jump(at, objects);
    alarms.delete(name);
    await objects.ring(name);
  }
  await jump(until, objects);
}

async function jump(to: number, objects: Objects): Promise<void> {
  const ms = to - Date.now();
  if (ms <= 0) return;
  if (ms > IDLE_MS) {
    await settled();
    for (const name of awake) await objects.evict(name);
    awake.clear();
  }
  aheadMs += ms;
}

/** An object lives for its idle time after it was called: what it had put off, since it read from R2, is done by then. */
async function settled(): Promise<void> {
  if (counters.r2ClassB === readsSettled) return;
  readsSettled = counters.r2ClassB;
  aheadMs += PUT_OFF_MS;
  await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  await quiet();
}

/** Resolves when the objects' work in the background is done. */
async function quiet(): Promise<void> {
  while (underWay.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

function replace(holder: object, name: string, value: (argument: unknown) => unknown): void {
  Object.defineProperty(holder, name, { value, configurable: true });
}
