// Baseline (b): Durable Objects that keep each key's state in memory and `storage.put` it for every event. The writes
// aren't awaited: the output gate holds the answer until they are durable. No log, no history, and a retry counts twice.

import { DurableObject } from "cloudflare:workers";
import { counters, countersAnswer } from "./counters.ts";
import { add, answer, byObject, lines, parse, type Reading, type Running, zero } from "./reading.ts";

interface Env {
  METERS: DurableObjectNamespace<Meters>;
}

export class Meters extends DurableObject {
  readonly #states = new Map<string, Running>();

  async add(readings: Reading[]): Promise<number> {
    counters.objectRequests += 1;
    for (const { data } of readings) {
      const state = this.#states.get(data.device) ?? (await this.#load(data.device));
      add(state, data.value);
      void this.ctx.storage.put(data.device, state);
    }
    counters.objectRowsWritten += readings.length;
    return readings.length;
  }

  async #load(device: string): Promise<Running> {
    const stored = await this.ctx.storage.get<Running>(device);
    counters.objectRowsRead += 1;
    // Another call may have loaded the key meanwhile: its state is the one that counts.
    const state = this.#states.get(device) ?? stored ?? zero();
    this.#states.set(device, state);
    return state;
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const counted = countersAnswer(request);
    if (counted !== undefined) return counted;
    const readings = (await lines(request)).map(parse);
    const calls = [...byObject(readings)].map(([object, group]) => env.METERS.getByName(`meters-${object}`).add(group));
    const added = await Promise.all(calls);
    return answer(
      readings.length,
      added.reduce((sum, count) => sum + count, 0),
    );
  },
};
