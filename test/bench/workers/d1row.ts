// Baseline (d): one D1 row for each event, written by the Worker itself; a request's rows are one batch. No state is
// kept: a reader would have to add up the rows.

import { countedD1 } from "./counted-d1.ts";
import { countersAnswer } from "./counters.ts";
import { delayOf } from "./delay.ts";
import { answer, lines, parse } from "./reading.ts";

interface Env {
  EVENTS: D1Database;
  DELAY_MS: number;
}

const INSERT = "INSERT INTO events (source, id, device, time, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const counted = countersAnswer(request);
    if (counted !== undefined) return counted;
    const database = countedD1(env.EVENTS, delayOf(env.DELAY_MS));
    const insert = database.prepare(INSERT);
    const statements = (await lines(request)).map((line) => {
      const { source, id, data, time } = parse(line);
      return insert.bind(source, id, data.device, time, line);
    });
    const results = statements.length === 1 ? [await statements[0]!.run()] : await database.batch(statements);
    return answer(
      statements.length,
      results.reduce((sum, result) => sum + result.meta.changes, 0),
    );
  },
};
