/** IN1: whatever is sent, an event is read or refused by name, and lines and elements are cut in one way only. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addContent } from "../../../src/engine/event/fingerprint.ts";
import { fill, readEvent, type Defaults, type ReadEvent } from "../../../src/engine/event/event.ts";
import { Content } from "../../../src/engine/event/fingerprint.ts";
import { exceeds } from "../../../src/engine/base/json.ts";
import { EVENT_BYTES, EVENT_DEPTH, NAME_BYTES } from "../../../src/engine/base/limits.ts";
import { timeMs } from "../../../src/engine/event/rfc3339.ts";
import { arrayElements, LineReader, NO_UTF8, TOO_LONG, type Line } from "../../../src/worker/http/body.ts";
import { changedText, changes, PATIENCE_MS, runs } from "../hostile.ts";

const defaults: Defaults = { time: "2026-01-31T12:00:00.000Z", id: (index) => `made/${index}` };
const VALID = [
  { type: "t" },
  { id: "1", type: "t", key: "k", data: { n: 1, list: [1, { deep: null }] } },
  {
    specversion: "1.0",
    id: "é😀",
    source: "/s",
    type: "t",
    time: "2024-03-01T00:59:60.5+01:00",
    subject: "s",
    data: null,
  },
  { type: "t", partitionkey: "k", key: "k", datacontenttype: "text/plain", dataschema: "x:y", ext: 7, other: true },
  { type: "t", data_base64: "AAAA", id: null, subject: null },
];
const valid = fc.constantFrom(...VALID);
const changed = fc.tuple(valid, changes).map(([event, made]) => changedText(event, made));
/** JSON with a character put in, taken out or doubled. */
const torn = fc
  .tuple(
    fc.oneof(changed, fc.json()),
    fc.nat(),
    fc.constantFrom("", "{", "}", '"', "\\", ",", "\0", "\ud800", "1e999", "\u2028"),
  )
  .map(([text, at, put]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + put + text.slice(place + (at % 3));
  });
const texts = fc.oneof(changed, torn, fc.json({ stringUnit: "binary" }), fc.string({ unit: "binary" }));

describe("the event reader", () => {
  it(
    "IN1: gives an event that is sound, or a rejection; never an exception",
    () => {
      fc.assert(
        fc.property(texts, fc.nat(100_000), (text, index) => {
          expectSound(readEvent(text, index, defaults), text);
        }),
        runs(6_000),
      );
    },
    PATIENCE_MS,
  );

  it("reads all that are valid, and refuses what is too large or too deep", () => {
    for (const event of VALID) expect(readEvent(JSON.stringify(event), 0, defaults).tag).toBe("event");
    const codeOf = (text: string): string => {
      const read = readEvent(text, 0, defaults);
      return read.tag === "event" ? "event" : read.code;
    };
    expect(codeOf("[".repeat(EVENT_BYTES))).toBe("malformed_json");
    expect(codeOf(`{"type":"t","data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`)).toBe("too_deep");
    expect(codeOf(`{"type":"t","data":"${"x".repeat(EVENT_BYTES)}"}`)).toBe("event_too_large");
    expect(codeOf(`{"type":"t","data":${"1".repeat(200_000)}}`)).toBe("unsafe_integer");
    expect(codeOf(`{"type":"t","data":["${"\\\\".repeat(100_000)}",9007199254740993]}`)).toBe("unsafe_integer");
  });
});

it("E1: an event whose unset attributes are taken out says what is kept of it", () => {
  const read = readEvent('{"id":"1","type":"t","subject":null,"data":[-0,1.0]}', 0, defaults);
  expect(read).toMatchObject({ tag: "event", text: '{"id":"1","type":"t","data":[0,1]}', event: { data: [0, 1] } });
});

function expectSound(read: ReadEvent, text: string): void {
  if (read.tag === "rejected") {
    expect(read.code, text).toMatch(/^[a-z_]+$/);
    expect(read.message, text).not.toBe("");
    return;
  }
  const { event } = read;
  for (const name of ["id", "type", "source", "time"] as const) {
    const value = event[name];
    const sound = typeof value === "string" && value !== "" && value.isWellFormed() && !exceeds(value, NAME_BYTES);
    expect(sound, `${name} of ${text}`).toBe(true);
  }
  expect(timeMs(event.time), text).toBe(Date.parse(event.time.replace(/:60/, ":59")));
  expectSafe(event.data, 1, text);
  // A kept event says the same when it is read again: at replay, and by whoever reads the log.
  const again = readEvent(read.text, 0, { ...defaults, id: () => "another" });
  expect(again, text).toEqual({ ...read, event: { ...event, key: undefined } });
  expect(fill(JSON.parse(read.text) as Record<string, unknown>, defaults.time), text).toEqual(event);
  addContent(new Content(), event, "k", 1, read.timed);
}

function expectSafe(value: unknown, depth: number, text: string): void {
  if (depth > EVENT_DEPTH) expect.fail(`too deep: ${text.slice(0, 200)}`);
  if (typeof value === "number") expect(Number.isFinite(value), text).toBe(true);
  if (typeof value !== "object" || value === null) return;
  for (const member of Object.values(value)) expectSafe(member, depth + 1, text);
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const LONG = [EVENT_BYTES - 1, EVENT_BYTES, EVENT_BYTES + 1, EVENT_BYTES * 2];
const longLine = fc.tuple(fc.constantFrom(...LONG), fc.constantFrom("x", " ", "\u3000", "{")).map(([size, unit]) => {
  const one = bytes(unit);
  return Uint8Array.from({ length: size - (size % one.length) }, (_, i) => one[i % one.length]!);
});
const piece = fc.oneof(
  { weight: 8, arbitrary: fc.json().map(bytes) },
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  {
    weight: 8,
    arbitrary: fc.constantFrom("\n", "\r\n", "\n\n", " ", "\t", "\ufeff", "{", "é€😀", "\u3000").map(bytes),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom([0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf5], [0xef, 0xbb])
      .map((b) => Uint8Array.from(b)),
  },
);
const body = fc.array(piece, { maxLength: 30 }).map(joined);
const longBody = fc
  .tuple(fc.array(piece, { maxLength: 6 }), longLine, fc.array(piece, { maxLength: 6 }))
  .map(([before, line, after]) => joined([...before, line, ...after]));
/** Chunk sizes, over and over; as a stream may cut. */
const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const longCuts = fc.array(fc.oneof(fc.integer({ min: 1_000, max: 70_000 }), fc.constant(1e9)), {
  minLength: 1,
  maxLength: 4,
});

describe("the line reader", () => {
  it(
    "IN1: gives the lines of the bytes, however they are cut",
    () => {
      fc.assert(
        fc.property(body, cuts, (given, sizes) => {
          for (const cut of [sizes, [given.length + 1]])
            if (isUtf16(given)) expect(() => read(given, cut)).toThrow("the body is UTF-16");
            else expect(read(given, cut)).toEqual(linesOf(given));
        }),
        runs(3_000),
      );
    },
    PATIENCE_MS,
  );

  it(
    "IN1: lines that are too long for an event are one flawed line each, however they are cut",
    () => {
      fc.assert(
        fc.property(longBody, longCuts, (given, sizes) => {
          fc.pre(!isUtf16(given));
          expect(read(given, sizes).map(shortened)).toEqual(linesOf(given).map(shortened));
        }),
        { numRuns: Math.max(60, runs(0).numRuns / 100) },
      );
    },
    PATIENCE_MS,
  );

  it.each([
    ["blank", " ".repeat(EVENT_BYTES + 1), TOO_LONG],
    [
      "as long as an event may be, behind a byte order mark",
      `\ufeff${"x".repeat(EVENT_BYTES)}`,
      "x".repeat(EVENT_BYTES),
    ],
  ] as const)("IN1: a line that is %s has its index in one chunk and in many", (_, line, expected) => {
    const given = bytes(`${line}\n{"a":1}`);
    for (const size of [given.length, EVENT_BYTES + 3, 70_000, 60_001])
      expect(read(given, [size])).toEqual([expected, '{"a":1}']);
  });

  it("IN1: a byte order mark counts at the very beginning only", () => {
    const given = bytes(`${"x".repeat(EVENT_BYTES * 2)}\n\ufeff{"a":1}`);
    expect(read(given, [70_000])).toEqual([TOO_LONG, '\ufeff{"a":1}']);
  });

  it("IN1: a line without end takes no more memory than an event may have, in small pieces too", () => {
    const chunk = bytes("x".repeat(64 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    const reader = new LineReader();
    let reported = 0;
    for (let i = 0; i < 2_000; i++) {
      expect(reader.push(chunk)).toEqual([]);
      if (reader.overlong()) reported += 1;
    }
    expect(reported).toBe(1);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16_000_000);
    expect(reader.push(bytes('\n{"a":1}\n'))).toEqual(['{"a":1}']);
    for (const unit of "x".repeat(5_000)) expect(reader.push(bytes(unit))).toEqual([]);
    expect(reader.push(bytes("\n"))).toEqual(["x".repeat(5_000)]);
  });
});

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function read(given: Uint8Array, sizes: readonly number[]): Line[] {
  const reader = new LineReader();
  const lines: Line[] = [];
  for (let at = 0, i = 0; at < given.length; i++) {
    const chunk = given.slice(at, at + sizes[i % sizes.length]!);
    lines.push(...reader.push(chunk));
    at += chunk.length;
    // A stream may reuse its buffer.
    chunk.fill(0);
    if (reader.overlong()) lines.push(TOO_LONG);
  }
  return [...lines, ...reader.end()];
}

/** The same, in plain code over the whole. */
function linesOf(given: Uint8Array): Line[] {
  const from = given[0] === 0xef && given[1] === 0xbb && given[2] === 0xbf ? 3 : 0;
  const text = Buffer.from(given.subarray(from));
  const lines: Line[] = [];
  for (let at = 0; at < text.length;) {
    const found = text.indexOf(10, at);
    const end = found < 0 ? text.length : found;
    const line = text.subarray(at, end);
    const said = line.toString("utf8");
    if (!Buffer.from(said).equals(line)) lines.push(NO_UTF8);
    else if (said.trim() !== "") lines.push(said);
    else if (line.length > EVENT_BYTES) lines.push(TOO_LONG);
    at = end + 1;
  }
  return lines;
}

/** A body whose first two bytes say so is refused as a whole. */
const isUtf16 = ([first, second]: Uint8Array): boolean =>
  (first === 0xff && second === 0xfe) ||
  (first === 0xfe && second === 0xff) ||
  (first === 0 && (second === 0x7b || second === 0x5b)) ||
  (second === 0 && (first === 0x7b || first === 0x5b));

/** A line that is too long is refused as such, or as what else is wrong with it: the index is what counts. */
function shortened(line: Line): string {
  if (typeof line !== "string") return "refused";
  return exceeds(line, EVENT_BYTES) ? "refused" : line;
}

describe("array elements", () => {
  const space = fc.constantFrom("", " ", "\n", "\t\r");
  const spaced = fc
    .tuple(fc.array(fc.json({ stringUnit: "binary" })), space)
    .map(
      ([values, between]) =>
        [`${between}[${between}${values.join(`${between},${between}`)}${between}]${between}`, values] as const,
    );

  it(
    "IN1: are the texts of what JSON.parse sees",
    () => {
      fc.assert(
        fc.property(spaced, ([text, values]) => {
          expect(arrayElements(text)).toEqual(values);
        }),
        runs(1_500),
      );
    },
    PATIENCE_MS,
  );

  it(
    "IN1: of any text are none, or as many as JSON.parse sees, or have one among them that it refuses",
    () => {
      fc.assert(
        fc.property(
          fc.oneof(
            spaced.map(([text]) => text),
            torn,
            torn.map((text) => `[${text}]`),
          ),
          (text) => {
            const elements = arrayElements(text);
            const whole = parsed(text);
            if (Array.isArray(whole)) expectElements(elements, whole);
            else if (elements !== null)
              expect(elements.every((one) => parsed(one) !== FLAWED) && elements.length > 0, text).toBe(false);
          },
        ),
        runs(3_000),
      );
    },
    PATIENCE_MS,
  );
});

function expectElements(elements: readonly string[] | null, whole: readonly unknown[]): void {
  expect(elements?.length).toBe(whole.length);
  // A comparison goes down as deep as the values, and some are too deep for that.
  if ((elements?.join("").length ?? 0) < DEEP) expect(elements?.map(parsed)).toEqual(whole);
}

const DEEP = 10_000;
const FLAWED = Symbol("no JSON");
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return FLAWED;
  }
}
