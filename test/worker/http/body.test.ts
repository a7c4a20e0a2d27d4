/** Cutting bodies into events, however they arrive (IN1). */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrayElements, LineReader, NO_UTF8, TOO_LONG, type Line } from "../../../src/worker/http/body.ts";
import { EVENT_BYTES } from "../../../src/engine/base/limits.ts";

const encoder = new TextEncoder();

/** The lines that a reader gives for a text that arrives in pieces of these sizes. */
function read(bytes: Uint8Array, sizes: readonly number[]): Line[] {
  const reader = new LineReader();
  const lines: Line[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % Math.max(1, sizes.length)] ?? 1);
    const chunk = bytes.slice(at, at + size);
    lines.push(...reader.push(chunk));
    // A stream may reuse its buffer.
    chunk.fill(0);
    if (reader.overlong()) lines.push(TOO_LONG);
    at += size;
  }
  return [...lines, ...reader.end()];
}

describe("lines", () => {
  const line = fc.oneof(
    fc.json(),
    fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", " ")),
    fc.constantFrom("", "  ", "\r", "é€😀"),
  );

  it("are the same however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(line),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.boolean(),
        (lines, sizes, ended) => {
          const text = lines.join("\n") + (ended ? "\n" : "");
          const expected = text
            .replace(/^\ufeff/, "")
            .split("\n")
            .filter((one) => one.trim() !== "");
          expect(read(encoder.encode(text), sizes)).toEqual(expected);
        },
      ),
    );
  });

  it("in broken UTF-8 are told apart from their neighbours", () => {
    const bytes = Uint8Array.from([...encoder.encode('{"a":1}\n'), 0xc3, 0x28, 10, ...encoder.encode('{"b":2}')]);
    for (const size of [1, 3, 100]) expect(read(bytes, [size])).toEqual(['{"a":1}', NO_UTF8, '{"b":2}']);
  });

  it("that are too long are dropped once, and the next one is read", () => {
    const text = `{"a":1}\n${"x".repeat(EVENT_BYTES * 3)}\n{"b":2}\n`;
    expect(read(encoder.encode(text), [60_000])).toEqual(['{"a":1}', TOO_LONG, '{"b":2}']);
  });

  it("that nobody ends are dropped too", () => {
    expect(read(encoder.encode(`{"a":1}\n${"x".repeat(EVENT_BYTES * 2)}`), [60_000])).toEqual(['{"a":1}', TOO_LONG]);
  });
});

describe("array elements", () => {
  it("are those that JSON.parse gives, each by itself", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 2), (values, indent) => {
        const elements = arrayElements(JSON.stringify(values, null, indent));
        expect(elements?.map((one) => JSON.parse(one) as unknown)).toEqual(JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it("LOG6: end with the first one too many", () => {
    expect(arrayElements("[1,2,3,4,5]", 3)).toEqual(["1", "2", "3", "4"]);
    expect(arrayElements("[1,2,3]", 3)).toEqual(["1", "2", "3"]);
    expect(arrayElements("[1,2,3,4", 2)).toBeNull();
  });

  it("of any text: null, or texts that JSON.parse may refuse; never an exception", () => {
    const pieces = fc.array(fc.constantFrom("[", "]", "{", "}", '"', ",", ":", "1", "\\", " ", "null"));
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = `[${parts.join("")}]`;
        const elements = arrayElements(text);
        let whole: unknown;
        try {
          whole = JSON.parse(text);
        } catch {
          // Then a part must be refused as well: nothing malformed may pass as events.
          const sound = elements?.every((one) => parses(one)) ?? false;
          expect(sound && elements!.length > 0, text).toBe(false);
          return;
        }
        expect(
          elements?.map((one) => JSON.parse(one) as unknown),
          text,
        ).toEqual(whole);
      }),
      { numRuns: 2_000 },
    );
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
