/** SNAP3, SNAP8: a snapshot file gives back the state to the byte, or says by name that it can't. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { Damage, Failure } from "../../../src/engine/base/errors.ts";
import { StateMachine } from "../../../src/engine/state/state-machine.ts";
import { seq, stamp } from "../../../src/engine/base/ids.ts";
import { DEDUP_IDS, SIZES } from "../../../src/engine/base/limits.ts";
import { migrationFailed } from "../../../src/engine/operator/migration.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import type { Capture } from "../../../src/engine/snapshot/capture.ts";
import { capture } from "../fakes/capture.ts";
import { put } from "../fakes/change.ts";
import { ID, outcomesOf } from "../at-rest.ts";
import { sum } from "../fakes/sum.ts";
import { encodeSnapshot, readSnapshot } from "./whole-file.ts";

const operator = sum();
const pauseless = (): Promise<void> => Promise.resolve();
const encode = (captured: Capture): Promise<Uint8Array> => encodeSnapshot(ID, captured, brotli, pauseless);

function read(file: Uint8Array, by: Operator = operator): StateMachine {
  const machine = new StateMachine(by, 1);
  readSnapshot(file, machine, ID, brotli);
  return machine;
}

function failureOf(file: Uint8Array, by: Operator = operator): string {
  try {
    read(file, by);
  } catch (error) {
    if (error instanceof Failure) return `${error.code}: ${error.message}`;
    if (error instanceof Damage) return `Damage: ${error.message}`;
    throw error;
  }
  return "read";
}

it("holds as many ids as an operator may ask for", async () => {
  const many = sum({ dedup: { maxIds: DEDUP_IDS } });
  const machine = new StateMachine(many, 1);
  const print = new Uint32Array(6);
  for (let n = 1; n <= DEDUP_IDS; n++) {
    print.set([Math.imul(n, 2_654_435_761) >>> 0, n]);
    machine.dedup.add(print, 0);
  }
  machine.dedup.committed(seq(DEDUP_IDS), 90_000);
  machine.seq = seq(DEDUP_IDS);
  machine.stamp = stamp(90_000 * 1024);
  const { dedup } = read(await encode(capture(machine)), many);
  expect([dedup.first, dedup.find(print, 0)]).toEqual([1, { tag: "duplicate", seq: DEDUP_IDS }]);
}, 300_000);

type Written = readonly [key: string, text: string];

/** A fold with these states, and `events` ids or one for each state, every third with an answer. */
function foldOf(written: readonly Written[], least: number): StateMachine {
  const events = Math.max(least, written.length);
  const machine = new StateMachine(operator, 1);
  written.forEach(([key, text], i) => put(machine.state, key, { text, seq: seq(i + 1), stamp: stamp((i + 1) * 1024) }));
  for (let i = 1; i <= events; i++) {
    machine.dedup.add([i, 2, 3, 4, 5, 6], 0);
    if (i % 3 === 0) machine.dedup.answer(seq(i), i % 2 === 0 ? `["a",${i}]` : '["r","no\\t","\\n"]');
  }
  machine.dedup.committed(seq(events), 90_000);
  machine.seq = seq(events);
  machine.stamp = stamp(90_000 * 1024 + 7);
  return machine;
}

const KEYS = [
  "__proto__",
  "constructor",
  "a//b",
  "..",
  "a b",
  "a	b",
  "a\nb",
  '"',
  '\\"',
  "\\",
  "\0",
  "\u2028",
  "﻿",
  "😀",
  "￿",
  "é",
  "é",
  "k".repeat(1024),
];
const keys = fc.oneof(fc.constantFrom(...KEYS), fc.string({ unit: "binary", minLength: 1 }));
/** As JSON.stringify writes it: that is what a state's text is. */
const texts = fc.json({ stringUnit: "binary" }).map((text) => JSON.stringify(JSON.parse(text)));
const written = fc.uniqueArray(fc.tuple(keys, texts), { selector: ([key]) => key, maxLength: 40 });

describe("a snapshot file", () => {
  it("SNAP8, IN2: gives back every key and state, whatever is in them", async () => {
    await fc.assert(
      fc.asyncProperty(written, fc.nat(20), async (states, events) => {
        const machine = foldOf(states, events);
        const captured = capture(machine);
        expect(capture(read(await encode(captured)))).toEqual(captured);
      }),
    );
  });

  it("SNAP8: holds states in many blocks, and keys in the order of their bytes", async () => {
    const states = Array.from({ length: 500 }, (_, i): Written => [
      `${KEYS[i % KEYS.length]}${i}`,
      JSON.stringify("é".repeat(SIZES.blockChars / 100)),
    ]);
    let pauses = 0;
    const captured = capture(foldOf(states, 10));
    const file = await encodeSnapshot(ID, captured, brotli, () => {
      pauses += 1;
      return Promise.resolve();
    });
    expect(pauses).toBeGreaterThan(3);
    expect(capture(read(file))).toEqual(captured);
    const order = captured.entries.map(([key]) => Buffer.from(key));
    expect(order).toEqual([...order].sort((a, b) => Buffer.compare(a, b)));
  });

  it("SNAP1: holds what was captured, though events go on while it is written", async () => {
    const machine = foldOf([["a", "1"]], 5);
    const captured = capture(machine);
    const before = structuredClone(captured);
    const writing = encodeSnapshot(ID, captured, brotli, pauseless);
    put(machine.state, "a", { text: "2", seq: seq(6), stamp: stamp(6) });
    put(machine.state, "b", { text: "3", seq: seq(7), stamp: stamp(7) });
    for (let i = 6; i < 2_000; i++) machine.dedup.add([i, 2, 3, 4, 5, 6], 0);
    machine.dedup.answer(seq(7), '["q","boom"]');
    expect(capture(read(await writing))).toEqual(before);
  });

  it("ONE3: gives back repeats, answers and quarantine", async () => {
    const machine = foldOf([["a", "1"]], 6);
    const made = { operatorVersion: 1, code: "c" };
    const entry = { seq: seq(4), type: "t", key: "k\t\n", error: "b\noom", ...made, now: 5, event: '{"type":"t"}' };
    const thrown = { ...entry, seq: seq(5), errorName: "E", stack: "at a\nat b", by: seq(6) };
    const settled = { seq: seq(2), how: "erased" as const, by: seq(3) };
    for (const one of [thrown, settled, entry]) machine.quarantine.restore(one);
    const back = read(await encode(capture(machine)));
    expect(back.dedup.find([3, 2, 3, 4, 5, 6], 0)).toEqual({ tag: "duplicate", seq: 3 });
    expect(back.dedup.find([3, 2, 3, 4, 5, 7], 0)).toEqual({ tag: "reused", seq: 3 });
    expect(back.dedup.find([7, 2, 3, 4, 5, 6], 0)).toEqual({ tag: "new" });
    expect(back.dedup.outcome(seq(3))).toBe('["r","no\\t","\\n"]');
    expect(back.quarantine.list()).toEqual([settled, entry, thrown]);
  });

  it("an empty partition has a file too", async () => {
    const captured = capture(new StateMachine(operator, 1));
    expect(capture(read(await encode(captured)))).toEqual(captured);
  });
});

describe("damage", () => {
  it("SNAP3: every flipped bit and every cut is found, and named", async () => {
    const machine = foldOf(
      [
        ["a", '{"n":1}'],
        ["b", '{"n":2}'],
      ],
      4,
    );
    const entry = {
      seq: seq(2),
      type: "t",
      key: "a",
      error: "boom",
      operatorVersion: 1,
      code: "c",
      now: 5,
      event: "{}",
    };
    machine.quarantine.restore(entry);
    const file = await encode(capture(machine));
    // None is "same": there is no byte that doesn't count.
    const names = outcomesOf(file, read, () => false);
    expect([...names].sort()).toEqual(["Damage", "unknown_format"]);
  });

  it("SNAP3: what is no snapshot at all is damage", () => {
    for (const file of [new Uint8Array(0), new Uint8Array(28), new Uint8Array(1_000).fill(75)])
      expect(failureOf(file)).toMatch(/^Damage/);
  });

  it("SNAP3: rubbish of any kind is damage, also between two right ends", async () => {
    const file = await encode(capture(foldOf([["a", "1"]], 2)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (middle) => {
        const ends = Buffer.concat([file.subarray(0, 12), middle, file.subarray(-8)]);
        expect(failureOf(new Uint8Array(middle))).toMatch(/^Damage/);
        expect(failureOf(new Uint8Array(ends))).toMatch(/^Damage/);
      }),
    );
  });

  it("SNAP3: the file of another partition is damage", async () => {
    const file = await encodeSnapshot({ ...ID, partition: 4 }, capture(foldOf([], 0)), brotli, pauseless);
    expect(failureOf(file)).toContain("Damage: the snapshot is of partition 1/notes/0004");
  });

  it("SNAP3: counts that don't fit what is there are damage", async () => {
    const captured = capture(foldOf([["a", "1"]], 3));
    const twice = await encode({ ...captured, entries: [...captured.entries, ...captured.entries] });
    expect(failureOf(twice)).toMatch(/^Damage: the keys of the snapshot are not in order/);
    for (const length of [2, 4]) {
      const prints = { ...captured.dedup, prints: new Uint32Array(length * 6) };
      const why = new RegExp(`^Damage: the snapshot counts 3 prints, but holds ${length}`);
      expect(failureOf(await encode({ ...captured, dedup: prints }))).toMatch(why);
    }
  });

  it("CODE1: the format, codec and hash of the future are named", async () => {
    const file = await encode(capture(foldOf([["a", "1"]], 3)));
    expect(failureOf(file.with(8, 4))).toMatch(/^unknown_format: the snapshot has format 4; this code reads 1/);
    const zstd = await encodeSnapshot(ID, capture(foldOf([], 0)), { ...brotli, name: "zstd" }, pauseless);
    expect(failureOf(zstd)).toMatch(/^unknown_format: .*codec "zstd"/);
  });
});

describe("versions of the state", () => {
  const migrating = sum({
    version: 4,
    migrate: {
      2: (old) => ({ ...old, two: true }),
      3: (old) => ({ total: old["total"], before: Object.keys(old).sort() }),
      4: (old) => ({ ...old, four: [old["total"]] }),
    },
  });
  const stored = async (version: number, text: string): Promise<Uint8Array> =>
    encode({ ...capture(foldOf([["a", text]], 1)), operatorVersion: version });

  it("are migrated step by step, from whichever version was stored", async () => {
    const state = (machine: StateMachine): unknown => JSON.parse(machine.state.find("a")!.text);
    expect(state(read(await stored(1, '{"total":1}'), migrating))).toEqual({
      total: 1,
      before: ["total", "two"],
      four: [1],
    });
    expect(state(read(await stored(3, '{"total":1}'), migrating))).toEqual({ total: 1, four: [1] });
    expect(state(read(await stored(4, '{"total":1}'), migrating))).toEqual({ total: 1 });
  });

  it("CODE3: a newer one than the code's is refused by name", async () => {
    expect(failureOf(await stored(5, "{}"), migrating)).toMatch(/^state_newer: .*deploy version 5 or newer/);
  });

  it.each([
    ["gives no JSON", () => ({ at: new Date(0) }), "at .at: an object of class Date is not JSON"],
    ["gives nothing", () => undefined, "a value of type undefined is not JSON"],
    [
      "throws",
      () => {
        throw new TypeError("no such member");
      },
      "no such member",
    ],
  ])("a migration that %s leaves the key's state as it is, with its version, and is named", async (_, step, why) => {
    const operator = sum({ version: 2, migrate: { 2: step } });
    const entry = read(await stored(1, "{}"), operator).state.find("a")!;
    expect(entry).toMatchObject({ text: "{}", version: 1 });
    const message = migrationFailed(operator, "a", 1, "{}");
    expect(message).toMatch(/^the state of key "a" is of version 1, and migrating it to version 2 fails/);
    expect(message).toContain(why);
    expect(message).toContain("fix the migration");
  });
});

describe("an image of what decides about repeats", () => {
  it("ONE3: survives with a horizon that has moved on", async () => {
    const forgetful = sum({ dedup: { keep: "1m", maxIds: 5 }, replies: { keep: "1m" } });
    const machine = new StateMachine(forgetful, 1);
    for (let i = 1; i <= 3_000; i++) {
      machine.dedup.add([i, 2, 3, 4, 5, 6], 0);
      machine.dedup.committed(seq(i), i * 1_000);
    }
    machine.seq = seq(3_000);
    const captured = capture(machine);
    expect(captured.dedup).toMatchObject({ first: 2_996, last: 3_000 });
    expect(capture(read(await encode(captured), forgetful)).dedup).toEqual(captured.dedup);
  });
});
