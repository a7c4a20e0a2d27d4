/**
 * CloudEvents 1.0.2 as a receiver must take them, a row for each rule. H: HTTP protocol binding, J: JSON event format,
 * C: core specification (whose sections have names). Good rows have what the handler saw, bad ones their status, code and
 * attribute; no bad row changes anything.
 */
import { array, assert, asyncProperty, constantFrom, oneof, record, string, uint8Array } from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, call, get, gzip, type Answer } from "../http.ts";

type Headed = Readonly<Record<string, string>>;
interface Given {
  readonly headers: Headed;
  readonly body: string | Uint8Array<ArrayBuffer> | null;
  readonly path?: string;
}
type Seen = Readonly<Record<string, unknown>>;
type GoodRow = readonly [rule: string, given: Given, seen: Seen];
type BadRow = readonly [rule: string, given: Given, status: number, code: string, attribute?: string];

const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";

let made = 0;
const nextId = (): string => `ce-${++made}`;
/** A CloudEvent of `echo`, whose reply is the event as its handler saw it. */
const event = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  specversion: "1.0",
  id: nextId(),
  source: "/spec",
  type: "echo.say",
  subject: "s",
  ...more,
});
const without = (name: string): Record<string, unknown> => event({ [name]: undefined });
const structured = (value: unknown, type = STRUCTURED): Given => ({
  headers: { "content-type": type },
  body: typeof value === "string" ? value : JSON.stringify(value),
});
const batch = (value: unknown, type = BATCH): Given => structured(value, type);
/** The event as headers, with `type` and `body` for its data; null as a header leaves it out. */
const binary = (
  more: Readonly<Record<string, string | null>> = {},
  type: string | null = null,
  body: Given["body"] = null,
): Given => {
  const all = {
    "ce-specversion": "1.0",
    "ce-id": nextId(),
    "ce-source": "/spec",
    "ce-type": "echo.say",
    "ce-subject": "s",
    "content-type": type,
    ...more,
  };
  return { headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)) as Headed, body };
};
/** A text as it stands in JSON, in the place of the member `ext`. */
const written = (text: string, name = "ext"): Given =>
  structured(JSON.stringify(event()).replace("{", `{"${name}":${text},`));
const data = (type: string | undefined, value: unknown, more: Record<string, unknown> = {}): Given =>
  structured(event({ datacontenttype: type, data: value, ...more }));

const GOOD: Readonly<Record<string, readonly GoodRow[]>> = {
  MODES: [
    ["H 3: application/cloudevents+json is structured", structured(event({ data: { a: 1 } })), { data: { a: 1 } }],
    ["H 3.2.1: with a charset", structured(event({ data: 1 }), `${STRUCTURED}; charset=UTF-8`), { data: 1 }],
    ["H 3.2.1: in any case", structured(event({ data: 1 }), "Application/CloudEvents+JSON;Charset=utf-8"), { data: 1 }],
    ["H 3.2.1: with a parameter in quotes", structured(event(), `${STRUCTURED} ; x="a;b\\"c" ; charset="utf-8"`), {}],
    ["H 3: any other type with ce- headers is binary", binary({}, "application/json", '{"a":1}'), { data: { a: 1 } }],
    [
      "H 3: also where the type is one of the plain ones",
      binary({}, "application/x-ndjson", "x"),
      { data_base64: "eA==" },
    ],
    [
      "H 3.2.3: headers beside a structured event are only copies",
      {
        ...structured(event({ data: 2, ext: "body" })),
        headers: { "content-type": STRUCTURED, "ce-id": "x", "ce-ext": "header" },
      },
      { data: 2, ext: "body" },
    ],
  ],
  HEADERS: [
    ["H 3.1.3.1: names in any case", binary({ "CE-Ext1": "x" }), { ext1: "x" }],
    ["H 3.1.3: extensions as headers", binary({ "ce-comexampleothervalue": "5" }), { comexampleothervalue: "5" }],
    [
      "H 3.1.3.2: percent-encoded UTF-8",
      binary({ "ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80" }),
      { subject: "Euro € 😀" },
    ],
    ["H 3.1.3.2: small hexadecimal digits", binary({ "ce-ext": "%e2%82%aC" }), { ext: "€" }],
    ["H 3.1.3.2: what needn't be encoded may be", binary({ "ce-ext": "%41%2d" }), { ext: "A-" }],
    ["H 3.1.3.2: one round only", binary({ "ce-ext": "%2541" }), { ext: "%41" }],
    ["H 3.1.3.2: a + is a +", binary({ "ce-ext": "a+b" }), { ext: "a+b" }],
    ["H 3.1.3.2: double quotes of older senders", binary({ "ce-ext": '"a b"' }), { ext: "a b" }],
    ["H 3.1.3.2: with backslashes in them", binary({ "ce-ext": '"a\\"b\\\\c\\d"' }), { ext: 'a"b\\cd' }],
    ["H 3.1.3.2: quotes first, then percents", binary({ "ce-ext": '"%22x%22 %5C"' }), { ext: '"x" \\' }],
    ["H 3.1.3.2: quotes around a part", binary({ "ce-ext": '"a  b"c' }), { ext: "a  bc" }],
    ["H 3.1.3.2: a backslash outside of quotes", binary({ "ce-ext": "a\\b" }), { ext: "a\\b" }],
    ["H 3.1.3.2: no comments in parentheses", binary({ "ce-ext": "a (b) c" }), { ext: "a (b) c" }],
    ["C String: an extension may be empty", binary({ "ce-ext": '""' }), { ext: "" }],
    ["C time: from a header", binary({ "ce-time": "2018-04-05T17:31:00Z" }), { time: "2018-04-05T17:31:00Z" }],
    ["C partitioning: partitionkey as a header", binary({ "ce-partitionkey": "%C3%A9" }), { partitionkey: "é" }],
  ],
  BINARY_DATA: [
    [
      "H 3.1.1: content-type is datacontenttype",
      binary({}, "application/json; charset=utf-8", "[1]"),
      { datacontenttype: "application/json; charset=utf-8", data: [1] },
    ],
    [
      "J 3.1.1: a type that ends with +json is JSON",
      binary({}, "application/vnd.a+json", '{"a":null}'),
      { data: { a: null } },
    ],
    ["J 3.1.1: every type/json is", binary({}, "Text/JSON;a=b", '"x"'), { data: "x" }],
    ["J 3.1.1: no type is JSON", binary({}, null, bytes('{"a":"é"}')), { data: { a: "é" } }],
    [
      "J 3.1.1: a JSON string isn't read once more",
      binary({}, "application/json", '"{\\"a\\":1}"'),
      { data: '{"a":1}' },
    ],
    ["J 3.1.1: null is a payload", binary({}, "application/json", "null"), { data: null }],
    ["RFC 8259: a byte order mark before JSON", binary({}, "application/json", "\ufeff{}"), { data: {} }],
    ["J 3.1.1: text is a string", binary({}, "text/plain", "{é}\n"), { datacontenttype: "text/plain", data: "{é}\n" }],
    ["J 3.1.1: text with its charset", binary({}, 'text/csv; charset="UTF-8"', "a,b"), { data: "a,b" }],
    ["J 3.2: XML is a string", binary({}, "application/xml", '<much wow="xml"/>'), { data: '<much wow="xml"/>' }],
    ["J 3.1.1: and what ends with +xml", binary({}, "image/svg+xml", "<svg/>"), { data: "<svg/>" }],
    [
      "J 3.1.1: bytes are base64",
      binary({}, "application/octet-stream", bytes([0, 255, 254])),
      { data: null, data_base64: "AP/+" },
    ],
    [
      "J 3.1.1: also where they look like text",
      binary({}, "application/vnd.apache.thrift.binary", "abc"),
      { data_base64: "YWJj" },
    ],
    [
      "J 3.1.1: text in another charset is kept to the byte",
      binary({}, "text/plain;charset=iso-8859-1", bytes([0xe9])),
      { data_base64: "6Q==" },
    ],
    [
      "J 3.1.1: text that doesn't say and isn't UTF-8 too",
      binary({}, "text/plain", bytes([0x61, 0xe9])),
      { data_base64: "Yek=" },
    ],
    ["C Event Data: is optional", binary({}, "application/json", null), { data: null }],
    [
      "C datacontenttype: may stand without data",
      binary({}, "text/plain", ""),
      { datacontenttype: "text/plain", data: null },
    ],
  ],
  JSON_DATA: [
    ["J 3.1.2: data of no type is JSON", data(undefined, { a: [1] }), { data: { a: [1] } }],
    ["J 3.1.2: a string of JSON type isn't read as JSON", data("application/json", '{"a":1}'), { data: '{"a":1}' }],
    ["J 3.1.2: +json", data("application/geo+json; x=y", [1]), { data: [1] }],
    ["J 3.1.2: other data is a string", data("application/xml", "<a/>"), { data: "<a/>" }],
    ["J 3.1.1: null is a payload", data("application/json", null), { data: null }],
    [
      "J 3.1.2: data_base64",
      structured(event({ data_base64: "AP/+", datacontenttype: "image/png" })),
      { data: null, data_base64: "AP/+" },
    ],
    ["RFC 4648: of no bytes", structured(event({ data_base64: "" })), { data_base64: "" }],
    ["RFC 4648: with one pad", structured(event({ data_base64: "Yek=" })), { data_base64: "Yek=" }],
  ],
  ATTRIBUTES: [
    [
      "J 2.2: boolean and integer",
      structured(event({ yes: true, n: -2_147_483_648, m: 2_147_483_647 })),
      { yes: true, n: -2_147_483_648, m: 2_147_483_647 },
    ],
    [
      "J 2.2: null is unset",
      structured(event({ time: null, datacontenttype: null, dataschema: null, ext: null, data_base64: null })),
      {},
    ],
    ["C Naming: extensions of a-z and 0-9", structured(event({ a1: "x", "2b": "y" })), { a1: "x", "2b": "y" }],
    [
      "C String: any allowed character",
      structured(event({ ext: "\u00a0é\u{10fffd} \ufffd" })),
      { ext: "\u00a0é\u{10fffd} \ufffd" },
    ],
    [
      "C source: a URI",
      structured(event({ source: "https://u:p@[::1]:8/a;b=c/%20?q=/?#f" })),
      { source: "https://u:p@[::1]:8/a;b=c/%20?q=/?#f" },
    ],
    ["C source: a relative reference", structured(event({ source: "1-555-123-4567" })), { source: "1-555-123-4567" }],
    ["C source: a mail address", structured(event({ source: "mailto:cncf-wg-serverless@lists.cncf.io" })), {}],
    ["C dataschema: a URN", structured(event({ dataschema: "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66" })), {}],
    ["C time: RFC 3339 in small letters", structured(event({ time: "2024-03-01t00:29:60.123456789+00:30" })), {}],
    [
      "C datacontenttype: with parameters",
      structured(event({ datacontenttype: 'multipart/mixed; boundary="a b"', data: "--" })),
      {},
    ],
    [
      "C Extensions: key beside partitionkey is an extension",
      structured(event({ key: "mine", partitionkey: "theirs" })),
      { key: "mine", partitionkey: "theirs" },
    ],
    ["C Extensions: key may be an integer", structured(event({ key: 7 })), { key: 7, subject: "s" }],
    ["C Naming: time, source and more are only reserved for their own", written('"x"', "datatype"), { datatype: "x" }],
    ["J 2.2: an integer at 0", written("-0"), {}],
  ],
};

const bad = (name: string, value: unknown): Given => structured(event({ [name]: value }));
const BAD: Readonly<Record<string, readonly BadRow[]>> = {
  MODES: [
    [
      "H 3: an event format that isn't known",
      structured(event(), "application/cloudevents+avro"),
      415,
      "unsupported_media_type",
    ],
    [
      "H 3: not even with ce- headers",
      binary({}, "application/cloudevents+xml", "<a/>"),
      415,
      "unsupported_media_type",
    ],
    ["H 3: no event format", structured(event(), "application/cloudevents"), 415, "unsupported_media_type"],
    [
      "H 3: an unknown batch format",
      batch([event()], "application/cloudevents-batch+cbor"),
      415,
      "unsupported_media_type",
    ],
    ["H 3.2.1: another charset", structured(event(), `${STRUCTURED}; charset=utf-16`), 415, "unsupported_charset"],
    [
      "H 3: other ce- headers alone make no CloudEvent",
      { headers: { "ce-ext": "x", "content-type": "text/plain" }, body: "x" },
      415,
      "unsupported_media_type",
    ],
    ["J 4: a batch isn't structured", structured([event()]), 400, "not_an_event"],
    ["J 4.1: a batch is an array", batch(event()), 400, "not_an_event"],
    ["J 4.1: a batch is JSON", batch("[{]"), 400, "malformed_json"],
    ["J 3: a structured event is JSON", structured("nonsense"), 400, "malformed_json"],
    ["J 3: and an object", structured('"x"'), 400, "not_an_event"],
    [
      "J 3: in UTF-8",
      { headers: { "content-type": STRUCTURED }, body: bytes('{"id":"', [0xff], '"}') },
      400,
      "invalid_utf8",
    ],
    ["J 3: there must be one", structured(""), 400, "empty_body"],
  ],
  REQUIRED: [
    ["C id: required", structured(without("id")), 422, "missing_id", "id"],
    ["C source: required", structured(without("source")), 422, "missing_source", "source"],
    ["C specversion: required", structured(without("specversion")), 422, "missing_specversion", "specversion"],
    ["C type: required", structured(without("type")), 422, "missing_type", "type"],
    ["J 2.2: null is unset, also where it is required", bad("source", null), 422, "missing_source", "source"],
    ["C id: required in headers", binary({ "ce-id": null }), 422, "missing_id", "id"],
    ["C source: required in headers", binary({ "ce-source": null }), 422, "missing_source", "source"],
    [
      "C specversion: required in headers",
      binary({ "ce-specversion": null }),
      422,
      "missing_specversion",
      "specversion",
    ],
    ["C type: required in headers", binary({ "ce-type": null }), 422, "missing_type", "type"],
    [
      "C id: not in the body, where the headers are the event",
      binary({ "ce-id": null }, "application/json", JSON.stringify(event())),
      422,
      "missing_id",
      "id",
    ],
    ["C id: in a batch of one", batch([without("id")]), 422, "missing_id", "id"],
  ],
  ATTRIBUTES: [
    ["C id: not empty", bad("id", ""), 422, "invalid_id", "id"],
    ["C id: a string", bad("id", 5), 422, "invalid_id", "id"],
    ["C id: at most 1 KiB (limit of this app)", bad("id", "é".repeat(513)), 422, "invalid_id", "id"],
    ["C source: not empty", bad("source", ""), 422, "invalid_source", "source"],
    ["C source: no space", bad("source", "/a b"), 422, "invalid_source", "source"],
    ["C source: no character beyond ASCII", bad("source", "/é"), 422, "invalid_source", "source"],
    ["C source: a percent with its digits", bad("source", "/%zz"), 422, "invalid_source", "source"],
    ["C source: no colon in a first segment without scheme", bad("source", "1a:b"), 422, "invalid_source", "source"],
    ["C source: a broken IPv6 address", bad("source", "http://[::1::]/"), 422, "invalid_source", "source"],
    ["C source: a broken port", bad("source", "http://a:b/"), 422, "invalid_source", "source"],
    ["C source: two fragments", bad("source", "/a#b#c"), 422, "invalid_source", "source"],
    ["C source: a header as well", binary({ "ce-source": "%20" }), 422, "invalid_source", "source"],
    ["C specversion: 1.0", bad("specversion", "0.3"), 422, "invalid_specversion", "specversion"],
    ["C specversion: not with a patch", bad("specversion", "1.0.2"), 422, "invalid_specversion", "specversion"],
    ["C specversion: no number", bad("specversion", 1), 422, "invalid_specversion", "specversion"],
    ["C specversion: a header as well", binary({ "ce-specversion": "1" }), 422, "invalid_specversion", "specversion"],
    ["C type: not empty", bad("type", ""), 422, "invalid_type", "type"],
    ["C type: a string", bad("type", ["echo.say"]), 422, "invalid_type", "type"],
    ["C subject: not empty", bad("subject", ""), 422, "invalid_subject", "subject"],
    ["C subject: not empty as a header", binary({ "ce-subject": "" }), 422, "invalid_subject", "subject"],
    ["C subject: a string", bad("subject", true), 422, "invalid_subject", "subject"],
    ["C time: RFC 3339", bad("time", "2026-01-31 12:00:00Z"), 422, "invalid_time", "time"],
    ["C time: with a zone", bad("time", "2026-01-31T12:00:00"), 422, "invalid_time", "time"],
    ["C time: a day that is", bad("time", "2026-02-29T00:00:00Z"), 422, "invalid_time", "time"],
    ["C time: no number", bad("time", 1_700_000_000), 422, "invalid_time", "time"],
    ["C time: a header as well", binary({ "ce-time": "yesterday" }), 422, "invalid_time", "time"],
    ["C datacontenttype: RFC 2046", bad("datacontenttype", "json"), 422, "invalid_datacontenttype", "datacontenttype"],
    [
      "C datacontenttype: one of them",
      bad("datacontenttype", "text/plain, text/xml"),
      422,
      "invalid_datacontenttype",
      "datacontenttype",
    ],
    [
      "C datacontenttype: parameters with values",
      bad("datacontenttype", "text/plain; charset"),
      422,
      "invalid_datacontenttype",
      "datacontenttype",
    ],
    ["C datacontenttype: not empty", bad("datacontenttype", ""), 422, "invalid_datacontenttype", "datacontenttype"],
    ["C dataschema: a URI", bad("dataschema", "/relative"), 422, "invalid_dataschema", "dataschema"],
    ["C URI: absolute as in RFC 3986, 4.3", bad("dataschema", "http://a/b#c"), 422, "invalid_dataschema", "dataschema"],
    ["C dataschema: not empty", bad("dataschema", ""), 422, "invalid_dataschema", "dataschema"],
    ["C partitioning: partitionkey is not empty", bad("partitionkey", ""), 422, "invalid_partitionkey", "partitionkey"],
    [
      "C Context Attributes: once",
      structured(JSON.stringify(event()).replace("{", '{"id":"first",')),
      422,
      "invalid_id",
      "id",
    ],
    [
      "C Context Attributes: also where the name is written in another way",
      structured(JSON.stringify(event({ ext: "a" })).replace("{", '{"\\u0065xt":"b",')),
      422,
      "invalid_extension",
      "ext",
    ],
  ],
  TYPES: [
    ["C Naming: no capitals", bad("myExt", "x"), 422, "invalid_extension", "myExt"],
    ["C Naming: no underscore", bad("my_ext", "x"), 422, "invalid_extension", "my_ext"],
    ["C Naming: no hyphen in a header", binary({ "ce-my-ext": "x" }), 422, "invalid_extension", "my-ext"],
    ["C Naming: not empty", bad("", "x"), 422, "invalid_extension", ""],
    ["C Naming: not only the prefix", binary({ "ce-": "x" }), 422, "invalid_extension", ""],
    [
      "C Naming: __proto__",
      structured(JSON.stringify(event()).replace("{", '{"__proto__":"x",')),
      422,
      "invalid_extension",
      "__proto__",
    ],
    ["C Integer: at most 2^31 - 1", bad("ext", 2_147_483_648), 422, "invalid_extension", "ext"],
    ["C Integer: at least -2^31", bad("ext", -2_147_483_649), 422, "invalid_extension", "ext"],
    ["J 2.2: no fraction", bad("ext", 1.5), 422, "invalid_extension", "ext"],
    ["J 2.2: not even .0", written("1.0"), 422, "invalid_extension", "ext"],
    ["J 2.2: no exponent", written("1e2"), 422, "invalid_extension", "ext"],
    ["C Type System: no object", bad("ext", {}), 422, "invalid_extension", "ext"],
    ["C Type System: no array", bad("ext", [1]), 422, "invalid_extension", "ext"],
    ["C String: no control character", bad("ext", "a\nb"), 422, "invalid_extension", "ext"],
    ["C String: none of C1", bad("subject", "a\u009f"), 422, "invalid_subject", "subject"],
    ["C String: no half surrogate", bad("ext", "\ud800x"), 422, "invalid_extension", "ext"],
    ["C String: no noncharacter", bad("ext", "\ufdd0"), 422, "invalid_extension", "ext"],
    ["C String: none beyond the first plane", bad("id", "\u{1fffe}"), 422, "invalid_id", "id"],
    ["C String: none that was percent-encoded", binary({ "ce-ext": "a%0Ab" }), 422, "invalid_extension", "ext"],
  ],
  HEADERS: [
    [
      "H 3.1.1: ce-datacontenttype must not be there",
      binary({ "ce-datacontenttype": "text/plain" }, "text/plain", "x"),
      422,
      "invalid_datacontenttype",
      "datacontenttype",
    ],
    ["C Naming: data is no attribute", binary({ "ce-data": "x" }), 422, "invalid_data", "data"],
    ["C Naming: nor is data_base64", binary({ "ce-data_base64": "AA==" }), 422, "invalid_data_base64", "data_base64"],
    ["H 3.1.3.2: an overlong encoding", binary({ "ce-ext": "%C0%A0" }), 422, "invalid_extension", "ext"],
    ["H 3.1.3.2: a surrogate in UTF-8", binary({ "ce-id": "%ED%A0%80" }), 422, "invalid_id", "id"],
    ["H 3.1.3.2: an encoding that breaks off", binary({ "ce-subject": "%E2%82" }), 422, "invalid_subject", "subject"],
    ["H 3.1.3.2: a percent alone", binary({ "ce-subject": "100%" }), 422, "invalid_subject", "subject"],
    ["H 3.1.3.2: other than hexadecimal digits", binary({ "ce-ext": "%4g" }), 422, "invalid_extension", "ext"],
    ["H 3.1.3.2: printable ASCII only", binary({ "ce-ext": "é" }), 422, "invalid_extension", "ext"],
    ["RFC 7230, 3.2.6: a quote that isn't closed", binary({ "ce-ext": '"a' }), 422, "invalid_extension", "ext"],
    ["RFC 7230, 3.2.6: closed only by an escaped one", binary({ "ce-ext": '"a\\"' }), 422, "invalid_extension", "ext"],
    [
      "H 3.1.1, RFC 2046: content-type is a media type",
      binary({}, "text", "x"),
      422,
      "invalid_datacontenttype",
      "datacontenttype",
    ],
  ],
  DATA: [
    [
      "H 3.1.2: a body that isn't the JSON its type says",
      binary({}, "application/json", "hello"),
      400,
      "malformed_json",
    ],
    ["H 3.1.2: one JSON value only", binary({}, "application/json", '1,"id":"x"'), 400, "malformed_json"],
    ["J 3.1.1: nor where no type says so", binary({}, null, bytes("hello")), 400, "malformed_json"],
    ["RFC 8259: JSON in broken UTF-8", binary({}, "application/json", bytes([0x22, 0xff, 0x22])), 400, "invalid_utf8"],
    ["RFC 8259: JSON in UTF-16", binary({}, "application/json", bytes([0x7b, 0, 0x7d, 0])), 400, "invalid_utf8"],
    [
      "RFC 8259: JSON in another charset",
      binary({}, "application/json;charset=latin1", "{}"),
      415,
      "unsupported_charset",
    ],
    [
      "H 2.2: text that isn't the UTF-8 its type says",
      binary({}, "text/plain;charset=utf-8", bytes([0xff])),
      400,
      "invalid_utf8",
    ],
    [
      "J 3.1.1: data beside data_base64",
      structured(event({ data: 1, data_base64: "AA==" })),
      422,
      "invalid_data_base64",
      "data_base64",
    ],
    [
      "J 3.1.1: also where data is null",
      structured(event({ data: null, data_base64: "AA==" })),
      422,
      "invalid_data_base64",
      "data_base64",
    ],
    ["J 3.1.1: data_base64 is a string", bad("data_base64", 7), 422, "invalid_data_base64", "data_base64"],
    ["RFC 4648: of its alphabet", bad("data_base64", "AA*="), 422, "invalid_data_base64", "data_base64"],
    ["RFC 4648: not that of URLs", bad("data_base64", "A-_="), 422, "invalid_data_base64", "data_base64"],
    ["RFC 4648: padded", bad("data_base64", "AAA"), 422, "invalid_data_base64", "data_base64"],
    ["RFC 4648: without line breaks", bad("data_base64", "AAAA\r\n=="), 422, "invalid_data_base64", "data_base64"],
    ["RFC 4648: padded by two at most", bad("data_base64", "A==="), 422, "invalid_data_base64", "data_base64"],
    ["J 3.1.2: data of another type than JSON is a string", data("text/plain", { a: 1 }), 422, "invalid_data", "data"],
    [
      "IN1: an unsafe integer in a JSON body",
      binary({}, "application/json", "9007199254740993"),
      422,
      "unsafe_integer",
    ],
    ["IN1: too deep a body", binary({}, "application/json", `${"[".repeat(64)}${"]".repeat(64)}`), 422, "too_deep"],
    [
      "IN1: bytes that are too large as base64",
      binary({}, "image/png", new Uint8Array(200_000)),
      422,
      "event_too_large",
    ],
    ["IN1: a body above 4 MB", binary({}, "image/png", new Uint8Array(4_000_001)), 413, "body_too_large"],
  ],
};

/** With a place for the attribute, where there is none. */
const told = ([rule, given, status, code, attribute]: BadRow) => [rule, given, status, code, attribute] as const;
const send = (given: Given, more: Headed = {}): Promise<Answer> =>
  call(given.path ?? "/v1/events", { method: "POST", headers: { ...given.headers, ...more }, body: given.body });
const asked = (given: Given): Promise<Answer> => send({ ...given, path: "/v1/operators/echo/ask" });
const FULL = { prefer: "return=representation" };

/** The event as the handler saw it. */
function seenIn({ body }: Answer): Record<string, unknown> {
  const results = body["results"] as { value: { event: Record<string, unknown> } }[];
  return results[0]!.value.event;
}

async function positions(): Promise<unknown> {
  return (await get("/v1/operators/echo/partitions?live=true")).body;
}

describe("what a receiver must take", () => {
  for (const [table, rows] of Object.entries(GOOD))
    describe(table.toLowerCase().replace("_", " "), () => {
      test.each(rows)("%s", async (_rule, given, seen) => {
        const answer = await send(given, FULL);
        expect(answer.body).toMatchObject({ received: 1, accepted: 1, errors: [] });
        expect(answer.status).toBe(200);
        expect(seenIn(answer)).toMatchObject({ specversion: "1.0", type: "echo.say", ...seen });
        const repeat = await send(given);
        expect(repeat.body).toMatchObject({ duplicates: 1 });
      });
      test.each(rows)("ask: %s", async (_rule, given, seen) => {
        const answer = await asked(given);
        expect(answer.status).toBe(200);
        const { event: asHandled } = answer.body["value"] as { event: Record<string, unknown> };
        expect(asHandled).toMatchObject(seen);
      });
    });
});

describe("what a receiver must not take", () => {
  let before: unknown;
  beforeAll(async () => {
    before = await positions();
  });
  for (const [table, rows] of Object.entries(BAD))
    describe(table.toLowerCase(), () => {
      test.each(rows.map(told))("%s", async (_rule, given, status, code, attribute) => {
        const { body, ...answer } = await send(given);
        expect({ status: answer.status, code: body["code"], attribute: body["attribute"] }).toEqual({
          status,
          code,
          attribute,
        });
        if (status !== 422) return;
        const [error] = body["errors"] as Record<string, unknown>[];
        expect(error).toMatchObject({ index: 0, code, ...(attribute === undefined ? {} : { attribute }) });
        expect(error!["message"]).toEqual(expect.stringMatching(/./));
      });
    });
  test("ask says the same of each", async () => {
    for (const [rule, given, status, code, attribute] of Object.values(BAD).flatMap((rows) => [...rows])) {
      if (given.headers["content-type"]?.startsWith(BATCH)) continue;
      const { body, ...answer } = await asked(given);
      expect([answer.status, body["code"], body["attribute"]], rule).toEqual([status, code, attribute]);
    }
  });
  test("ask takes no batch, and no lines", async () => {
    for (const type of [BATCH, "application/x-ndjson"]) {
      const { status, body } = await asked({ headers: { "content-type": type }, body: "[]" });
      expect({ status, code: body["code"] }).toEqual({ status: 415, code: "unsupported_media_type" });
    }
  });
  test("every row has a name of its own", () => {
    for (const rows of [...Object.values(GOOD), ...Object.values(BAD)])
      expect(new Set(rows.map(([rule]) => rule)).size).toBe(rows.length);
  });
  afterAll(async () => {
    expect(await positions()).toEqual(before);
  });
});

describe("batches", () => {
  test("H 3.3.2: attributes may differ, and each event counts by itself", async () => {
    const events = [
      event({ data: 1 }),
      event({ datacontenttype: "application/vnd.apache.thrift.binary", data_base64: "AA==" }),
      event({ time: "now" }),
      without("source"),
    ];
    const { status, body } = await send(batch(events, `${BATCH}; charset=UTF-8`));
    expect(status).toBe(207);
    expect(body).toMatchObject({ received: 4, accepted: 2, rejected: 2, through: 4 });
    expect(body["errors"]).toMatchObject([
      { index: 2, id: events[2]!["id"], code: "invalid_time", attribute: "time" },
      { index: 3, id: events[3]!["id"], code: "missing_source", attribute: "source" },
    ]);
    expect(body).not.toHaveProperty("attribute");
  });

  test.each(["[]", " [\n] "])("H 3.3.2: a batch may be empty: %j", async (body) => {
    const answer = await send(batch(body));
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ received: 0, accepted: 0, through: 0, errors: [] });
  });

  test("H 3.3.2: all have the same specversion, 1.0", async () => {
    const { body } = await send(batch([event(), event({ specversion: "1.1" })]));
    expect(body["errors"]).toMatchObject([{ index: 1, code: "invalid_specversion" }]);
  });

  test("strict: one flaw, and none is taken", async () => {
    const events = [event(), without("id")];
    const { status, body } = await send(batch(events), { prefer: "handling=strict" });
    expect({ status, code: body["code"] }).toEqual({ status: 422, code: "strict" });
    expect((await send(structured(events[0]))).body).toMatchObject({ accepted: 1 });
  });

  test("more than one call carries", async () => {
    const events = Array.from({ length: 6_000 }, (_, i) => event({ data: i, partitionkey: `many-${i % 10}` }));
    expect((await send(batch(events))).body).toMatchObject({ received: 6_000, accepted: 6_000 });
  });
});

describe("one event in several modes", () => {
  test.each([
    ["JSON", "application/json", '{"a":[1,2]}', { data: { a: [1, 2] } }],
    ["text", "text/plain", "plain é", { data: "plain é" }],
    ["bytes", "image/png", bytes([1, 2, 3, 250]), { data_base64: "AQID+g==" }],
  ] as const)("ONE1, ONE4: %s counts once", async (_what, type, body, payload) => {
    const id = nextId();
    const first = await send(binary({ "ce-id": id, "ce-partitionkey": "k%20k" }, type, body));
    expect(first.body).toMatchObject({ accepted: 1 });
    const same = event({ id, partitionkey: "k k", datacontenttype: type, ...payload });
    expect((await send(structured(same))).body).toMatchObject({ duplicates: 1 });
    expect((await send(batch([same, same]))).body).toMatchObject({ duplicates: 2 });
    const other = await send(binary({ "ce-id": id, "ce-partitionkey": "k%20k" }, "text/plain", "other"));
    expect(other.body).toMatchObject({ status: 409, code: "id_reused" });
  });

  test("gzip is taken off a binary event's data", async () => {
    const packed = await gzip("<packed/>");
    const given = { ...binary({ "content-encoding": "gzip" }, "text/xml"), body: packed };
    expect(seenIn(await send(given, FULL))).toMatchObject({ data: "<packed/>" });
  });

  test("C Size Limits: 64 KiB and more are taken, also as base64", async () => {
    for (const [size, type] of [
      [65_536, "image/png"],
      [190_000, "image/png"],
      [260_000, "text/plain"],
    ] as const) {
      const payload = new Uint8Array(size).fill(0x7a);
      const answer = await send(binary({ "ce-type": "echo.forget" }, type, payload));
      expect(answer.body, `${size} bytes`).toMatchObject({ accepted: 1, quarantined: 0 });
    }
  });

  test("a flaw in a header is told with the id that another header has", async () => {
    const { body } = await send(binary({ "ce-ext": "%zz", "ce-id": "known%20id" }));
    expect(body["errors"]).toMatchObject([{ id: "known id", code: "invalid_extension", attribute: "ext" }]);
  });
});

describe("the plain types stay lenient", () => {
  test.each(["application/json", "application/x-ndjson"])("%s", async (type) => {
    const lenient = {
      type: "echo.say",
      id: nextId(),
      key: "k",
      source: "not a URI",
      my_ext: 1.5,
      time: "2026-01-31 12:00:00Z",
    };
    const answer = await send({ headers: { "content-type": type }, body: JSON.stringify(lenient) }, FULL);
    expect(seenIn(answer)).toMatchObject({ partitionkey: "k", source: "not a URI", my_ext: 1.5 });
  });

  test("and their codes have the attribute beside them", async () => {
    const { body } = await send({
      headers: { "content-type": "application/json" },
      body: JSON.stringify([{ type: "echo.say", key: "k", time: "x" }, {}]),
    });
    expect(body["errors"]).toMatchObject([
      { code: "invalid_time", attribute: "time" },
      { code: "missing_type", attribute: "type" },
    ]);
  });
});

describe("IN1: any headers and body", () => {
  const piece = oneof(
    string({ maxLength: 8 }),
    constantFrom('"', "\\", "%", "%2", "%41", "%E2%82%AC", "%ED%A0%80", " ", "\t", ",", ";", "="),
  );
  // The characters that HTTP itself lets through: the rest never reaches the app.
  const value = array(piece, { maxLength: 6 }).map((pieces) =>
    pieces
      .join("")
      .replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "")
      .trim(),
  );
  const name = constantFrom(
    "id",
    "source",
    "type",
    "specversion",
    "time",
    "subject",
    "dataschema",
    "ext",
    "x-y",
    "key",
    "partitionkey",
    "datacontenttype",
  );
  const type = oneof(
    constantFrom("application/json", "text/plain", "text/plain; charset=utf-8", STRUCTURED, BATCH),
    value,
  );
  const body = oneof(
    uint8Array({ maxLength: 40 }),
    string({ maxLength: 20 }).map((text) => new TextEncoder().encode(text)),
  );

  test("give a status that isn't 5xx, and a problem document where they are no event", async () => {
    const sent = record({ headers: array(record({ name, value }), { maxLength: 4 }), type, body });
    const property = asyncProperty(sent, async ({ headers: drawn, type: contentType, body: payload }) => {
      const given = binary({
        "content-type": contentType,
        ...Object.fromEntries(drawn.map((one) => [`ce-${one.name}`, one.value])),
      });
      const answer = await send({ ...given, body: payload as Uint8Array<ArrayBuffer> });
      expect([200, 400, 409, 415, 422]).toContain(answer.status);
    });
    await assert(property, { numRuns: 400 });
  });
});
