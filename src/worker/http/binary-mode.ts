/**
 * CloudEvents in binary content mode: the attributes are headers, the body is the data (HTTP binding, 3.1). The event's
 * JSON is built by the JSON event format (3.1.1). Handlers see this JSON, and the log holds it.
 *
 * BINARYMODE1. The body of a JSON type, or of no type at all, is the member `data`, in the sender's own text.
 * BINARYMODE2. The body of a text in UTF-8 (`text/*`, XML, any type with `charset=utf-8`) is the string `data`.
 * BINARYMODE3. Every other body is `data_base64`, byte for byte. An empty body is no data.
 */
import { invalid, type Rejected } from "../../engine/event/rejection.ts";
import { isJsonType, isTextType, isUtf8, mediaType, type MediaType } from "../../engine/event/media-type.ts";
import { isAttributeName } from "../../engine/event/cloudevent.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { BodyError, refuseUtf16, utf8Text } from "./body.ts";

const PREFIX = "ce-";

/**
 * Returns the event's JSON text, still to be checked, or the rejection of a header. @throws BodyError if the body is
 * wrong
 */
export function binaryEvent(headers: Headers, body: Uint8Array): string | Rejected {
  const members: string[] = [];
  let flaw: Rejected | null = null;
  let id: string | null = null;
  for (const [header, value] of headers) {
    if (!header.startsWith(PREFIX)) continue;
    const name = header.slice(PREFIX.length);
    const decoded = headerValue(value);
    if (name === "id" && decoded.tag === "text") id = decoded.text;
    flaw ??= decoded.tag === "flaw" ? invalid(name, decoded.why) : nameFlaw(name);
    if (decoded.tag === "text") members.push(member(name, decoded.text));
  }
  const given = headers.get("content-type")?.trim() ?? "";
  const type = mediaType(given);
  if (given !== "") {
    members.push(member("datacontenttype", given));
    if (type === null) flaw ??= invalid("datacontenttype", `must be a media type (RFC 2046), not ${shown(given)}`);
  }
  if (flaw !== null) return { ...flaw, id };
  if (body.length > 0) members.push(dataMember(type, body));
  return `{${members.join(",")}}`;
}

const member = (name: string, value: string): string => `${JSON.stringify(name)}:${JSON.stringify(value)}`;
const shown = (text: string): string => JSON.stringify(text.slice(0, 60));

function nameFlaw(name: string): Rejected | null {
  if (name === "datacontenttype") return invalid(name, "is the header content-type, and not ce-datacontenttype");
  if (name === "data") return invalid(name, "is the body, and can't be a header");
  return isAttributeName(name) ? null : invalid(name, "can't be an attribute: names consist of a-z and 0-9");
}

type Decoded = { readonly tag: "text"; readonly text: string } | { readonly tag: "flaw"; readonly why: string };
const no = (why: string): Decoded => ({ tag: "flaw", why });

/**
 * HTTP binding, 3.1.3.2: decode double quotes and their backslashes first, as older senders wrote them, then percents
 * once.
 */
export function headerValue(value: string): Decoded {
  const plain = unquoted(value);
  if (plain === null) return no(`has a double quote that isn't closed: ${shown(value)}`);
  const beyond = /[^\t\u0020-\u007e]/.exec(plain)?.[0];
  if (beyond !== undefined) return no("has a character beyond printable ASCII; send it percent-encoded");
  if (/%(?![0-9A-Fa-f]{2})/.test(plain)) return no(`has a % without two hexadecimal digits: ${shown(value)}; send %25`);
  try {
    return { tag: "text", text: decodeURIComponent(plain) };
  } catch {
    return no(`has percent-encoded bytes that aren't UTF-8: ${shown(value)}`);
  }
}

/** Removes double quotes, which may enclose the whole value or a part. Returns null if a quote has no partner. */
function unquoted(value: string): string | null {
  if (!value.includes('"')) return value;
  let text = "";
  let inside = false;
  for (let i = 0; i < value.length; i++) {
    if (value[i] === '"') inside = !inside;
    else if (inside && value[i] === "\\") text += value[++i] ?? "";
    else text += value[i];
  }
  return inside ? null : text;
}

/** BINARYMODE1-BINARYMODE3. @throws BodyError */
function dataMember(type: MediaType | null, body: Uint8Array): string {
  if (type === null || isJsonType(type)) return `"data":${jsonOf(type?.charset ?? null, body)}`;
  if (isTextType(type)) {
    const text = utf8Text(body);
    if (text !== null) return member("data", text);
    // Without a charset, bytes that aren't UTF-8 become `data_base64`. With a declared charset they are a mistake of
    // the sender.
    if (type.charset !== null) throw notUtf8();
  }
  return `"data_base64":"${base64(body)}"`;
}

function jsonOf(charset: string | null, body: Uint8Array): string {
  if (charset !== null && !isUtf8(charset))
    throw new BodyError(415, "unsupported_charset", `charset "${charset}" isn't understood for JSON; send UTF-8`);
  refuseUtf16(body);
  const text = utf8Text(body)?.replace(/^\ufeff/, "");
  if (text === undefined) throw notUtf8();
  try {
    JSON.parse(text);
  } catch (error) {
    const why = messageOf(error).slice(0, 200);
    throw new BodyError(400, "malformed_json", `the data isn't JSON, though its content-type says so: ${why}`);
  }
  return text;
}

const notUtf8 = (): BodyError => new BodyError(400, "invalid_utf8", "the body isn't valid UTF-8");

/** A call may have this many arguments. */
const AT_ONCE = 8_192;

function base64(bytes: Uint8Array): string {
  let units = "";
  for (let at = 0; at < bytes.length; at += AT_ONCE) units += String.fromCharCode(...bytes.subarray(at, at + AT_ONCE));
  return btoa(units);
}
