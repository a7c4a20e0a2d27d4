// Baseline (c): Durable Objects that insert one SQLite row for each event and upsert the key's row of state. The
// event's id is the table's key, so a retry counts once; history is there for as long as the rows are kept.

import { DurableObject } from "cloudflare:workers";
import { counters, countersAnswer } from "./counters.ts";
import { answer, byObject, lines, parse, type Reading } from "./reading.ts";

interface Env {
  METERS: DurableObjectNamespace<Meters>;
}

const INSERT = `INSERT INTO events (id, source, type, time, device, value, unit) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;
const UPSERT = `INSERT INTO states (device, count, sum, max, last) VALUES (?1, 1, ?2, ?2, ?2)
  ON CONFLICT (device) DO UPDATE SET count = count + 1, sum = sum + ?2, max = max(max, ?2), last = ?2`;

export class Meters extends DurableObject {
  readonly #sql = this.ctx.storage.sql;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS events (
        id TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL, device TEXT NOT NULL,
        value REAL NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (source, id)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS states (
        device TEXT PRIMARY KEY, count INTEGER NOT NULL, sum REAL NOT NULL, max REAL NOT NULL, last REAL NOT NULL
      ) WITHOUT ROWID;`);
  }

  add(readings: Reading[]): number {
    counters.objectRequests += 1;
    for (const { id, source, type, time, data } of readings) {
      const inserted = this.#sql.exec(INSERT, id, source, type, time, data.device, data.value, data.unit).rowsWritten;
      const upserted = inserted === 0 ? 0 : this.#sql.exec(UPSERT, data.device, data.value).rowsWritten;
      counters.objectRowsWritten += inserted + upserted;
    }
    return readings.length;
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
