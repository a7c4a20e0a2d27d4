/** Media types (RFC 2046, in the grammar of RFC 2045), as headers and `datacontenttype` have them. */

export interface MediaType {
  /** Type and subtype in small letters, such as "text/plain". */
  readonly name: string;
  /** In small letters; null where none is said. */
  readonly charset: string | null;
}

const TOKEN = "[!#$%&'*+\\-.0-9A-Z^_`a-z{|}~]+";
const PARAMETER = `(${TOKEN})=(${TOKEN}|"(?:[^"\\\\]|\\\\.)*")`;
/** White space has one place each where it can stand: so there is one way only to read a text, or to fail. */
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})[ \\t]*((?:;[ \\t]*(?:${PARAMETER}[ \\t]*)?)*)$`);
const PARAMETERS = new RegExp(PARAMETER, "g");

/** Null where the text is no media type. */
export function mediaType(text: string): MediaType | null {
  const match = MEDIA_TYPE.exec(text);
  if (match === null) return null;
  let charset: string | null = null;
  for (const [, name, value] of (match[2] ?? "").matchAll(PARAMETERS))
    if (name!.toLowerCase() === "charset") charset ??= unquoted(value!).toLowerCase();
  return { name: match[1]!.toLowerCase(), charset };
}

const unquoted = (value: string): string =>
  value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1") : value;

/** Declares JSON: a subtype that is `json`, or ends with `+json` (JSON event format, 3.1.1). */
export const isJsonType = ({ name }: MediaType): boolean => /\/(?:.*\+)?json$/.test(name);

/** Declares text, in UTF-8 as far as it says. */
export function isTextType({ name, charset }: MediaType): boolean {
  if (charset !== null) return isUtf8(charset);
  return name.startsWith("text/") || /\/(?:.*\+)?xml$/.test(name);
}

export const isUtf8 = (charset: string): boolean => charset === "utf-8" || charset === "utf8" || charset === "us-ascii";
