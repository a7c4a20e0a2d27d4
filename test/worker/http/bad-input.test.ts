/**
 * IN1: what clients send is never trusted. Three tables: what is refused whole, what is refused in part, and what looks
 * bad and is good. Each row has its exact status and code; no row gives a 5xx; no refused row changes anything.
 */
import { constants, deflateRawSync } from "node:zlib";
import { array, assert, asyncProperty, constantFrom, nat, record, uint8Array } from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { REQUEST_BYTES } from "../../../src/engine/base/limits.ts";
import { add, bytes, call, fetchApp, get, gzip, postEvents, stateOf, type Answer } from "../http.ts";

interface Given {
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: BodyInit | null | (() => BodyInit | Promise<BodyInit>);
}
type Row = readonly [what: string, given: Given, status: number, code: string];

const CANARY = { n: 41, events: 1 };
/** A good event, but for what is given. It would change the canary. */
const bad = (more: Record<string, unknown>): string =>
  JSON.stringify({ type: "tally.add", id: "bad", key: "canary", data: { n: 1 }, ...more });
const good = bad({});
/** The same, with a piece of text in the place of `data`. */
const withData = (data: string): string => `{"type":"tally.add","id":"bad","key":"canary","data":${data}}`;
const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;

const post =
  (path: string, type: string) =>
  (body: Given["body"], headers: Record<string, string> = {}) =>
    ({ path, method: "POST", headers: { "content-type": type, ...headers }, body }) satisfies Given;
const json = post("/v1/events", "application/json");
const lines = post("/v1/events", "application/x-ndjson");
const ask = post("/v1/operators/tally/ask", "application/json");
const batch = post("/v1/operators/tally/state/batch", "application/json");
const at = (method: string, path: string): Given => ({ path, method, headers: {}, body: null });
const read = (path: string): Given => at("GET", `/v1/operators/tally${path}`);
const typed = (type: string): Given => json(good, { "content-type": type });
const packed = (encoding: string, body: Given["body"]): Given => json(body, { "content-encoding": encoding });
const strict = { prefer: "handling=strict" };
const numbered = (other: Record<string, string> = {}): Record<string, string> => ({
  "producer-id": "p",
  "producer-epoch": "1",
  "producer-seq": "1",
  ...other,
});
const full = { prefer: "return=representation" };
const eventOfBytes = (length: number): string => withData(`{"n":1,"pad":"${"x".repeat(length)}"}`);

/** 96 MB of white space, made as it is read. */
/** Gzip of 20 MB of one letter, so many times over, without its end. */
const bomb = (times: number): Blob => {
  const piece = deflateRawSync(new Uint8Array(20_000_000).fill(97), { finishFlush: constants.Z_FULL_FLUSH });
  const head = Uint8Array.of(31, 139, 8, 0, 0, 0, 0, 0, 0, 3);
  return new Blob([head, ...Array.from({ length: times }, () => Uint8Array.from(piece))]);
};

const flood = (): ReadableStream<Uint8Array> => {
  const chunk = new Uint8Array(1_000_000).fill(10);
  let sent = 0;
  return new ReadableStream({
    pull: (to) => (sent++ < 96 ? to.enqueue(chunk) : to.close()),
  });
};

const MEDIA: readonly Row[] = [
  ["no content type", { ...json(bytes(good)), headers: {} }, 415, "unsupported_media_type"],
  ["plain text", typed("text/plain"), 415, "unsupported_media_type"],
  ["a form", typed("application/x-www-form-urlencoded"), 415, "unsupported_media_type"],
  ["a type that only begins like JSON", typed("application/json-seq"), 415, "unsupported_media_type"],
  ["a list of types", typed("application/json, application/x-ndjson"), 415, "unsupported_media_type"],
  ["charset latin-1", typed("application/json; charset=iso-8859-1"), 415, "unsupported_charset"],
  ["charset UTF-16 in quotes", typed('application/json; charset="utf-16"'), 415, "unsupported_charset"],
  ["brotli", packed("br", bytes(good)), 415, "unsupported_encoding"],
  ["gzip twice", packed("gzip, gzip", bytes(good)), 415, "unsupported_encoding"],
  ["gzip that isn't", packed("gzip", good), 400, "malformed_gzip"],
  ["gzip without a byte", packed("gzip", bytes()), 400, "malformed_gzip"],
  ["gzip cut short", packed("gzip", async () => (await gzip(good)).slice(0, -9)), 400, "malformed_gzip"],
  ["gzip with a wrong checksum", packed("gzip", async () => flipped(await gzip(good), -5)), 400, "malformed_gzip"],
  ["gzip with rubbish behind", packed("gzip", async () => bytes([...(await gzip(good))], "x")), 400, "malformed_gzip"],
  [
    "gzip whose second member is cut short",
    packed("gzip", async () => bytes([...(await gzip("[")), ...(await gzip(`${good}]`)).slice(0, -3)])),
    400,
    "malformed_gzip",
  ],
  ["a gzip bomb", packed("gzip", () => gzip(new Uint8Array(20_000_000).fill(32))), 413, "body_too_large"],
  [
    "a gzip bomb of one line",
    lines(() => gzip(new Uint8Array(20_000_000).fill(32)), { "content-encoding": "gzip" }),
    413,
    "gzip_bomb",
  ],
  ["a gzip bomb of one line of 400 MB", lines(() => bomb(20), { "content-encoding": "gzip" }), 413, "gzip_bomb"],
  ["a gzip bomb of 2 GB", packed("gzip", () => bomb(100)), 413, "body_too_large"],
  ["JSON of 96 MB", json(flood), 413, "body_too_large"],
  ["an array of more than is held", json(`["${"x".repeat(REQUEST_BYTES)}"]`), 413, "body_too_large"],
];

const JSON_TEXT: readonly Row[] = [
  ["no body", json(null), 400, "empty_body"],
  ["an empty body", json(""), 400, "empty_body"],
  ["white space only", json(" \n\t "), 400, "empty_body"],
  ["an empty array", json("[]"), 400, "empty_body"],
  ["no lines", lines(""), 400, "empty_body"],
  ["blank lines only", lines("\n\r\n  \n"), 400, "empty_body"],
  ["null", json("null"), 400, "not_an_event"],
  ["a number", json("5"), 400, "not_an_event"],
  ["a string", json('"tally.add"'), 400, "not_an_event"],
  ["an object without end", json("{"), 400, "malformed_json"],
  ["an array without end", json(`[${good}`), 400, "malformed_json"],
  ["single quotes", json("{'type':'tally.add'}"), 400, "malformed_json"],
  ["NaN", json(withData('{"n":NaN}')), 400, "malformed_json"],
  ["a comment", json(`${good} // yes`), 400, "malformed_json"],
  ["a trailing comma", json(`[${good},]`), 400, "malformed_json"],
  ["a trailing comma after a hundred other flaws", json(`[${"{},".repeat(150)}]`), 400, "malformed_json"],
  ["a hole in the array", json(`[${good},,${good}]`), 400, "malformed_json"],
  ["wrong brackets", json(`[{"type":"tally.add"]}`), 400, "malformed_json"],
  ["white space that JSON doesn't know", json(`[\u00a0${good}]`), 400, "malformed_json"],
  ["an event of 5 MB, not looked into", json(`{"pad":[${"1,".repeat(2_500_000)}`), 422, "event_too_large"],
  ["5 MB of an array without end", json(`[{"pad":[${"1,".repeat(2_500_000)}`), 400, "malformed_json"],
  ["an array with an event of 5 MB", json(`[${good},[${"1,".repeat(2_500_000)}]]`), 413, "event_too_large"],
  ["an array of 3 million scalars", json(`[${"1,".repeat(3_000_000)}1]`), 413, "too_many_events"],
  ["two documents", json(good + good), 400, "malformed_json"],
  ["two documents on two lines", json(`${good}\n${good}`), 400, "malformed_json"],
  ["a line break in a string", json('{"type":"tally\nadd"}'), 400, "malformed_json"],
  ["a byte order mark twice", json(`\ufeff\ufeff${good}`), 400, "malformed_json"],
  ["broken UTF-8", json(bytes('{"type":"tally.add","key":"', [0xc3, 0x28], '"}')), 400, "invalid_utf8"],
  ["half a surrogate in UTF-8", json(bytes('{"type":"', [0xed, 0xa0, 0x80], '"}')), 400, "invalid_utf8"],
  ["UTF-16", json(bytes([0xff, 0xfe, 0x7b, 0, 0x7d, 0])), 400, "invalid_utf8"],
  ["UTF-16, the other way round", json(bytes([0xfe, 0xff, 0, 0x7b, 0, 0x7d])), 400, "invalid_utf8"],
  ["UTF-16 without a byte order mark", json(bytes([0x7b, 0, 0x7d, 0])), 400, "invalid_utf8"],
  ["lines in UTF-16", lines(bytes([0xff, 0xfe, 0x7b, 0, 0x7d, 0, 10, 0, 0x7b, 0])), 400, "invalid_utf8"],
  ["100,000 open brackets", json("[".repeat(100_000)), 400, "malformed_json"],
  ["100,000 nested arrays", json(nested(100_000)), 422, "not_an_object"],
  ["an array of scalars", json('[1,"a",null,true]'), 422, "not_an_object"],
  ["an array in an array", json(`[[${good}]]`), 422, "not_an_object"],
];

const ATTRIBUTES: readonly Row[] = [
  ["no type", json("{}"), 422, "missing_type"],
  ["type null, which is none", json(bad({ type: null })), 422, "missing_type"],
  ["type empty", json(bad({ type: "" })), 422, "invalid_attribute"],
  ["type a number", json(bad({ type: 1 })), 422, "invalid_attribute"],
  ["type an array", json(bad({ type: ["tally.add"] })), 422, "invalid_attribute"],
  ["type unknown", json(bad({ type: "tally.sub" })), 422, "unknown_type"],
  ["type __proto__", json(bad({ type: "__proto__" })), 422, "unknown_type"],
  ["type of the engine's own", json(bad({ type: "keyframe.quarantine.retry" })), 422, "unknown_type"],
  ["id a number", json(bad({ id: 5 })), 422, "invalid_attribute"],
  ["id empty", json(bad({ id: "" })), 422, "invalid_attribute"],
  ["id of 1,025 bytes", json(bad({ id: "i".repeat(1_025) })), 422, "invalid_attribute"],
  ["id with half a surrogate", json(bad({ id: "\ud800" })), 422, "invalid_attribute"],
  ["source empty", json(bad({ source: "" })), 422, "invalid_attribute"],
  ["source of 1,025 bytes", json(bad({ source: "é".repeat(513) })), 422, "invalid_attribute"],
  ["source an object", json(bad({ source: {} })), 422, "invalid_attribute"],
  ["subject true", json(bad({ subject: true })), 422, "invalid_attribute"],
  ["subject empty", json(bad({ subject: "" })), 422, "invalid_attribute"],
  ["time without zone", json(bad({ time: "2026-01-31T12:00:00" })), 422, "invalid_time"],
  ["time a number", json(bad({ time: 1_700_000_000_000 })), 422, "invalid_time"],
  ["time on 30 February", json(bad({ time: "2026-02-30T00:00:00Z" })), 422, "invalid_time"],
  ["time on 29 February of a common year", json(bad({ time: "2026-02-29T00:00:00Z" })), 422, "invalid_time"],
  ["time at 24:00", json(bad({ time: "2026-01-31T24:00:00Z" })), 422, "invalid_time"],
  ["time with a second 60 at noon", json(bad({ time: "2026-01-31T12:00:60Z" })), 422, "invalid_time"],
  ["time before the year 0000", json(bad({ time: "0000-01-01T00:00:00+01:00" })), 422, "invalid_time"],
  ["time after the year 9999", json(bad({ time: "9999-12-31T23:59:59-01:00" })), 422, "invalid_time"],
  ["time of a mail", json(bad({ time: "Sat, 31 Jan 2026 12:00:00 GMT" })), 422, "invalid_time"],
  ["specversion 0.3", json(bad({ specversion: "0.3" })), 422, "invalid_attribute"],
  ["specversion a number", json(bad({ specversion: 1 })), 422, "invalid_attribute"],
  ["datacontenttype a number", json(bad({ datacontenttype: 7 })), 422, "invalid_attribute"],
  ["dataschema an array", json(bad({ dataschema: [] })), 422, "invalid_attribute"],
  ["data and data_base64", json(bad({ data_base64: "AA==" })), 422, "invalid_attribute"],
  ["data_base64 a number", json(bad({ data: undefined, data_base64: 0 })), 422, "invalid_attribute"],
  ["an extension that is an object", json(bad({ trace: { a: 1 } })), 422, "invalid_attribute"],
  ["an extension that is an array", json(bad({ __proto: [1] })), 422, "invalid_attribute"],
  ["no data", json(bad({ data: undefined })), 422, "invalid_data"],
  ["data null", json(bad({ data: null })), 422, "invalid_data"],
  ["data of the wrong type", json(bad({ data: { n: "1" } })), 422, "invalid_data"],
  ["data with a fraction", json(bad({ data: { n: 1.5 } })), 422, "invalid_data"],
  ["data whose member is only inherited", json(withData('{"__proto__":{"n":1}}')), 422, "invalid_data"],
];

const KEYS: readonly Row[] = [
  ["no key", json(bad({ key: undefined })), 422, "missing_key"],
  ["key null, which is none", json(bad({ key: null })), 422, "missing_key"],
  ["key empty", json(bad({ key: "" })), 422, "invalid_attribute"],
  ["key a number", json(bad({ key: 7 })), 422, "invalid_attribute"],
  ["key of 1,025 bytes", json(bad({ key: "k".repeat(1_025) })), 422, "invalid_attribute"],
  ["key of 1,026 bytes in 342 characters", json(bad({ key: "€".repeat(342) })), 422, "invalid_attribute"],
  ["key with a high surrogate alone", json(bad({ key: "a\ud83d" })), 422, "invalid_attribute"],
  ["key with a low surrogate alone", json(bad({ key: "\ude00a" })), 422, "invalid_attribute"],
  ["key and partitionkey differ", json(bad({ partitionkey: "other" })), 422, "invalid_attribute"],
  ["a made key of 1,025 bytes", json(made("o".repeat(1_025))), 422, "invalid_key"],
  ["a made key with half a surrogate", json(made("\udc00")), 422, "invalid_key"],
  ["a key function that throws", json(shelved("the key function throws")), 422, "missing_key"],
  ["a key that is no string", json(shelved("the key is a number")), 422, "invalid_key"],
  ["a key whose group can't be made", json(shelved("no slash")), 422, "invalid_key"],
];

const NUMBERS: readonly Row[] = [
  ["2^53", json(withData('{"n":9007199254740992}')), 422, "unsafe_integer"],
  ["2^53 + 1", json(withData('{"n":9007199254740993}')), 422, "unsafe_integer"],
  ["-2^53 - 1", json(withData('{"n":-9007199254740993}')), 422, "unsafe_integer"],
  ["2^53 + 1 with an exponent", json(withData('{"n":9007199254740993e0}')), 422, "unsafe_integer"],
  ["1e400", json(withData('{"n":1e400}')), 422, "unsafe_integer"],
  ["-1e400", json(withData('{"n":-1e400}')), 422, "unsafe_integer"],
  ["a large number with a fraction", json(withData('{"n":123456789012345678.5}')), 422, "unsafe_integer"],
  ["a thousand digits", json(withData(`{"n":${"9".repeat(1_000)}}`)), 422, "unsafe_integer"],
  ["an unsafe integer deep inside", json(withData('{"n":1,"x":[{"y":9007199254740993}]}')), 422, "unsafe_integer"],
  ["an unsafe integer as extension", json(good.replace("{", '{"ext":9007199254740993,')), 422, "unsafe_integer"],
  ["01", json(withData('{"n":01}')), 400, "malformed_json"],
  ["0x10", json(withData('{"n":0x10}')), 400, "malformed_json"],
  ["depth 65", json(withData(`{"n":1,"x":${nested(63)}}`)), 422, "too_deep"],
  ["depth 50,000", json(withData(`{"n":1,"x":${nested(50_000)}}`)), 422, "too_deep"],
];

const LIMITS: readonly Row[] = [
  ["an event above 256 KiB", json(eventOfBytes(256 * 1024)), 422, "event_too_large"],
  ["a line above 256 KiB", lines(eventOfBytes(256 * 1024)), 422, "event_too_large"],
  ["a line of 3 MB without end", lines("x".repeat(3_000_000)), 422, "event_too_large"],
  ["an array of 100,001", json(`[${"1,".repeat(100_000)}1]`), 413, "too_many_events"],
  ["representation of 1,001", json(`[${`${good},`.repeat(1_000)}${good}]`, full), 413, "too_many_results"],
  ["representation of 1,001 lines", lines(`${good}\n`.repeat(1_001), full), 413, "too_many_results"],
  ["strict, above 1 MB", json(`[${good}${" ".repeat(1_000_000)}]`, strict), 413, "body_too_large"],
  ["strict lines, above 1 MB", lines(`${good}\n`.repeat(20_000), strict), 413, "body_too_large"],
  ["strict, one of two bad", json(`[${good},{}]`, strict), 422, "strict"],
  ["strict lines, one of two bad", lines(`${good}\nnonsense`, strict), 422, "strict"],
  ["strict, an unknown type", json(`[${good},${bad({ type: "no" })}]`, strict), 422, "strict"],
  ["an empty Idempotency-Key", json(good, { "idempotency-key": "" }), 400, "invalid_idempotency_key"],
  ["Producer-Id alone", json(good, { "producer-id": "p" }), 400, "invalid_producer"],
  ["an empty Producer-Id", json(good, numbered({ "producer-id": "" })), 400, "invalid_producer"],
  ["Producer-Id too long", json(good, numbered({ "producer-id": "p".repeat(961) })), 400, "invalid_producer"],
  ["Producer-Seq with a sign", json(good, numbered({ "producer-seq": "-1" })), 400, "invalid_producer"],
  ["Producer-Seq that isn't whole", json(good, numbered({ "producer-seq": "1.5" })), 400, "invalid_producer"],
  ["Producer-Seq of 2^53", json(good, numbered({ "producer-seq": "9007199254740992" })), 400, "invalid_producer"],
  ["Producer-Epoch in words", json(good, numbered({ "producer-epoch": "one" })), 400, "invalid_producer"],
  ["a numbered ask", ask(good, numbered()), 400, "invalid_producer"],
  ["Idempotency-Key too long", json(good, { "idempotency-key": "k".repeat(1_009) }), 400, "invalid_idempotency_key"],
];

const ASK: readonly Row[] = [
  [
    "ask as NDJSON",
    { ...ask(good), headers: { "content-type": "application/x-ndjson" } },
    415,
    "unsupported_media_type",
  ],
  ["ask without type", { ...ask(bytes(good)), headers: {} }, 415, "unsupported_media_type"],
  ["ask with an array", ask(`[${good}]`), 400, "not_an_event"],
  ["ask with a scalar", ask("1"), 400, "not_an_event"],
  ["ask with nothing", ask(""), 400, "empty_body"],
  ["ask with two documents", ask(good + good), 400, "malformed_json"],
  ["ask in broken UTF-8", ask(bytes([0xff])), 400, "invalid_utf8"],
  ["ask of another operator's type", ask('{"type":"text.line","data":"x"}'), 422, "unknown_type"],
  ["ask of no type", ask("{}"), 422, "missing_type"],
  ["ask of a wrong schema", ask(bad({ data: { n: "x" } })), 422, "invalid_data"],
  ["ask without key", ask(bad({ key: undefined })), 422, "missing_key"],
  ["ask with an unsafe integer", ask(withData('{"n":9007199254740993}')), 422, "unsafe_integer"],
  ["ask above 4 MB", ask(eventOfBytes(4_000_000)), 413, "body_too_large"],
  ["ask above 256 KiB", ask(eventOfBytes(256 * 1024)), 422, "event_too_large"],
  [
    "ask with a long Idempotency-Key",
    ask(good, { "idempotency-key": "k".repeat(1_009) }),
    400,
    "invalid_idempotency_key",
  ],
  ["ask of no operator", { ...ask(good), path: "/v1/operators/nobody/ask" }, 404, "no_operator"],
];

const ROUTES: readonly Row[] = [
  ["no route", at("GET", "/v1/nothing"), 404, "no_route"],
  ["a route outside /v1", at("POST", "/events"), 404, "no_route"],
  ["GET where POST is", at("GET", "/v1/events"), 405, "method_not_allowed"],
  ["DELETE where GET is", at("DELETE", "/v1/operators"), 405, "method_not_allowed"],
  ["an unknown timeline", { ...json(good), path: "/v1/events?timeline=side" }, 404, "no_timeline"],
  ["state of no operator", at("GET", "/v1/operators/nobody/state?key=canary"), 404, "no_operator"],
  ["operator __proto__", at("GET", "/v1/operators/__proto__/state?key=canary"), 404, "no_operator"],
  ["operator in broken percents", at("GET", "/v1/operators/%E0%A4%A/state?key=a"), 404, "no_operator"],
  ["partition 4 of 4", read("/partitions/4"), 404, "no_partition"],
  ["partition -1", read("/partitions/-1"), 404, "no_partition"],
  ["partition 1e0", read("/partitions/1e0"), 404, "no_partition"],
  ["snapshot of no partition", at("POST", "/v1/operators/tally/partitions/x/snapshot"), 404, "no_partition"],
  ["no manifest", read("/partitions/0/manifests/7"), 404, "no_manifest"],
  ["retry of nothing", at("POST", "/v1/operators/tally/quarantine/0-1/retry"), 404, "not_quarantined"],
  ["retry of nonsense", at("POST", "/v1/operators/tally/quarantine/nonsense/retry"), 404, "not_quarantined"],
  ["delete in no partition", at("DELETE", "/v1/operators/tally/quarantine/99-1"), 404, "not_quarantined"],
];

const READS: readonly Row[] = [
  ["a key that isn't there", read("/state?key=nobody"), 404, "no_state"],
  ["key __proto__, not there", read("/state?key=__proto__"), 404, "no_state"],
  ["an empty key", read("/state?key="), 400, "invalid_key"],
  ["an empty key in the path", read("/state/"), 400, "invalid_key"],
  ["a key of 1,025 bytes", read(`/state?key=${"k".repeat(1_025)}`), 400, "invalid_key"],
  ["broken percents in the path", read("/state/%E0%A4%A"), 400, "invalid_key"],
  ["a percent alone in the path", read("/state/50%"), 400, "invalid_key"],
  ["a key that no group can be made of", at("GET", "/v1/operators/shelves/state?key=no-slash"), 400, "invalid_key"],
  ["limit 0", read("/state?limit=0"), 400, "invalid_limit"],
  ["limit 1,001", read("/state?limit=1001"), 400, "invalid_limit"],
  ["limit 1.5", read("/state?limit=1.5"), 400, "invalid_limit"],
  ["limit in words", read("/state?limit=ten"), 400, "invalid_limit"],
  ["limit empty", read("/state?limit="), 400, "invalid_limit"],
  ["limit 0 of the quarantine", read("/quarantine?limit=0"), 400, "invalid_limit"],
  ["limit 1e3 of the quarantine", read("/quarantine?limit=1e3"), 400, "invalid_limit"],
  ["a cursor that is no entry", read("/quarantine?cursor=first"), 400, "invalid_cursor"],
  ["a cursor of a partition that isn't there", read("/quarantine?cursor=4-1"), 400, "invalid_cursor"],
  ["a cursor that isn't base64", read("/state?cursor=!!"), 400, "invalid_cursor"],
  ["a cursor that isn't UTF-8", read("/state?cursor=_w"), 400, "invalid_cursor"],
  ["a moment that is none", read("/state?key=canary&at=last%20Tuesday"), 400, "invalid_moment"],
  ["a batch of nothing", batch(""), 400, "invalid_keys"],
  ["a batch in broken JSON", batch('{"keys":['), 400, "invalid_keys"],
  ["a batch in broken UTF-8", batch(bytes('{"keys":["', [0xff], '"]}')), 400, "invalid_utf8"],
  ["a batch without keys", batch("{}"), 400, "invalid_keys"],
  ["a batch that is null", batch("null"), 400, "invalid_keys"],
  ["a batch whose keys are an object", batch('{"keys":{"0":"a"}}'), 400, "invalid_keys"],
  ["a batch with a number", batch('{"keys":["a",1]}'), 400, "invalid_keys"],
  ["a batch with an empty key", batch('{"keys":[""]}'), 400, "invalid_keys"],
  ["a batch with half a surrogate", batch('{"keys":["\\ud800"]}'), 400, "invalid_keys"],
  ["a batch of 501", batch(JSON.stringify({ keys: Array.from({ length: 501 }, String) })), 400, "invalid_keys"],
  ["a batch of 3 MB", batch(`{"keys":[]${" ".repeat(3_000_000)}}`), 413, "body_too_large"],
  [
    "a batch with a key that no group can be made of",
    { ...batch('{"keys":["a/b","no-slash"]}'), path: "/v1/operators/shelves/state/batch" },
    400,
    "invalid_keys",
  ],
];

type PartRow = readonly [
  what: string,
  given: Given,
  status: number,
  counts: Readonly<Record<string, number>>,
  errors: readonly (readonly [index: number, code: string])[],
];

/** An event of its own for the parts table; it has its row's word for id and key. */
const one = (word: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ type: "tally.add", id: word, key: `part-${word}`, data: { n: 1 }, ...more });
const long = (word: string, length: number): string => one(word, { pad: "x".repeat(length) });

const PARTS: readonly PartRow[] = [
  [
    "a line in broken UTF-8",
    lines(bytes(one("a1"), "\n", [0x7b, 0xff, 0x7d], "\n", one("a2"))),
    207,
    { received: 3, accepted: 2, rejected: 1, through: 3 },
    [[1, "invalid_utf8"]],
  ],
  [
    "a byte order mark, and a line in broken UTF-8",
    lines(bytes([0xef, 0xbb, 0xbf], one("b1"), "\n", [0xff], "\n")),
    207,
    { received: 2, accepted: 1, rejected: 1, through: 2 },
    [[1, "invalid_utf8"]],
  ],
  [
    "lines of rubbish",
    lines(`nonsense\n${one("c1")}\n{"type":\n[1]\nnull\n${one("c2")},\n`),
    207,
    { received: 6, accepted: 1, rejected: 5, through: 6 },
    [
      [0, "malformed_json"],
      [2, "malformed_json"],
      [3, "not_an_object"],
      [4, "not_an_object"],
      [5, "malformed_json"],
    ],
  ],
  [
    "a line above 256 KiB",
    lines(`${one("d1")}\n${long("d2", 256 * 1024)}\n${one("d3")}\n`),
    207,
    { received: 3, accepted: 2, rejected: 1, through: 3 },
    [[1, "event_too_large"]],
  ],
  [
    "a line of 3 MB in many pieces",
    lines(() => pieces(`${one("e1")}\n${long("e2", 3_000_000)}\n${one("e3")}`, 60_000)),
    207,
    { received: 3, accepted: 2, rejected: 1, through: 3 },
    [[1, "event_too_large"]],
  ],
  [
    "every kind of event",
    json(
      `[${one("f1")},{},7,${one("f2", { type: "no" })},${one("f3", { data: {} })},${one("f4", { key: undefined })}]`,
    ),
    207,
    { received: 6, accepted: 1, rejected: 5, through: 6 },
    [
      [1, "missing_type"],
      [2, "not_an_object"],
      [3, "unknown_type"],
      [4, "invalid_data"],
      [5, "missing_key"],
    ],
  ],
  [
    "an event above 256 KiB in an array",
    json(`[${one("g1")},${long("g2", 256 * 1024)}]`),
    207,
    { received: 2, accepted: 1, rejected: 1, through: 2 },
    [[1, "event_too_large"]],
  ],
  [
    "ONE1: one event twice",
    json(`[${one("h1")},${one("h1")}]`),
    200,
    { received: 2, accepted: 1, duplicates: 1, through: 2 },
    [],
  ],
  [
    "ONE4: one id with two contents",
    json(`[${one("i1")},${one("i1", { data: { n: 2 } })}]`),
    207,
    { received: 2, accepted: 1, rejected: 1, through: 2 },
    [[1, "id_reused"]],
  ],
  [
    "ONE4: one id from two sources",
    json(`[${one("j1")},${one("j1", { source: "/other" })}]`),
    200,
    { received: 2, accepted: 2, through: 2 },
    [],
  ],
  [
    "unrouted events are ignored, others are not",
    { ...json(`[${one("k1")},${one("k2", { type: "no" })},{}]`), path: "/v1/events?unrouted=ignore" },
    207,
    { received: 3, accepted: 1, unrouted: 1, rejected: 1, through: 3 },
    [[2, "missing_type"]],
  ],
];

/** The text as a stream of pieces. */
function pieces(text: string, size: number): ReadableStream<Uint8Array> {
  const all = new TextEncoder().encode(text);
  let at = 0;
  return new ReadableStream({
    pull(to) {
      if (at >= all.length) return to.close();
      to.enqueue(all.slice(at, (at += size)));
    },
  });
}

type GoodRow = readonly [what: string, given: (key: string) => Given];
const of = (key: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ type: "tally.add", key, data: { n: 1 }, ...more });
/** The event with a piece of text as one more member of `data`. */
const carrying = (key: string, text: string): string => of(key).replace('"n":1', `"n":1,"x":${text}`);

/** Each is one event for its key. */
const GOOD: readonly GoodRow[] = [
  ["2^53 - 1", (key) => json(carrying(key, "9007199254740991"))],
  ["-2^53 + 1", (key) => json(carrying(key, "-9007199254740991"))],
  ["6.02e23", (key) => json(carrying(key, "6.02e23"))],
  ["the largest double", (key) => json(carrying(key, "1.7976931348623157e+308"))],
  ["a long fraction", (key) => json(carrying(key, "0.12345678901234567890"))],
  ["a number that is too small", (key) => json(carrying(key, "1e-400"))],
  ["large digits in a string", (key) => json(carrying(key, '"9007199254740993"'))],
  ["large digits in a name, after a quote", (key) => json(carrying(key, '{"\\"9007199254740993":6.02e23}'))],
  ["depth 64", (key) => json(carrying(key, nested(62)))],
  ["half a surrogate in data", (key) => json(carrying(key, '"\\ud800"'))],
  ["members twice, of which the last counts", (key) => json(of(key).replace("{", '{"type":"no","key":"other",'))],
  ["a member __proto__", (key) => json(carrying(key, '{"__proto__":{"n":5}}'))],
  [
    "attributes that are null",
    (key) => json(of(key, { id: null, source: null, time: null, subject: null, ext: null })),
  ],
  ["a time in small letters", (key) => json(of(key, { time: "2024-02-29t23:59:59.123456789z" }))],
  ["a time with an offset", (key) => json(of(key, { time: "2026-01-31T12:00:00-23:59" }))],
  ["an id and a source of 1,024 bytes", (key) => json(of(key, { id: "é".repeat(512), source: "s".repeat(1_024) }))],
  ["an event of 256 KiB", (key) => json(filled(key))],
  ["a line of 256 KiB", (key) => lines(filled(key))],
  ["a byte order mark", (key) => json(`\ufeff${of(key)}`)],
  ["a byte order mark before lines", (key) => lines(`\ufeff${of(key)}\n`)],
  ["white space around", (key) => json(`\r\n\t ${of(key)} \n`)],
  ["white space in an array", (key) => json(` [\n\t${of(key)}\r\n ] `)],
  ["brackets and commas in strings", (key) => json(`[${carrying(key, '"],[{\\"}"')}]`)],
  ["lines with CR LF", (key) => lines(`\r\n${of(key)}\r\n\r\n`)],
  ["charset UTF-8 in quotes", (key) => json(of(key), { "content-type": 'Application/JSON; Charset="UTF-8"' })],
  ["identity", (key) => json(of(key), { "content-encoding": "identity" })],
  ["gzip under its old name", (key) => json(() => gzip(of(key)), { "content-encoding": "x-gzip" })],
  [
    "gzip of several members",
    (key) =>
      json(async () => bytes([...(await gzip("[")), ...(await gzip(of(key))), ...(await gzip("]"))]), {
        "content-encoding": "gzip",
      }),
  ],
  ["gzip in capitals", (key) => json(() => gzip(of(key)), { "content-encoding": "GZIP" })],
  ["an Idempotency-Key of 1,008 bytes", (key) => json(of(key), { "idempotency-key": "k".repeat(1_008) })],
  ["preferences that aren't known", (key) => json(of(key), { prefer: "wait=5, handling=lenient; x" })],
];

/** Keys that trip programs up (IN2). */
const ODD_KEYS: readonly string[] = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "..",
  ".",
  "/",
  "a//b",
  "a/../b",
  "%2e%2e",
  "%",
  "?x=1&y#z",
  "+",
  " ",
  "\u0000",
  "line\nbreak\r",
  '"quoted"\\',
  "'; DROP TABLE segments; --",
  "\u202e\ufeff",
  "\uffff",
  "e\u0301",
  "\u00e9",
  "👩‍👩‍👧",
  "\u{10ffff}",
  "k".repeat(1_024),
  `${"€".repeat(341)}.`,
];

/** An event of exactly 256 KiB. */
function filled(key: string): string {
  const length = 256 * 1024 - of(key, { pad: "" }).length;
  return of(key, { pad: "x".repeat(length) });
}

const REFUSED = { MEDIA, JSON_TEXT, ATTRIBUTES, KEYS, NUMBERS, LIMITS, ASK, ROUTES, READS };

/** An event of an operator that makes its key of the data. */
function made(origin: string): string {
  return JSON.stringify({
    type: "flight.completed",
    id: "bad",
    data: { origin, destination: "SFO", distance: 1, delay: 0 },
  });
}

function shelved(shelf: string): string {
  return JSON.stringify({ type: "shelf.filled", id: "bad", data: { shelf } });
}

function flipped(data: Uint8Array<ArrayBuffer>, index: number): Uint8Array<ArrayBuffer> {
  data[data.length + index]! ^= 1;
  return data;
}

async function send({ path, method, headers, body }: Given): Promise<Answer> {
  const sent = typeof body === "function" ? await body() : body;
  return call(path, { method, headers, body: sent });
}

/** Where every partition of every operator stands. */
async function positions(): Promise<Record<string, unknown>> {
  const operators = (await get("/v1/operators")).body as unknown as { name: string }[];
  const all = operators.map(async ({ name }) => {
    const partitions = (await get(`/v1/operators/${name}/partitions`)).body as unknown as { appliedSeq: number }[];
    return [name, partitions.map(({ appliedSeq }) => appliedSeq)] as const;
  });
  return Object.fromEntries(await Promise.all(all));
}

describe("IN1: what is refused whole", () => {
  let before: Record<string, unknown>;
  beforeAll(async () => {
    expect((await postEvents(add("canary", CANARY.n))).status).toBe(200);
    before = await positions();
  });
  for (const [table, rows] of Object.entries(REFUSED))
    describe(table.toLowerCase().replace("_", " "), () => {
      test.each(rows)("%s", async (_what, given, status, code) => {
        const answer = await send(given);
        expect({ status: answer.status, code: answer.body["code"] }).toEqual({ status, code });
        expect(answer.body["detail"]).toEqual(expect.stringMatching(/./));
      });
    });
  test("the tables have at least 60 rows, all with names of their own", () => {
    const names = Object.values(REFUSED).flatMap((rows) => rows.map(([what]) => what));
    expect(names.length).toBeGreaterThanOrEqual(60);
    expect(new Set(names).size).toBe(names.length);
  });
  afterAll(async () => {
    expect(await stateOf("tally", "canary")).toEqual(CANARY);
    expect(await positions()).toEqual(before);
  });
});

describe("IN1: what is refused in part", () => {
  test.each(PARTS)("%s", async (_what, given, status, counts, errors) => {
    const answer = await send(given);
    expect(answer.status).toBe(status);
    const none = { accepted: 0, duplicates: 0, refused: 0, rejected: 0, quarantined: 0, forgotten: 0, unrouted: 0 };
    expect(answer.body).toMatchObject({ ...none, ...counts });
    const listed = answer.body["errors"] as { index: number; code: string; message: string }[];
    expect(listed.map(({ index, code }) => [index, code])).toEqual(errors);
    expect(listed.every(({ message }) => message.length > 0)).toBe(true);
  });

  test("exactly the good neighbours are there", async () => {
    const good = ["a1", "a2", "b1", "c1", "d1", "d3", "e1", "e3", "f1", "g1", "h1", "i1", "k1"];
    const { body } = await get("/v1/operators/tally/state?prefix=part-&limit=1000");
    const events = (n: number): unknown => ({ n, events: n });
    expect(body["items"]).toEqual(
      [...good, "j1"].sort().map((word) => ({ key: `part-${word}`, value: events(word === "j1" ? 2 : 1) })),
    );
  });

  test("what came before a stream broke off is decided, and told", async () => {
    const all = Array.from({ length: 20_000 }, (_, i) => of("broken-off", { id: `off-${i}` })).join("\n");
    const whole = await gzip(all);
    const { status, body } = await send(lines(whole.slice(0, -40_000), { "content-encoding": "gzip" }));
    expect({ status, code: body["code"] }).toEqual({ status: 400, code: "malformed_gzip" });
    const { received, accepted, through } = body as Record<string, number>;
    expect(accepted).toBeGreaterThan(0);
    expect({ received, through }).toEqual({ received: accepted, through: accepted });
    expect(await stateOf("tally", "broken-off")).toEqual({ n: accepted, events: accepted });
    const again = await send(lines(whole, { "content-encoding": "gzip" }));
    expect(again.body).toMatchObject({ received: 20_000, duplicates: accepted, accepted: 20_000 - accepted! });
  });

  test("the first hundred errors are listed", async () => {
    const { status, body } = await send(lines(`${"{}\n".repeat(150)}${one("l1")}\n`));
    expect(status).toBe(207);
    expect(body).toMatchObject({ received: 151, rejected: 150, accepted: 1 });
    expect((body["errors"] as { index: number }[]).map(({ index }) => index)).toEqual([...Array(100).keys()]);
  });
});

describe("a method that a path doesn't know", () => {
  test.each([
    ["GET", "/v1/events", "POST"],
    ["DELETE", "/v1/operators", "GET, HEAD"],
    ["PATCH", "/v1/operators/tally/state?key=a", "GET, HEAD, PUT, DELETE"],
    ["POST", "/v1/operators/tally/state/a/b", "GET, HEAD"],
    ["HEAD", "/v1/operators/tally/watch?key=a", "GET"],
    ["HEAD", "/v1/operators/tally/export", "GET"],
    ["POST", "/", "GET, HEAD"],
  ])("%s %s: 405, and Allow says which it knows", async (method, path, allow) => {
    const response = await fetchApp(path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
  });
});

describe("IN1: an encoding that isn't UTF-8 is named", () => {
  test.each([
    ["UTF-16", json(bytes([0xff, 0xfe, 0x7b, 0, 0x7d, 0])), /is UTF-16 \(it begins with that byte order mark\)/],
    ["UTF-16 without a byte order mark", lines(bytes([0, 0x7b, 0, 0x7d])), /is UTF-16; send UTF-8/],
    ["a second byte order mark", json(`\ufeff\ufeff${good}`), /second byte order mark/],
  ])("%s", async (_, given, detail) => {
    expect((await send(given)).body["detail"]).toMatch(detail);
  });

  test("a byte order mark before a further line, as in files that were put together", async () => {
    const { body } = await send(lines(`${good.replace("canary", "marked")}\n\ufeff${good}`));
    expect(body["errors"]).toMatchObject([
      { index: 1, code: "malformed_json", message: expect.stringContaining("byte order mark") as unknown },
    ]);
  });
});

describe("IN1: what looks bad and is good", () => {
  test.each(GOOD)("%s", async (what, given) => {
    const answer = await send(given(what));
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ received: 1, accepted: 1, through: 1, errors: [] });
    expect(await stateOf("tally", what)).toEqual({ n: 1, events: 1 });
  });

  test.each(ODD_KEYS.map((key) => [JSON.stringify(key).slice(0, 40), key] as const))("IN2: key %s", async (_, key) => {
    expect((await postEvents({ type: "tally.add", key, data: { n: 3 } })).body).toMatchObject({ accepted: 1 });
    expect(await stateOf("tally", key)).toEqual({ n: 3, events: 1 });
  });

  test("CODE2, IN2: all of that is there again after an eviction", async () => {
    for (const partition of [0, 1, 2, 3])
      await call(`/v1/operators/tally/partitions/${partition}/evict`, { method: "POST" });
    const { body } = await call("/v1/operators/tally/state/batch", {
      method: "POST",
      body: JSON.stringify({ keys: [...ODD_KEYS, ...GOOD.map(([what]) => what)] }),
    });
    expect(body["missing"]).toEqual([]);
    expect((body["items"] as { key: string; value: unknown }[]).map(({ key, value }) => ({ key, value }))).toEqual([
      ...ODD_KEYS.map((key) => ({ key, value: { n: 3, events: 1 } })),
      ...GOOD.map(([key]) => ({ key, value: { n: 1, events: 1 } })),
    ]);
  });
});

describe("IN1: any bytes", () => {
  /** Cuts, doubles and overwrites pieces of bytes. */
  const wounds = array(record({ at: nat(), cut: nat(4), put: uint8Array({ maxLength: 3 }) }), {
    minLength: 1,
    maxLength: 4,
  });
  const sound = new TextEncoder().encode(
    `[${of("wounded", { time: "2026-01-31T12:00:00Z", data: { n: 1, x: [1.5e3, null, "\\u00e9"] } })}]`,
  );

  test("give a status that isn't 5xx, and a problem document where they aren't events", async () => {
    const wounded = asyncProperty(wounds, constantFrom(json, lines), async (pieces, kind) => {
      let body = sound;
      for (const { at, cut, put } of pieces) {
        const from = at % body.length;
        body = Uint8Array.from([...body.subarray(0, from), ...put, ...body.subarray(from + cut)]);
      }
      const { status, body: answer } = await send(kind(body));
      expect([200, 207, 400, 422]).toContain(status);
      if (status === 422 || status === 207)
        expect(answer["rejected"]).toBe((answer["received"] as number) - (answer["accepted"] as number));
    });
    await assert(wounded, { numRuns: 400 });
  });
});
