/** CloudEvents to the letter, below HTTP: the grammars, the values of headers, and that what is kept says what was handled. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { standardFlaw } from "../../../src/engine/event/cloudevent.ts";
import { fill, readEvent, type Defaults } from "../../../src/engine/event/event.ts";
import { jsonMembers } from "../../../src/engine/base/json-text.ts";
import { isJsonType, isTextType, mediaType } from "../../../src/engine/event/media-type.ts";
import { isAbsoluteUri, isUriReference } from "../../../src/engine/event/uri.ts";
import { binaryEvent, headerValue } from "../../../src/worker/http/binary-mode.ts";
import { changedText, changes, PATIENCE_MS, runs } from "../hostile.ts";

const NOW = "2026-01-31T12:00:00.000Z";
const defaults: Defaults = { time: NOW, id: (index) => `made/${index}` };

describe("RFC 3986", () => {
  it.each([
    "ftp://ftp.is.co.za/rfc/rfc1808.txt",
    "ldap://[2001:db8::7]/c=GB?objectClass?one",
    "mailto:John.Doe@example.com",
    "tel:+1-816-555-1212",
    "telnet://192.0.2.16:80/",
    "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
    "http://[::ffff:192.0.2.1]:/",
    "http://[1:2:3:4:5:6:7:8]",
    "http://[1:2:3:4:5:6:7::]",
    "http://[::]",
    "http://[v1.a:b]/",
    "http://a:b@c%20d/e;f,g=h?i/j?k",
    "file:///etc/hosts",
    "a:",
    "a:b:c",
    "x://",
  ])("%s is an absolute URI, and a reference", (text) => {
    expect(isAbsoluteUri(text)).toBe(true);
    expect(isUriReference(text)).toBe(true);
  });

  it.each(["", "/", "//host", "a", "./a:b", "../x", "?q", "#f", "a/b?c#d/e?f", "http://a/#", "%C3%A9", "a@b"])(
    "%j is a reference, and no absolute URI",
    (text) => {
      expect(isUriReference(text)).toBe(true);
      expect(isAbsoluteUri(text)).toBe(false);
    },
  );

  it.each([
    " ",
    "a b",
    "a\n",
    "é",
    "%",
    "%1",
    "%g0",
    "1:b",
    ":b",
    "a{b}",
    "a|b",
    "a\\b",
    '"a"',
    "<a>",
    "a^b",
    "a`b",
    "/a[b]",
    "?a[0]=1",
    "a#b#c",
    "http://a b/",
    "http://a:8x/",
    "http://a:1:2/",
    "http://a@b@c/",
    "http://[::1",
    "http://[::1]x/",
    "http://[:::]",
    "http://[1::2::3]",
    "http://[1:2:3:4:5:6:7]",
    "http://[1:2:3:4:5:6:7:8:9]",
    "http://[1:2:3:4:5:6:7:8::]",
    "http://[12345::]",
    "http://[::256.0.0.1]",
    "http://[::1.2.3]",
    "http://[1.2.3.4::]",
    "http://[]",
    "http://[v.a]/",
    "http://a[b]/",
  ])("%j is neither", (text) => {
    expect(isUriReference(text)).toBe(false);
    expect(isAbsoluteUri(text)).toBe(false);
  });
});

describe("RFC 2046", () => {
  it.each([
    ["text/plain", "text/plain", null],
    ["TEXT/Plain;Charset=UTF-8", "text/plain", "utf-8"],
    ['a/b ; x="y;charset=z\\"" ; charset="utf\\-8"', "a/b", "utf-8"],
    ["a/b;charset=x;charset=y", "a/b", "x"],
    ["application/vnd.a.b+json;v=1;", "application/vnd.a.b+json", null],
  ])("%s", (text, name, charset) => {
    expect(mediaType(text)).toEqual({ name, charset });
  });

  it.each([
    "",
    "text",
    "text/",
    "/plain",
    "a/b/c",
    "a b/c",
    "a/b c",
    "a/b,c/d",
    "a/b;c",
    "a/b;c=",
    'a/b;c="',
    "a/b; c=d e",
    "é/b",
  ])("%j is none", (text) => {
    expect(mediaType(text)).toBeNull();
  });

  it.each([
    ["application/json", true, false],
    ["text/json", true, true],
    ["application/a+json; charset=utf-8", true, true],
    ["application/jsonp", false, false],
    ["application/json-seq", false, false],
    ["application/json+x", false, false],
    ["text/html", false, true],
    ["text/html; charset=latin1", false, false],
    ["application/xml", false, true],
    ["application/atom+xml", false, true],
    ["application/yaml", false, false],
    ["application/yaml; charset=UTF8", false, true],
  ])("%s: JSON %s, text %s", (text, json, plain) => {
    const type = mediaType(text)!;
    expect([isJsonType(type), isTextType(type)]).toEqual([json, plain]);
  });

  it("is decided at once, whatever stands there", () => {
    const odd = fc.array(fc.constantFrom(";", " ", "\t", "a", "=", '"', "\\", "a=b", '"c"'), { maxLength: 2_000 });
    fc.assert(
      fc.property(odd, (pieces) => {
        const begun = performance.now();
        mediaType(`a/b${pieces.join("")}`);
        expect(performance.now() - begun).toBeLessThan(500);
      }),
      runs(200),
    );
  });
});

/** As HTTP binding 3.1.3.2 says. */
const encoded = (text: string): string =>
  [...new TextEncoder().encode(text)]
    .map((byte) =>
      byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");
const text = fc.string({ unit: "binary" });

describe("the value of a header", () => {
  it("of the standard's example", () => {
    expect(encoded("Euro € 😀")).toBe("Euro%20%E2%82%AC%20%F0%9F%98%80");
  });

  it("any text comes back from its encoding, in capitals and small letters", () => {
    const small = (value: string): string => value.replaceAll(/%../g, (one) => one.toLowerCase());
    fc.assert(
      fc.property(text, (value) => {
        expect(headerValue(encoded(value))).toEqual({ tag: "text", text: value });
        expect(headerValue(small(encoded(value)))).toEqual({ tag: "text", text: value });
      }),
      runs(2_000),
    );
  });

  it("printable ASCII without percents comes back from its quotes", () => {
    const ascii = fc.string({ unit: "binary-ascii" }).map((value) => value.replaceAll(/[^ -~]|%/g, ""));
    fc.assert(
      fc.property(ascii, (value) => {
        const quoted = `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
        expect(headerValue(quoted)).toEqual({ tag: "text", text: value });
      }),
      runs(1_000),
    );
  });

  it("IN1: whatever stands there is text or has a named flaw", () => {
    const pieces = fc.array(fc.oneof(text, fc.constantFrom('"', "\\", "%", "%E2", "%82%AC", "%C0%A0", "\ud800", " ")));
    fc.assert(
      fc.property(pieces, (drawn) => {
        const value = headerValue(drawn.join(""));
        if (value.tag === "text") expect(value.text.isWellFormed()).toBe(true);
        else expect(value.why).toMatch(/^has /);
      }),
      runs(3_000),
    );
  });
});

describe("the members of an object's text", () => {
  it("are those that a parser finds, in order, with the text of their values", () => {
    const space = fc.constantFrom("", " ", "\n\t");
    const name = fc.oneof(fc.constantFrom("a", "b", "__proto__", '"', "\\", ":{[,"), fc.string());
    const members = fc.array(fc.tuple(name, fc.json(), space), { maxLength: 6 });
    fc.assert(
      fc.property(members, space, (drawn, env) => {
        const inner = drawn.map(([key, value, gap]) => `${gap}${JSON.stringify(key)}${gap}:${gap}${value}${gap}`);
        const found = jsonMembers(`${env}{${inner.join(",")}${env}}${env}`);
        expect(found).toEqual(drawn.map(([key, value]) => ({ name: key, text: value.trim() })));
      }),
      runs(1_000),
    );
  });
});

const VALID = [
  { specversion: "1.0", id: "1", source: "/s", type: "t" },
  {
    specversion: "1.0",
    id: "é",
    source: "s:t",
    type: "t",
    time: "2024-02-29T23:59:60Z",
    subject: "x",
    data: { n: [1] },
  },
  { specversion: "1.0", id: "1", source: "/s", type: "t", key: "k", partitionkey: "p", ext: 5, flag: true, data: null },
  { specversion: "1.0", id: "1", source: "/s", type: "t", key: "k", datacontenttype: "text/xml", data: "<a/>" },
  {
    specversion: "1.0",
    id: "1",
    source: "/s",
    type: "t",
    key: false,
    data_base64: "AA==",
    dataschema: "a:b",
    subject: null,
  },
];

describe("an event to the letter", () => {
  it("has no flaw where it is one", () => {
    for (const event of VALID)
      expect(readEvent(JSON.stringify(event), 0, defaults, true)).toMatchObject({ tag: "event" });
  });

  it(
    "IN1, ONE5: is sound and the same at replay, or has a flaw with a name; never an exception",
    () => {
      const changed = fc.tuple(fc.constantFrom(...VALID), changes).map(([event, made]) => changedText(event, made));
      let good = 0;
      fc.assert(
        fc.property(changed, (given) => {
          const read = readEvent(given, 0, defaults, true);
          if (read.tag === "rejected") {
            expect(read.code).toMatch(/^[a-z0-9_]+$/);
            if (/^(missing|invalid)_/.test(read.code)) expect(read.attribute, given).not.toBeNull();
            return;
          }
          good += 1;
          const parsed = JSON.parse(read.text) as Record<string, unknown>;
          expect(standardFlaw(parsed, read.text), given).toBeNull();
          expect(fill(parsed, NOW), given).toEqual(read.event);
          // The plain types take all that the standard takes, unless an extension `key` is no key.
          if (typeof read.event["key"] === "undefined")
            expect(readEvent(read.text, 0, defaults).tag, given).toBe("event");
        }),
        runs(4_000),
      );
      expect(good).toBeGreaterThan(100);
    },
    PATIENCE_MS,
  );
});

describe("an event in binary mode", () => {
  const headed = (headers: Record<string, string>): Headers => new Headers(headers);
  const must = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };

  it("J 3.1.1: any bytes of any type come back from the event that they became", () => {
    const types = fc.constantFrom(
      "application/octet-stream",
      "text/plain",
      "application/xml",
      "image/png",
      "a/b;charset=x",
    );
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1 }),
      text.filter((value) => value !== "").map((value) => new TextEncoder().encode(value)),
    );
    fc.assert(
      fc.property(types, bytes, (type, body) => {
        const made = binaryEvent(headed({ ...must, "content-type": type }), body);
        const read = readEvent(made as string, 0, defaults, true);
        if (read.tag === "rejected") return expect.fail(`${read.code}: ${read.message}`);
        const { data, data_base64: packed } = read.event as { data: unknown; data_base64?: string };
        const back = typeof data === "string" ? new TextEncoder().encode(data) : Buffer.from(packed!, "base64");
        expect([...back]).toEqual([...body]);
      }),
      runs(1_000),
    );
  });

  it("J 3.1.1: any JSON is the value it says, in its own words, and can't say more than that", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const made = binaryEvent(headed({ ...must, "content-type": "a/b+json" }), new TextEncoder().encode(json));
        expect(made).toContain(`"data":${json}`);
        expect(JSON.parse(made as string)).toEqual({
          specversion: "1.0",
          id: "1",
          source: "/s",
          type: "t",
          datacontenttype: "a/b+json",
          data: JSON.parse(json) as unknown,
        });
      }),
      runs(500),
    );
    for (const more of ['1,"id":"2"', '1}{"a":1', "1 // x"])
      expect(() => binaryEvent(headed(must), new TextEncoder().encode(more))).toThrowError(/isn't JSON/);
  });
});
