/** LOG4, ONE6: a row of the log gives back what was written, or says that it is broken. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { Failure } from "../../../src/engine/base/errors.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import type { Outcome } from "../../../src/engine/log/outcome.ts";
import { readSegment, SegmentWriter } from "../../../src/engine/log/segment.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { rowOf, type Sent } from "../at-rest.ts";

const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({ tag: fc.constant("applied" as const), reply: fc.json() }),
  fc.record({ tag: fc.constant("refused" as const), code: fc.string({ unit: "binary" }), detail: fc.json() }),
  fc.record({ tag: fc.constant("quarantined" as const), error: fc.string({ unit: "binary" }) }),
);
const events: fc.Arbitrary<Sent> = fc.record(
  {
    text: fc
      .dictionary(fc.string({ unit: "binary" }), fc.jsonValue())
      .map((event) => JSON.stringify({ ...event, type: "t", id: "1", source: "/" })),
    key: fc.oneof(
      fc.string({ unit: "binary", minLength: 1 }),
      fc.nat(300).map((n) => "\u0001".repeat(n + 1)),
    ),
    ms: fc.constantFrom(1_769_860_800_000, 1_769_860_800_001),
    outcome: outcomes,
    mark: fc.tuple(fc.string({ unit: "binary", minLength: 1 }), fc.maxSafeNat(), fc.maxSafeNat(), fc.nat()),
  },
  { requiredKeys: ["text", "key", "ms"] },
);

const EVENT: Sent = { text: '{"type":"t","id":"1"}', key: "k", ms: 5 };
const read = (row: Segment) => readSegment(row, brotli);
const resigned = (row: Segment, payload: string): Segment => ({ ...row, payload, checksum: brotli.crc32(payload) });

function failureOf(row: Segment): string {
  try {
    read(row);
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return "read";
}

describe("a row", () => {
  it("gives back its events, keys, times and outcomes", () => {
    fc.assert(
      fc.property(
        fc.array(events, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 1e9 }),
        (drawn, first) => {
          const sent = drawn.toSorted((a, b) => a.ms - b.ms);
          const row = rowOf(first, sent);
          expect([row.seq, row.last]).toEqual([first, first + sent.length - 1]);
          const found = read(row);
          expect(found.events).toEqual(sent.map(({ text }) => JSON.parse(text) as unknown));
          expect(found.keys).toEqual(sent.map(({ key }) => key));
          expect(found.at.flatMap(([count, ms]) => Array<number>(count).fill(ms))).toEqual(sent.map(({ ms }) => ms));
          const expected = sent.flatMap(({ outcome }, i) => (outcome === undefined ? [] : [[i, canonical(outcome)]]));
          expect(found.marks).toEqual(
            sent.flatMap(({ mark }, i) => (mark === undefined ? [] : [[...mark, first + i]])),
          );
          expect([...found.outcomes].map(([i, outcome]) => [i, canonical(outcome)])).toEqual(expected);
        },
      ),
    );
  });

  it("holds the clients' own bytes, several events as one piece too", () => {
    const writer = new SegmentWriter(seq(7));
    const piece = '{"n" : 1.0},{"n":"\\u0041"}';
    writer.body(piece, piece.length);
    writer.event("a", 1);
    writer.event("b", 1);
    expect(writer.payload().join("")).toContain(`"events":[${piece}]`);
    expect([writer.first, writer.last, writer.count]).toEqual([7, 8, 2]);
  });

  it("IN1: never has more bytes than it was estimated at, whatever is in the keys", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 20 }), (sent) => {
        const writer = new SegmentWriter(seq(1));
        for (const { text, key, ms, outcome } of sent) {
          writer.body(text, Buffer.byteLength(text));
          writer.event(key, ms);
          if (outcome !== undefined) writer.outcome(outcome);
        }
        expect(Buffer.byteLength(writer.payload().join(""))).toBeLessThanOrEqual(writer.bytes);
      }),
    );
  });

  it("is packed where that is shorter, and says so", () => {
    const large = JSON.stringify({ type: "t", id: "1", data: "é".repeat(3_000) });
    const noise = JSON.stringify({ type: "t", id: "1", data: noiseOf(3_000) });
    const rows = [EVENT.text, large, noise].map((text) => rowOf(3, [{ ...EVENT, text }]));
    expect(rows.map(({ codec }) => codec)).toEqual(["json", "br64", "json"]);
    expect(rows[1]!.payload.length).toBeLessThan(1_000);
    expect(rows[1]!.bytes).toBeGreaterThan(3_000);
    for (const [i, text] of [EVENT.text, large, noise].entries())
      expect(read(rows[i]!).events).toEqual([JSON.parse(text)]);
    expect(failureOf({ ...rows[1]!, codec: "json" })).toBe("log_broken");
    expect(failureOf({ ...rows[0]!, codec: "br64" })).toBe("log_broken");
  });

  it("SNAP3: a changed payload is broken, whatever was changed", () => {
    const row = rowOf(3, [EVENT, { ...EVENT, outcome: { tag: "refused", code: "no", detail: "1" } }]);
    for (let at = 0; at < row.payload.length; at++) {
      const other = row.payload[at] === "0" ? "1" : "0";
      const payload = row.payload.slice(0, at) + other + row.payload.slice(at + 1);
      expect(failureOf({ ...row, payload })).toBe("log_broken");
      expect(failureOf({ ...row, payload: row.payload.slice(0, at) })).toBe("log_broken");
    }
  });

  it("LOG4: a row that says another number of events than it holds is broken", () => {
    const row = rowOf(3, [EVENT, EVENT]);
    expect(failureOf({ ...row, last: seq(5) })).toBe("log_broken");
    expect(failureOf({ ...row, last: seq(3) })).toBe("log_broken");
    expect(failureOf({ ...row, seq: seq(4) })).toBe("log_broken");
    for (const [from, to] of [
      ['"keys":["k","k"]', '"keys":["k"]'],
      ['"events":[{"type":"t","id":"1"},', '"events":['],
      ['"at":[[2,5]]', '"at":[[1,5]]'],
      ['"at":[[2,5]]', '"at":[[3,5]]'],
      ['"at":[[2,5]]', '"at":[]'],
      ['"at":[[2,5]]', '"at":null'],
      ['"out":[]', '"out":{}'],
    ] as const) {
      const payload = row.payload.replace(from, to);
      expect(payload).not.toBe(row.payload);
      expect(failureOf(resigned(row, payload)), to).toBe("log_broken");
    }
  });

  it("CODE1: a format of the future is named, not guessed", () => {
    const row = rowOf(3, [EVENT]);
    expect(failureOf({ ...row, format: 2 })).toBe("unknown_format");
    expect(failureOf({ ...row, codec: "zstd" })).toBe("unknown_format");
    expect(failureOf(resigned(row, row.payload.replace('"v":1', '"v":2')))).toBe("unknown_format");
  });
});

/** Characters that don't get shorter by packing them. */
function noiseOf(length: number): string {
  const found = fc.sample(fc.noBias(fc.string({ unit: "grapheme-ascii", minLength: length, maxLength: length })), {
    numRuns: 1,
    seed: 1,
  });
  return found[0]!;
}

/** Replies and details are JSON texts; what they say counts. */
function canonical(outcome: Outcome): unknown {
  switch (outcome.tag) {
    case "applied":
      return [outcome.tag, canonicalJson(outcome.reply)];
    case "refused":
      return [outcome.tag, outcome.code, canonicalJson(outcome.detail)];
    case "quarantined":
      return [outcome.tag, outcome.error];
  }
}

const canonicalJson = (text: string): string => JSON.stringify(JSON.parse(text));
