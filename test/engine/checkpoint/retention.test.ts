/** SNAP10, TIME3, LOG5: what retention keeps, as a table. */
import { describe, expect, it } from "vitest";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import type { Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { Point } from "../../../src/engine/base/records.ts";
import { GRACE_MS, keptVersions, plan, spansOf } from "../../../src/engine/checkpoint/retention.ts";
import type { RetentionPolicy } from "../../../src/engine/operator/settings.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const policy = (more: Partial<RetentionPolicy> = {}): RetentionPolicy => ({
  ageMs: 7 * DAY,
  last: 0,
  hourly: 0,
  daily: 0,
  ...more,
});
/** Versions 1, 2, 3, … at these times in hours. */
const kept = (hours: readonly number[], now: number, more: Partial<RetentionPolicy>): number[] =>
  [
    ...keptVersions(
      hours.map((at, i) => ({ version: i + 1, ms: at * HOUR })),
      now * HOUR,
      policy(more),
    ),
  ].sort((a, b) => a - b);
const every = (hours: number, from: number, to: number): number[] =>
  Array.from({ length: Math.floor((to - from) / hours) + 1 }, (_, i) => from + i * hours);

describe("the snapshots that a policy keeps", () => {
  it.each<[string, readonly number[], number, Partial<RetentionPolicy>, readonly number[]]>([
    ["none of none", [], 100, { last: 3, hourly: 3, daily: 3 }, []],
    ["the newest", [1], 1, {}, [1]],
    ["the newest of this period only", [1, 2, 3], 3, {}, [3]],
    ["one that is old enough to begin from, and the newest", [0, 1, 168, 300], 336, {}, [3, 4]],
    ["the base, however old", [5], 100_000, {}, [1]],
    ["no two bases", [1, 2, 1_000], 10_000, {}, [3]],
    ["the newest of the period before: it is the next base", [100, 160, 200, 210], 211, {}, [2, 4]],
    ["just old enough", [10, 178], 178, {}, [1, 2]],
    ["the last three", every(1, 0, 9), 9, { last: 3 }, [8, 9, 10]],
    ["the last three of two", [1, 2], 2, { last: 3 }, [1, 2]],
    ["the newest of each hour", [10, 10.5, 10.9, 11, 11.2, 12.1], 12.5, { hourly: 2 }, [5, 6]],
    ["hours without any count as hours", [10, 14.1], 14.5, { hourly: 3 }, [2]],
    ["the newest of each day", every(8, 0, 100), 100, { daily: 3 }, [9, 12, 13]],
    ["one that several rules keep", [1, 2], 2, { last: 1, hourly: 1, daily: 1 }, [2]],
    ["a base of a short age, beside what counts keep", every(1, 0, 10), 10, { ageMs: 2 * HOUR, last: 2 }, [9, 10, 11]],
  ])("%s", (_, hours, now, more, versions) => expect(kept(hours, now, more)).toEqual(versions));

  it("TIME3: once there is a base, what was kept before always holds one for the whole age", () => {
    for (const step of [0.5, 3, 7, 20, 30, 90]) {
      let there: { version: number; ms: number }[] = [];
      let based = false;
      for (let now = step, version = 1; now < 400; now += step, version++) {
        there.push({ version, ms: now * HOUR });
        const keep = keptVersions(there, now * HOUR, policy({ ageMs: 24 * HOUR }));
        there = there.filter((one) => keep.has(one.version));
        // Until then it is the whole log that a read begins from.
        based ||= there[0]!.ms <= (now - 24) * HOUR;
        if (based) expect(there[0]!.ms, `${step} ${now}`).toBeLessThanOrEqual((now - 24) * HOUR);
        // Two periods of that length, and what no snapshot was taken in.
        expect(now * HOUR - there[0]!.ms, `${step} ${now}`).toBeLessThanOrEqual((48 + 2 * step) * HOUR);
        expect(there.length).toBeLessThanOrEqual(3);
      }
      expect(based).toBe(true);
    }
  });
});

describe("what may be given up", () => {
  const at = (hours: number): Stamp => stamp(hours * HOUR * 1_024);
  const point = (version: number, hours: number, more: Partial<Point> = {}): Point => ({
    version,
    attempt: `a${version}`,
    seq: seq(version),
    stamp: at(hours),
    files: [`f${version}`],
    intact: true,
    replacedMs: hours * HOUR,
    ...more,
  });
  const manifest = (number: number, hours: number, more: Partial<Manifest> = {}): Manifest =>
    ({ number, stamp: at(hours), attempt: `a${number}`, kind: "full", ...more }) as Manifest;
  const facts = {
    points: [point(1, 1), point(2, 2), point(3, 30), point(4, 40)],
    current: manifest(5, 60, { history: [[4, "a4"]] }),
    previous: manifest(4, 40),
    older: [],
    savepoints: [],
  };
  const day = policy({ ageMs: 24 * HOUR });
  const now = 100 * HOUR;

  type Facts = Parameters<typeof plan>[0];
  it.each<[string, Partial<Facts>, Partial<ReturnType<typeof plan>>]>([
    [
      "what the policy doesn't keep, and archives below the base",
      {},
      { drop: [1, 2], archiveFrom: 3, retainFrom: at(30) },
    ],
    [
      "SNAP4: no archive from the older generation on",
      { previous: manifest(2, 2) },
      { drop: [1], archiveFrom: 2, retainFrom: at(30) },
    ],
    [
      "SNAP4: none that the newer one's own fall-backs read",
      {
        current: manifest(5, 60, {
          kind: "delta",
          chain: [{}, {}] as never,
          history: [
            [4, "a"],
            [2, "b"],
            [1, "c"],
          ],
        }),
      },
      { drop: [1, 2], archiveFrom: 2 },
    ],
    ["nothing without an older generation", { previous: null }, { drop: [1, 2], archiveFrom: 0 }],
    ["CODE3: nothing that a rollback replays", { older: [manifest(1, 1)] }, { drop: [2], archiveFrom: 1 }],
    [
      "RETENTION6: what a savepoint needs, on both sides of it",
      {
        points: [point(1, 1), point(2, 2), point(3, 3), point(4, 4), point(5, 30), point(6, 40)],
        current: manifest(7, 60, { history: [[6, "a6"]] }),
        previous: manifest(6, 40),
        savepoints: [stamp(at(3) + 1)],
      },
      { drop: [1], archiveFrom: 5, retainFrom: at(30) },
    ],
    [
      "RETENTION6: where no snapshot is before the savepoint, the first one after it",
      { savepoints: [stamp(5)] },
      { drop: [2], archiveFrom: 3 },
    ],
    [
      "no archive as long as no snapshot is a base",
      { points: [point(4, 40)] },
      { drop: [], archiveFrom: 0, retainFrom: at(0) },
    ],
    [
      "one that isn't known to be whole is no base",
      { points: [point(1, 1), point(3, 30, { intact: false }), point(4, 40)] },
      { drop: [3], archiveFrom: 1, retainFrom: at(1) },
    ],
  ])("%s", (_, more, expected) => expect(plan({ ...facts, ...more }, now, day)).toMatchObject(expected));

  it("nothing within the grace, which is longer than any request", () => {
    const one = { ...facts, points: [point(1, 1, { replacedMs: now }), point(3, 30), point(4, 40)] };
    expect(plan(one, now + GRACE_MS - 1, day).drop).toEqual([]);
    expect(plan(one, now + GRACE_MS, day).drop).toEqual([1]);
    expect(plan(one, now - HOUR, day).drop, "a clock that went back").toEqual([]);
  });
});

describe("the log beside a savepoint", () => {
  const sound = [1, 2, 3, 4].map((version) => ({ version, stamp: stamp(version * 10) }));
  it.each([
    [5, { from: 0, base: 0, to: 1 }],
    [10, { from: 0, base: 1, to: 2 }],
    [25, { from: 1, base: 2, to: 3 }],
    [40, { from: 3, base: 4, to: Number.POSITIVE_INFINITY }],
  ])("at %i", (at, span) => {
    expect(spansOf([stamp(at)], sound)).toEqual([span]);
  });
});
