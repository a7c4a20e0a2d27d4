/** IN1 at the door: any text is an event or has a named flaw, and what is kept is what the client sent. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { print } from "../../../src/engine/event/fingerprint.ts";
import { addContent } from "../../../src/engine/event/fingerprint.ts";
import { fill, readEvent, type Defaults, type ReadEvent } from "../../../src/engine/event/event.ts";
import { Content, Prints } from "../../../src/engine/event/fingerprint.ts";
import { EVENT_BYTES, EVENT_DEPTH, NAME_BYTES } from "../../../src/engine/base/limits.ts";
import type { Event } from "../../../src/engine/event/event.ts";
import { isTime, timeMs } from "../../../src/engine/event/rfc3339.ts";

const NOW = "2026-01-31T12:00:00.000Z";
const defaults: Defaults = { time: NOW, id: (index) => `made"up/${index}` };
const read = (text: string): ReadEvent => readEvent(text, 7, defaults);
const readAs = (members: Record<string, unknown>): ReadEvent =>
  read(JSON.stringify({ type: "t", id: "i", ...members }));

function codeOf(result: ReadEvent): string {
  return result.tag === "rejected" ? result.code : "event";
}

function accepted(result: ReadEvent): Extract<ReadEvent, { tag: "event" }> {
  if (result.tag === "rejected") throw new Error(`${result.code}: ${result.message}`);
  return result;
}

/** An array that makes the whole event `depth` deep. */
const nested = (depth: number): string => "[".repeat(depth - 1) + "]".repeat(depth - 1);
const withData = (data: string): string => `{"type":"t","id":"i","data":${data}}`;

describe("times", () => {
  it.each([
    "2026-01-31T12:00:00Z",
    "2026-01-31t12:00:00z",
    "2026-01-31 12:00:00.123456789Z",
    "2024-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "2026-12-31T23:59:60Z",
    "2016-12-31T15:59:60.5-08:00",
    "2017-01-01T05:29:60+05:30",
    "2024-02-29T23:59:60Z",
    "0000-01-01T00:01:00+00:01",
    "9999-12-31T23:58:59-00:01",
    "9999-12-31T23:59:60Z",
    "2026-01-31T12:00:00+00:00",
    "2026-01-31T12:00:00-00:00",
    "2026-01-31T12:00:00+23:59",
    "2026-01-31T12:00:00.5-09:30",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
  ])("%s is one", (text) => {
    expect(isTime(text)).toBe(true);
    expect(codeOf(readAs({ time: text }))).toBe("event");
  });

  it.each([
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-13-10T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T12:60:00Z",
    "2026-01-31T12:00:61Z",
    // A second 60 that no leap second can be: not midnight, not the end of a month, in UTC.
    "2026-01-31T12:00:60Z",
    "2026-01-31T23:58:60Z",
    "2026-01-30T23:59:60Z",
    "2026-12-31T23:59:60+01:00",
    // Out of the years that have four digits.
    "0000-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "9999-12-31T23:59:59.9-23:59",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00Z",
    "2026-01-31",
    "2026-1-31T12:00:00Z",
    "2026-01-31T12:00:00.Z",
    "2026-01-31T12:00:00+24:00",
    "2026-01-31T12:00:00+01:60",
    "2026-01-31T12:00:00+0100",
    "2026-01-31T12:00:00Z\n",
    " 2026-01-31T12:00:00Z",
    "+02026-01-31T12:00:00Z",
    "٢٠٢٦-01-31T12:00:00Z",
    "yesterday",
  ])("%s is none", (text) => {
    expect(isTime(text)).toBe(false);
    expect(timeMs(text)).toBeNaN();
    expect(readAs({ time: text })).toMatchObject({ code: "invalid_time", attribute: "time" });
  });

  it("says what is wrong with one", () => {
    const said = (time: unknown) => (readAs({ time }) as { message?: string }).message;
    expect(said("2026-01-31T12:00:60Z")).toBe(
      '"time" must be an RFC 3339 time; "2026-01-31T12:00:60Z" has second 60, which can only be the last one of a month in UTC (a leap second)',
    );
    expect(said("9999-12-31T23:59:59-01:00")).toMatch(/outside of the years 0000 to 9999 in UTC$/);
    expect(said("2026-02-30T00:00:00Z")).toMatch(/names a day that its month doesn't have$/);
    expect(said("2026-01-31")).toMatch(/is not written as 2026-01-31T12:00:00Z or/);
    expect(said(5)).toBe('"time" must be a string that isn\'t empty, not a number');
    expect(codeOf(readAs({ time: 5 }))).toBe("invalid_time");
  });

  it.each([
    ["2026-01-31T12:00:00Z", Date.UTC(2026, 0, 31, 12)],
    ["2026-01-31 12:00:00.1239z", Date.UTC(2026, 0, 31, 12) + 123],
    ["2026-01-31T12:00:00.05+01:30", Date.UTC(2026, 0, 31, 10, 30) + 50],
    ["1969-12-31T23:59:59.999Z", -1],
    ["2016-12-31T23:59:60.5Z", Date.UTC(2016, 11, 31, 23, 59, 59) + 500],
    ["2016-12-31T15:59:60-08:00", Date.UTC(2016, 11, 31, 23, 59, 59)],
  ])("timeMs: %s is %d", (text, ms) => {
    expect(timeMs(text)).toBe(ms);
  });

  it("timeMs: agrees with Date wherever that can read one, and always gives what a Date can hold", () => {
    const part = (max: number, width = 2) => fc.integer({ min: 0, max }).map((n) => String(n).padStart(width, "0"));
    const zone = fc.oneof(
      fc.constantFrom("Z", "z", "-00:00"),
      fc.tuple(fc.constantFrom("+", "-"), part(23), part(59)).map(([sign, h, m]) => `${sign}${h}:${m}`),
    );
    const fraction = fc.oneof(fc.constant(""), fc.tuple(part(999, 3), part(9_999, 1)).map(([ms, more]) => `.${ms}${more}`)); // prettier-ignore
    const texts = fc
      .tuple(part(9_999, 4), part(13), part(32), part(24), part(60), part(61), fraction, zone)
      .map(([year, month, day, h, m, s, f, z]) => `${year}-${month}-${day}T${h}:${m}:${s}${f}${z}`);
    let times = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const ms = timeMs(text);
        expect(Number.isNaN(ms)).toBe(!isTime(text));
        if (Number.isNaN(ms)) return;
        times += 1;
        expect(ms).toBe(Date.parse(text.replace(/:60(?=\.|[Zz+-])/, ":59")));
        expect(new Date(ms).toISOString()).toMatch(/^\d{4}-/);
      }),
      { numRuns: 3_000 },
    );
    expect(times).toBeGreaterThan(1_000);
  });

  it("agrees with Date on every day from 1890 to 2110, and on what Date would roll over", () => {
    const two = (n: number): string => String(n).padStart(2, "0");
    for (let year = 1890; year <= 2110; year++) {
      for (let month = 1; month <= 12; month++) {
        for (let day = 28; day <= 32; day++) {
          const at = new Date(Date.UTC(year, month - 1, day));
          const exists = at.getUTCMonth() === month - 1 && at.getUTCDate() === day;
          const text = `${year}-${two(month)}-${two(day)}T00:00:00Z`;
          if (isTime(text) !== exists) expect.fail(`${text} is ${exists ? "a" : "no"} day`);
        }
      }
    }
  });
});

describe("numbers", () => {
  it.each([
    "9007199254740991",
    "-9007199254740991",
    "9007199254740991.0",
    "1e300",
    "1.5E+300",
    "1e20",
    "-0",
    "0.1",
    "5e-324",
    "12345678901234500000e5",
  ])("%s is held", (literal) => {
    const { event, text } = accepted(read(withData(`{"deep":[${literal}]}`)));
    expect(event.data).toEqual({ deep: [Number(literal)] });
    expect(text).toContain(literal);
  });

  it.each([
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "9007199254740992.0",
    "9007199254740993e0",
    "900719925474099.3e1",
    "123456789012345678901234567890",
    "1e400",
    "-1e400",
    "1.00000000000000000001e300",
  ])("%s is refused, not rounded", (literal) => {
    const result = read(withData(`{"a":1e300,"deep":[${literal}]}`));
    expect(result).toMatchObject({ tag: "rejected", code: "unsafe_integer", id: "i" });
    expect(result.tag === "rejected" && result.message).toContain(literal.slice(0, 40));
  });

  it("digits in strings are not numbers", () => {
    expect(codeOf(read(withData('{"a":"9007199254740993","b\\"9007199254740993":1e300}')))).toBe("event");
  });

  it("an attribute is looked at as well", () => {
    expect(codeOf(read('{"type":"t","id":"i","weight":9007199254740993}'))).toBe("unsafe_integer");
  });

  it("a long string beside a large number is not too much for the search", () => {
    const long = `"${'\\"x'.repeat(EVENT_BYTES / 4)}"`;
    expect(codeOf(read(withData(`[${long},1e300]`)))).toBe("event");
    expect(codeOf(read(withData(`[${long},1e400]`)))).toBe("unsafe_integer");
  });
});

describe("bounds", () => {
  it(`an event may be ${EVENT_DEPTH} deep, itself included`, () => {
    expect(codeOf(read(withData(nested(EVENT_DEPTH))))).toBe("event");
    expect(codeOf(read(withData(nested(EVENT_DEPTH + 1))))).toBe("too_deep");
    expect(codeOf(read(withData(`${'{"a":'.repeat(EVENT_DEPTH)}1${"}".repeat(EVENT_DEPTH)}`)))).toBe("too_deep");
  });

  it("nesting as deep as the bytes allow is refused, not a crash", () => {
    expect(codeOf(read(withData(nested(120_000))))).toBe("too_deep");
    expect(codeOf(read("[".repeat(EVENT_BYTES)))).toBe("malformed_json");
  });

  it("counts UTF-8 bytes, for the event and for its names", () => {
    const pad = (fill: string, times: number): string => withData(`"${fill.repeat(times)}"`);
    const frame = withData('""').length;
    expect(codeOf(read(pad("x", EVENT_BYTES - frame)))).toBe("event");
    expect(codeOf(read(pad("x", EVENT_BYTES - frame + 1)))).toBe("event_too_large");
    expect(codeOf(read(pad("é", Math.floor((EVENT_BYTES - frame) / 2))))).toBe("event");
    expect(codeOf(read(pad("é", Math.floor((EVENT_BYTES - frame) / 2) + 1)))).toBe("event_too_large");
    for (const name of ["id", "source", "key", "subject", "type"]) {
      expect(codeOf(readAs({ [name]: "x".repeat(NAME_BYTES) })), name).toBe("event");
      expect(codeOf(readAs({ [name]: "x".repeat(NAME_BYTES + 1) })), name).toBe("invalid_attribute");
      expect(codeOf(readAs({ [name]: "😀".repeat(NAME_BYTES / 4) })), name).toBe("event");
      expect(codeOf(readAs({ [name]: "😀".repeat(NAME_BYTES / 4) + "x" })), name).toBe("invalid_attribute");
    }
  });
});

describe("attributes", () => {
  it.each([
    ["", "malformed_json"],
    ["{", "malformed_json"],
    ['{"type":"t"}{"type":"t"}', "malformed_json"],
    ['\ufeff{"type":"t"}', "malformed_json"],
    ["[]", "not_an_object"],
    ["null", "not_an_object"],
    ['"type"', "not_an_object"],
    ["{}", "missing_type"],
    ['{"type":null}', "missing_type"],
    ['{"type":""}', "invalid_attribute"],
    ['{"type":1}', "invalid_attribute"],
    ['{"type":"t","id":5}', "invalid_attribute"],
    ['{"type":"t","id":""}', "invalid_attribute"],
    ['{"type":"t","source":{}}', "invalid_attribute"],
    ['{"type":"t","key":"\\ud800"}', "invalid_attribute"],
    ['{"type":"t","subject":[]}', "invalid_attribute"],
    ['{"type":"t","specversion":"0.3"}', "invalid_attribute"],
    ['{"type":"t","data_base64":1}', "invalid_attribute"],
    ['{"type":"t","data_base64":"AA==","data":1}', "invalid_attribute"],
    ['{"type":"t","extension":{}}', "invalid_attribute"],
    ['{"type":"t","__proto__":{}}', "invalid_attribute"],
    ['{"type":"t","key":"a","partitionkey":"b"}', "invalid_attribute"],
  ])("%s is refused as %s", (text, code) => {
    expect(codeOf(read(text))).toBe(code);
  });

  it("fills in what the sender left out, and nothing else", () => {
    const { event } = accepted(read('{"type":"t","id":"i","key":"k","flag":true}'));
    expect({ ...event, key: undefined }).toEqual({
      type: "t",
      id: "i",
      source: "/",
      time: NOW,
      partitionkey: "k",
      data: null,
      flag: true,
    });
  });

  it("key and partitionkey may both be there if they agree", () => {
    const { event } = accepted(readAs({ key: "k", partitionkey: "k" }));
    expect(event.partitionkey).toBe("k");
  });

  it("a member named __proto__ is a member", () => {
    const { event, text } = accepted(read('{"type":"t","id":"i","__proto__":"x"}'));
    expect(Object.hasOwn(event, "__proto__")).toBe(true);
    expect(Object.getPrototypeOf(event)).toBe(Object.prototype);
    expect(text).toContain('"__proto__":"x"');
  });

  it("attributes that are null aren't set, in the kept text neither; data may be null", () => {
    const { event, text } = accepted(read('{"type":"t","id":"i","subject":null,"x":null,"data":null}'));
    expect(JSON.parse(text)).toEqual({ type: "t", id: "i", data: null });
    expect("subject" in event).toBe(false);
  });
});

describe("the kept text", () => {
  it("is the client's own, to the byte, where it has an id", () => {
    const text = ' {"id" : "i", "data":{"a":1.0,"b":"\\u0041 null"},"type":"t" } ';
    expect(accepted(read(text)).text).toBe(text);
  });

  it.each([
    '{"type":"t"}',
    ' { "type" : "t" } \r',
    '{"type":"t","data":"}"}',
    '{"type":"t","id":null}',
    '{"id":"x","type":"t","id":null}',
    '{"type":"t","data":{"id":"inner"}}',
  ])("%s gets a made-up id that JSON.parse gives back", (given) => {
    const { event, text } = accepted(read(given));
    expect(event.id).toBe('made"up/7');
    expect(JSON.parse(text)).toEqual({ ...without(JSON.parse(given) as Record<string, unknown>), id: 'made"up/7' });
  });

  it("ONE5: gives at replay the very event that was handled", () => {
    const member = fc.constantFrom("type", "id", "source", "subject", "key", "time", "data", "x", "__proto__");
    const value = fc.oneof(
      fc.json(),
      fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)),
      fc.constantFrom('"t"', "null", `"${NOW}"`, "1e20", "-0", '"a"', "[null]"),
    );
    const space = fc.constantFrom("", " ", "\t", "\r\n");
    const texts = fc.tuple(fc.array(fc.tuple(member, value, space), { maxLength: 8 }), space).map(([members, end]) => {
      const all = members.map(([name, json, gap]) => `${gap}${JSON.stringify(name)}${gap}:${json}`);
      return `{"type":"t"${all.map((one) => `,${one}`).join("")}${end}}${end}`;
    });
    let good = 0;
    fc.assert(
      fc.property(texts, (given) => {
        const result = read(given);
        if (result.tag === "rejected") return;
        good += 1;
        const replayed = fill(JSON.parse(result.text) as Record<string, unknown>, NOW);
        // -0 is 0 in JSON, and for everybody.
        expect(JSON.parse(JSON.stringify(replayed))).toEqual(JSON.parse(JSON.stringify(result.event)));
        expect(contentOf(replayed)).toEqual(contentOf(result.event));
      }),
      { numRuns: 1_000 },
    );
    expect(good).toBeGreaterThan(50);
  });
});

describe("the time of an event", () => {
  const printAt = (time: string, text: string): readonly number[] => {
    const { event, timed } = accepted(readEvent(text, 0, { ...defaults, time }));
    const prints = new Prints(1);
    print(prints, event, "k", 1, timed);
    return [...prints.words()];
  };
  const LATER = "2026-01-31T12:00:00.050Z";

  it("ONE1: is content where it was sent, also when it arrives in the very millisecond that it names", () => {
    const text = JSON.stringify({ type: "t", id: "i", time: NOW });
    expect(printAt(NOW, text)).toEqual(printAt(LATER, text));
    expect(printAt(NOW, text)).not.toEqual(printAt(NOW, text.replace(NOW, LATER)));
  });

  const printOf = (time: string) => printAt(NOW, JSON.stringify({ type: "t", id: "i", time })).join(" ");

  it("ONE4: counts by its instant, however it is written", () => {
    const same = [
      ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00+00:00", "2026-01-31T13:30:00.0+01:30", "2026-01-31t12:00:00z", "2026-01-31 12:00:00-00:00"], // prettier-ignore
      ["2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z", "2026-01-30T13:00:00.50-23:00"],
      ["2016-12-31T23:59:60Z", "2016-12-31T15:59:60.0-08:00"],
      ["2016-12-31T23:59:59Z", "2016-12-31T15:59:59-08:00"],
      ["2017-01-01T00:00:00Z"],
      ["2026-01-31T12:00:00.0000000001Z", "2026-01-31T12:00:00.00000000010Z"],
      ["2026-01-31T12:00:00.000000000Z".replace("000Z", "001Z")],
      ["2026-01-31T12:00:00.05Z"],
      ["2026-01-31T12:00:05Z"],
      ["2026-01-31T12:05:00Z"],
    ];
    for (const texts of same) expect(new Set(texts.map(printOf)).size, texts[0]).toBe(1);
    expect(new Set(same.map(([text]) => printOf(text!))).size, "another instant is another event").toBe(same.length);
  });

  it("ONE1: is none where it was made up", () => {
    const text = JSON.stringify({ type: "t", id: "i" });
    expect(printAt(NOW, text)).toEqual(printAt(LATER, text));
  });
});

describe("any text", () => {
  it("IN1: gives an event or a named flaw, and throws never", () => {
    const seeds = [withData('{"a":[1,2,{"b":null}]}'), '{"type":"t","id":null,"time":"2026-01-31T12:00:00Z"}'];
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.constantFrom(...seeds), fc.nat(), fc.nat(255))
        .map(([text, at, byte]) => new TextEncoder().encode(text).with(at % text.length, byte)),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        const result = read(new TextDecoder().decode(given));
        if (result.tag === "event") expect(JSON.parse(result.text)).toHaveProperty("id", result.event.id);
        else expect(result.message).not.toBe("");
      }),
      { numRuns: 2_000 },
    );
  });

  it("IN1: any JSON value gives an event or a named flaw", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const inside = readAs({ data: value });
        expect(["event", "unsafe_integer"]).toContain(codeOf(inside));
        if (typeof value !== "object" || value === null || Array.isArray(value))
          expect(codeOf(read(JSON.stringify(value)))).toBe("not_an_object");
      }),
    );
  });
});

function without(event: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(event).filter(([, value]) => value !== null));
}

function contentOf(event: Event): readonly [number, number] {
  const content = new Content();
  addContent(content, event, "k", 1, event.time !== NOW);
  return [content.a, content.b];
}
