/** The cron over more partitions than one page holds: all that are due are woken, and no others (SNAP6, SNAP9). */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { operator } from "../../src/keyframe.ts";
import { App } from "../../src/worker/app.ts";
import { runCron } from "../../src/worker/cron.ts";
import type { Address } from "../../src/engine/operator/routing.ts";

/** An operator has 256 partitions at most, so these are of several. */
const EACH = 256;
const OPERATORS = 5;
const PARTITIONS = EACH * OPERATORS;
const HOUR = 3_600_000;
const now = Date.now();

const many = Array.from({ length: OPERATORS }, (_, i) =>
  operator(`many-${i}`, {
    version: 1,
    partitions: EACH,
    events: { noted: z.object({}) },
    initial: () => ({ n: 0 }),
    on: { noted: (state) => void (state.n += 1) },
    snapshot: { every: "5m", maxTailBytes: 4_000_000 },
  }),
);

interface Kind {
  readonly due: boolean;
  /** Segments of the tail: events and bytes of each, and how long ago the first was logged. */
  readonly tail: readonly (readonly [events: number, bytes: number])[];
  readonly agoMs: number;
  readonly manifest: string | null;
}
const manifestOf = (agoMs: number): string => JSON.stringify({ at: new Date(now - agoMs).toISOString() });

/** Partition n is of kind n % KINDS.length. */
const KINDS: readonly Kind[] = [
  { due: false, tail: [], agoMs: 0, manifest: manifestOf(HOUR) },
  { due: true, tail: [[1_000, 1_000]], agoMs: HOUR, manifest: null },
  { due: false, tail: [[999, 1_000]], agoMs: HOUR, manifest: null },
  // prettier-ignore
  { due: true, tail: [[10, 600_000], [10, 600_000]], agoMs: HOUR, manifest: manifestOf(2 * HOUR) },
  { due: false, tail: [[1_000, 2_000_000]], agoMs: 180_000, manifest: null },
  { due: true, tail: [[5, 5_000_000]], agoMs: 180_000, manifest: manifestOf(200_000) },
  { due: false, tail: [[5, 3_999_999]], agoMs: 180_000, manifest: manifestOf(200_000) },
  { due: false, tail: [[5, 5_000_000]], agoMs: 60_000, manifest: null },
  { due: true, tail: [[1, 100]], agoMs: 25 * HOUR, manifest: manifestOf(26 * HOUR) },
  // Unreadable, or of a format that this code doesn't know: as if there were no snapshot.
  { due: true, tail: [[1_000, 1_000]], agoMs: HOUR, manifest: "{broken" },
  { due: true, tail: [[1_000, 1_000]], agoMs: HOUR, manifest: '{"v":9}' },
];
const kindOf = (n: number): Kind => KINDS[n % KINDS.length]!;
const nameOf = (n: number): string => `1/many-${Math.floor(n / EACH)}/${String(n % EACH).padStart(4, "0")}`;
/** The number of a partition among those of all operators. */
const numberOf = ({ operator: name, partition }: Pick<Address, "operator" | "partition">): number =>
  Number(name.slice("many-".length)) * EACH + partition;

async function fill(db: D1Database, numbers: readonly number[]): Promise<void> {
  const rows = numbers.map((n) => [nameOf(n), kindOf(n).manifest, kindOf(n).tail.length === 0 ? 7 : 0, n + 1]);
  const segments = numbers.flatMap((n) => {
    let next = 1;
    return kindOf(n).tail.map(([events, bytes], i) => {
      const first = next;
      next += events;
      return [nameOf(n), first, next - 1, (now - kindOf(n).agoMs) * 1_024 + i, bytes];
    });
  });
  await db.batch([
    db
      .prepare(
        `INSERT INTO partitions (number, partition, line, seed, epoch, writer, code, version, attempt, snapshot_seq, snapshot_stamp, manifest, previous_seq, previous, pins)
         SELECT value ->> 3, value ->> 0, 1, 1, 1, '', '', 1, '', value ->> 2, 0, value ->> 1, 0, NULL, '[]' FROM json_each(?1)`,
      )
      .bind(JSON.stringify(rows)),
    db
      .prepare(
        `INSERT INTO segments (place, last, stamp, epoch, grp, format, operator_version, code, codec, checksum, bytes, stats, payload)
         SELECT (SELECT number << 43 | value ->> 1 FROM partitions WHERE partition = value ->> 0), value ->> 2, value ->> 3, 1, '', 1, 1, '', 'json', 0, value ->> 4, '{}', '' FROM json_each(?1)`,
      )
      .bind(JSON.stringify(segments)),
  ]);
}

const app = new App(many);
beforeAll(async () => {
  // A line for each partition would fill the screen.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  const routes = await app.routes(env);
  const addresses = many.flatMap(({ name }) => routes.byOperator.get(name)!.addresses);
  for (const [name, db] of [
    ["LOG_0", env.LOG_0],
    ["LOG_1", (env as unknown as { LOG_1: D1Database }).LOG_1],
  ] as const)
    await fill(db, addresses.filter(({ database }) => database === name).map(numberOf));
});

/** Runs the cron with objects that only tell that they were woken. */
async function woken(more: object = {}): Promise<number[]> {
  const numbers: number[] = [];
  const wake = (address: Address): Promise<void> => {
    const number = numberOf(address);
    numbers.push(number);
    return number % 2 === 0 ? Promise.resolve() : Promise.reject(new Error("the object died"));
  };
  const PARTITION = { getByName: () => ({ wake }) } as unknown as typeof env.PARTITION;
  await runCron(app, { ...env, PARTITION, ...more });
  return numbers.sort((a, b) => a - b);
}

describe("the cron", () => {
  const due = Array.from({ length: PARTITIONS }, (_, n) => n).filter((n) => kindOf(n).due);

  it("SNAP6: wakes every partition that is due, each once, wherever it begins", async () => {
    for (let run = 0; run < 5; run++) expect(await woken()).toEqual(due);
  });

  it("SNAP6: a database that fails doesn't stop the look at the others", async () => {
    const mute = { prepare: () => mute, bind: () => mute, all: () => Promise.reject(new Error("D1 is down")) };
    const found = await woken({ LOG_1: mute });
    expect(found.length).toBeGreaterThan(100);
    expect(due).toEqual(expect.arrayContaining(found));
  });
});
