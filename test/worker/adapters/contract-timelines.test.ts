import { env } from "cloudflare:workers";
import { array, assert, asyncProperty, constantFrom, nat, oneof, record } from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { D1Savepoints } from "../../../src/adapters/d1-savepoints.ts";
import { D1Directory, D1Lines } from "../../../src/adapters/d1-timelines.ts";
import { stamp } from "../../../src/engine/base/ids.ts";
import type { Directory } from "../../../src/engine/base/ports.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { MemoryDirectory } from "../../../src/testkit/memory-timelines.ts";
import { timelinesContract } from "../../contract/timelines-contract.ts";

const run = (...statements: readonly string[]): Promise<unknown> =>
  env.LOG_1.batch(statements.map((sql) => env.LOG_1.prepare(sql)));

/** Everything but the number of the last line, as the migration made it. */
const clear = (): Promise<unknown> =>
  run(
    ...["directory", "lines", "partitions", "segments", "restore_points", "savepoints", "operators"].map(
      (table) => `DELETE FROM ${table}`,
    ),
    "DELETE FROM timelines WHERE line > 1",
    "UPDATE timelines SET name = NULL, expires_at = NULL, replaced = 0, state = 'ready'",
    "INSERT INTO lines (line, state, floor) VALUES (1, 'open', 0)",
    "INSERT INTO directory VALUES (1, 1, 0, 'idle', 0, NULL, NULL, 0, NULL, NULL)",
  );

timelinesContract("D1", async () => ({
  directory: new D1Directory(env.LOG_1),
  lines: new D1Lines(env.LOG_1),
  log: (line, partition) => new D1Log(env.LOG_1, { line, operator: "contract", partition }),
  save: async (line, name, at = 5_000) => void (await new D1Savepoints(env.LOG_1, line).add(name, stamp(at), 1)),
  saved: async (line) => (await new D1Savepoints(env.LOG_1, line).all()).map(({ name }) => name),
  clear: async () => void (await clear()),
}));

/** A directory whose lines go by the order in which they were added: SQLite leaves numbers out. */
class Ordered {
  readonly directory: Directory;
  readonly #lines = [1];

  constructor(directory: Directory) {
    this.directory = directory;
  }

  line(n: number): number {
    return this.#lines[n] ?? 1_000_000 + n;
  }

  /** Returns the answer of a call, and the rows after it. */
  async after(answer: unknown): Promise<unknown> {
    const all = await this.directory.all();
    for (const { line } of all.all) if (!this.#lines.includes(line)) this.#lines.push(line);
    const text = JSON.stringify({ answer, all }, (key, value: unknown) =>
      ["line", "parent", "target", "former"].includes(key) && value !== null
        ? this.#lines.indexOf(value as number)
        : value,
    );
    return JSON.parse(text);
  }
}

type Step = (to: Ordered) => Promise<unknown>;

/** Any statement, with numbers of now and of earlier. */
const step = record({
  what: constantFrom("add", "ready", "withdraw", "drop", "begin", "switch", "abort", "idle"),
  line: nat(4),
  promotion: nat(6),
}).map(({ what, line: n, promotion }): Step => (to) => {
  const { directory } = to;
  const line = to.line(n);
  if (what === "add")
    return directory.add({ name: `t${promotion % 3}`, parent: line, at: stamp(7), expiresMs: null }, promotion);
  if (what === "begin") return directory.begin(promotion, line, promotion);
  if (what === "switch") return directory.switch(promotion, `t${n}`, `d${n}`);
  return what === "abort" || what === "idle" ? directory[what](promotion) : directory[what](line);
});

/** The promotion of a new timeline up to one of its steps, if nothing is in its way. */
const usual = record({ name: nat(4), steps: nat(4), ends: constantFrom("abort", "switch") }).map(
  ({ name, steps, ends }): Step =>
    async ({ directory }) => {
      const { promotion, line: parent } = await directory.main();
      const row = await directory.add({ name: `t${name}`, parent, at: stamp(7), expiresMs: 9 }, steps);
      if (typeof row === "string" || steps === 0) return row;
      const answers: unknown[] = [row, await directory.ready(row.line)];
      if (steps > 1) answers.push(await directory.begin(promotion + 1, row.line, 1));
      if (steps > 2)
        answers.push(
          await (ends === "abort" ? directory.abort(promotion + 1) : directory.switch(promotion + 1, "t", "d")),
        );
      if (steps > 3) answers.push(await directory.idle(promotion + 1));
      return answers;
    },
);

describe("the directory in D1", () => {
  beforeEach(clear);

  it("answers and keeps what the one in memory does, whatever comes in whatever order", () =>
    assert(
      asyncProperty(array(oneof(step, step, step, usual), { maxLength: 30 }), async (steps) => {
        await clear();
        const [d1, memory] = [
          new Ordered(new D1Directory(env.LOG_1)),
          new Ordered(new MemoryDirectory(new MemoryDatabase())),
        ];
        for (const one of steps) expect(await d1.after(await one(d1))).toEqual(await memory.after(await one(memory)));
      }),
      { numRuns: 30 },
    ));

  it("LINE2: places the operators as on the parent, and forgets them with the line", async () => {
    const directory = new D1Directory(env.LOG_1);
    await run("INSERT INTO operators VALUES (1, 'sum', 3, 'h', 42, '[\"LOG_1\"]', 'then', 5, 6)");
    const row = await directory.add({ name: "a", parent: 1, at: stamp(7), expiresMs: null }, 1);
    if (typeof row === "string") throw new Error(row);
    const placed = async (): Promise<unknown[]> =>
      (await env.LOG_1.prepare("SELECT * FROM operators WHERE line = ?1").bind(row.line).all()).results;
    await directory.ready(row.line);
    const like = { operator: "sum", partitions: 3, hash: "h", seed: 42, databases: '["LOG_1"]', created_at: "then" };
    expect(await placed()).toEqual([{ line: row.line, ...like, recovering: null, recovered: null }]);
    await run("INSERT INTO operators VALUES (1, 'later', 3, 'h', 42, '[\"LOG_1\"]', 'then', NULL, NULL)");
    await directory.ready(row.line);
    await directory.drop(row.line);
    expect(await placed(), "unchanged, for the line is ready").toHaveLength(1);
    await directory.withdraw(row.line);
    await directory.drop(row.line);
    await directory.ready(row.line);
    expect(await placed()).toEqual([]);
  });
});
