/** Media types (RFC 2046, in the grammar of RFC 2045), as in headers and in `datacontenttype`. */

export interface MediaType {
  /** Type and subtype in lower case, such as "text/plain". */
  readonly name: string;
  /** Charset in lower case, or null if none is given. */
  readonly charset: string | null;
}

const TOKEN = "[!#$%&'*+\\-.0-9A-Z^_`a-z{|}~]+";
const PARAMETER = `(${TOKEN})=(${TOKEN}|"(?:[^"\\\\]|\\\\.)*")`;
/** White space can match in one place each. So there is only one way to read a text, or to fail. */
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})[ \\t]*((?:;[ \\t]*(?:${PARAMETER}[ \\t]*)?)*)$`);
const PARAMETERS = new RegExp(PARAMETER, "g");

/** Returns null if the text is no media type. */
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

/** Returns true for JSON: the subtype is `json`, or ends with `+json` (JSON event format, 3.1.1). */
export const isJsonType = ({ name }: MediaType): boolean => /\/(?:.*\+)?json$/.test(name);

/** Returns true for text. A charset that is given must be UTF-8. */
export function isTextType({ name, charset }: MediaType): boolean {
  if (charset !== null) return isUtf8(charset);
  return name.startsWith("text/") || /\/(?:.*\+)?xml$/.test(name);
}

export const isUtf8 = (charset: string): boolean => charset === "utf-8" || charset === "utf8" || charset === "us-ascii";
