// The system that a snapshot is compared with: a Durable Object that keeps one SQLite row for each key and upserts it
// for every event. Its state is durable with every answer; it has no log, no history and no copy elsewhere, and a retry
// counts twice.

import { DurableObject } from "cloudflare:workers";
import { counters, countersAnswer } from "./counters.ts";
import { lines, parse, type Reading, answer } from "./reading.ts";

interface Env {
  METERS: DurableObjectNamespace<Meters>;
}

const UPSERT = `INSERT INTO states (device, state) VALUES (?1, json_object('count', 1, 'sum', ?2, 'max', ?2, 'last', ?2))
  ON CONFLICT (device) DO UPDATE SET state = json_object('count', state ->> 'count' + 1, 'sum', state ->> 'sum' + ?2,
    'max', max(state ->> 'max', ?2), 'last', ?2)`;

export class Meters extends DurableObject {
  readonly #sql = this.ctx.storage.sql;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql.exec("CREATE TABLE IF NOT EXISTS states (device TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID");
  }

  add(readings: Reading[]): number {
    counters.objectRequests += 1;
    for (const { data } of readings)
      counters.objectRowsWritten += this.#sql.exec(UPSERT, data.device, data.value).rowsWritten;
    return readings.length;
  }

  size(): number {
    return this.#sql.databaseSize;
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const stub = env.METERS.getByName("meters");
    if (new URL(request.url).pathname === "/bench/size") return Response.json(await stub.size());
    const counted = countersAnswer(request);
    if (counted !== undefined) return counted;
    const readings = (await lines(request)).map(parse);
    return answer(readings.length, await stub.add(readings));
  },
};
