// `statements`: what the log's statements and the object's cache cost by the size of a row, on Node's own SQLite with
// files.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { SqliteCache } from "../../../src/adapters/sqlite-cache.ts";
import { seq, stamp, type Epoch } from "../../../src/engine/base/ids.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { aimTable, reached, type Aim } from "../snapshots/aim.ts";
import { median } from "../stats.ts";
import { table, whole } from "../table.ts";
import { LocalSqlite } from "./local-sqlite.ts";
import { WholeKeys } from "./whole-keys.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

const SIZES = [1_000, 40_000, 500_000];
/** They share a database, and append in turns. */
const PARTITIONS = 8;
const ROWS = 24;
const MEASURED = 8;
const MIGRATION = new URL("../../../src/adapters/migrations/0001_log.sql", import.meta.url);

interface Cost {
  readonly what: string;
  readonly micros: number;
  readonly pages: number | null;
}

class Timed {
  readonly #sqlite: LocalSqlite;
  readonly costs: Cost[] = [];

  constructor(sqlite: LocalSqlite) {
    this.#sqlite = sqlite;
  }

  /** Each of the acts counts once for the time, the last one for the pages. */
  async each(what: string, acts: readonly (() => unknown)[]): Promise<void> {
    const times: number[] = [];
    for (const act of acts.slice(0, -1)) {
      const start = performance.now();
      await act();
      times.push((performance.now() - start) * 1_000);
    }
    this.costs.push({ what, micros: median(times), pages: await this.#sqlite.pagesRead(acts.at(-1)!) });
  }
}

const row = (at: number, by: Epoch, payload: string): Segment => ({
  format: 1,
  seq: seq(at),
  last: seq(at),
  stamp: stamp(at),
  epoch: by,
  group: `g${at}`,
  operatorVersion: 1,
  code: "c",
  codec: "br64",
  checksum: 1,
  bytes: payload.length,
  stats: JSON.stringify({
    keys: 100,
    stateBytes: 10_000,
    rates: [1, 2, 3],
    counters: Array.from({ length: 40 }, () => 1_000),
  }),
  payload,
});

async function measured(size: number, directory: string): Promise<Cost[]> {
  const sqlite = new LocalSqlite(path.join(directory, `${size}.sqlite`));
  sqlite.db.exec(readFileSync(fileURLToPath(MIGRATION.href), "utf8"));
  const before = new WholeKeys(sqlite, PARTITIONS).appending();
  const payload = randomBytes((size * 3) / 4).toString("base64");
  const logs = Array.from(
    { length: PARTITIONS },
    (_, partition) => new D1Log(sqlite.d1(), { line: 1, operator: "bench", partition }),
  );
  const epochs: Epoch[] = [];
  for (const log of logs) {
    await log.create(1, LOG_BEGIN);
    epochs.push((await log.open("w", "c"))!.row.epoch);
  }
  const append = async (n: number, at: number): Promise<void> => {
    const done = await logs[n]!.append([row(at, epochs[n]!, payload)], epochs[n]!);
    if (done !== "appended") throw new Error(`the append of ${at} was refused`);
  };
  for (let at = 1; at <= ROWS; at++)
    for (let n = 0; n < PARTITIONS; n++) {
      before(n, at, payload);
      await append(n, at);
    }
  const timed = new Timed(sqlite);
  const next = Array.from(
    { length: MEASURED * PARTITIONS },
    (_, i) => [i % PARTITIONS, ROWS + 1 + Math.floor(i / PARTITIONS)] as const,
  );
  await timed.each(
    "append, rows under their whole key",
    next.map(
      ([n, at]) =>
        () =>
          before(n, at, payload),
    ),
  );
  await timed.each(
    "append",
    next.map(
      ([n, at]) =>
        () =>
          append(n, at),
    ),
  );
  await timed.each(
    "opening",
    next.map(([n]) => async () => {
      epochs[n] = (await logs[n]!.open("w", "c"))!.row.epoch;
    }),
  );
  await timed.each(
    "page",
    next.map(
      ([n, at]) =>
        () =>
          logs[n]!.page(seq(at - ROWS)),
    ),
  );
  await timed.each(
    "promotion that cuts one row",
    next.map(
      ([n, at]) =>
        () =>
          promote(logs[n]!, epochs[n]!, at - ROWS - 1),
    ),
  );
  await cached(timed, sqlite, size);
  sqlite.db.close();
  return timed.costs;
}

async function promote(log: D1Log, epoch: Epoch, version: number): Promise<void> {
  const done = await log.promote({
    epoch,
    writer: "w",
    code: "c",
    version,
    attempt: `a${version}`,
    manifest: JSON.stringify({ version, history: "x".repeat(4_000) }),
    seq: seq(version + 1),
    stamp: stamp(version + 1),
    previous: null,
    previousSeq: seq(version),
    cutSeq: seq(version + 1),
    pins: "[]",
    replaced:
      version === 0
        ? []
        : [
            {
              version,
              attempt: "a",
              seq: seq(version),
              stamp: stamp(version),
              files: ["f".repeat(100)],
              intact: true,
              replacedMs: 1,
            },
          ],
  });
  if (done !== "current") throw new Error(`the promotion of ${version} was refused`);
}

async function cached(timed: Timed, sqlite: LocalSqlite, size: number): Promise<void> {
  const cache = new SqliteCache(sqlite.storage());
  const bytes = new Uint8Array(randomBytes(size));
  const names = Array.from(
    { length: 8 },
    (_, i) => `1/bench/0000/snapshots/0000000001-00000${i}-${"n".repeat(20)}.kfs`,
  );
  const ranges = names.flatMap((name) => Array.from({ length: 16 }, (_, i) => [name, i * 1_000_000] as const));
  await timed.each(
    "cache: put",
    ranges.map(
      ([name, at]) =>
        () =>
          cache.put(name, at, bytes),
    ),
  );
  await timed.each(
    "cache: get",
    ranges.map(([name, at]) => () => {
      if (cache.get(name, at)?.length !== size) throw new Error("the cache lost a range");
    }),
  );
}

const directory = mkdtempSync(path.join(tmpdir(), "keyframe-statements-"));
try {
  const found = new Map<number, Cost[]>();
  for (const size of SIZES) found.set(size, await measured(size, directory));
  const names = found.get(SIZES[0]!)!.map(({ what }) => what);
  const cell = (size: number, what: string): string => {
    const { micros, pages } = found.get(size)!.find((one) => one.what === what)!;
    return `${whole(micros)} µs ${pages === null ? "-" : whole(pages)} p`;
  };
  console.log(
    `Median time, and pages of 4 KB read when none is in memory; ${PARTITIONS} partitions, ${ROWS} rows each.\n`,
  );
  console.log(
    table(
      ["rows of", ...SIZES.map((size) => `${size / 1_000} KB`)],
      names.map((what) => [what, ...SIZES.map((size) => cell(size, what))]),
    ),
  );
  const of = (size: number, what: string): number => found.get(size)!.find((one) => one.what === what)!.micros;
  const pagesOf = (size: number, what: string): number =>
    found.get(size)!.find((one) => one.what === what)!.pages ?? Number.NaN;
  const aims: Aim[] = [
    {
      what: "append of 500 KB, against rows under their whole key",
      value: of(500_000, "append") / of(500_000, "append, rows under their whole key"),
      bound: { most: 0.175 },
    },
    { what: "pages that an append of 500 KB reads", value: pagesOf(500_000, "append"), bound: { most: 30 } },
    {
      what: "pages that an append of 500 KB reads beyond one of 1 KB",
      value: pagesOf(500_000, "append") - pagesOf(1_000, "append"),
      bound: { most: 10 },
    },
    {
      what: "pages that a promotion reads, for each of the row that it cuts",
      value: pagesOf(500_000, "promotion that cuts one row") / (500_000 / 4_096),
      bound: { most: 1.5 },
    },
  ];
  console.log(`\n${aimTable(aims)}`);
  if (!aims.every(reached)) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
