/** Tells from the headers how a request carries events: two plain types, or the three content modes of CloudEvents. */
import { isUtf8, mediaType } from "../../engine/event/media-type.ts";
import { REQUIRED } from "../../engine/event/rejection.ts";
import { BodyError } from "./body.ts";

export type ContentMode = "json" | "lines" | "structured" | "batch" | "binary";

/** In these modes an event must follow the CloudEvents format strictly. */
export const isStandard = (mode: ContentMode): boolean => mode !== "json" && mode !== "lines";

/** @throws BodyError if the content mode isn't known */
export function contentMode(headers: Headers): ContentMode {
  const given = headers.get("content-type") ?? "";
  const type = mediaType(given.trim());
  // HTTP binding, section 3: a type that begins with this prefix is never binary, whatever the other headers say.
  const cloudEvents = given.trimStart().slice(0, PREFIX.length).toLowerCase() === PREFIX;
  if (!cloudEvents && isBinary(headers)) return "binary";
  if (type !== null && type.charset !== null && !isUtf8(type.charset))
    throw new BodyError(415, "unsupported_charset", `charset "${type.charset}" isn't understood; send UTF-8`);
  const mode = MODES.get(type?.name ?? "");
  if (mode !== undefined) return mode;
  throw new BodyError(
    415,
    "unsupported_media_type",
    `content-type ${JSON.stringify(given.slice(0, 100))} isn't understood; send ${[...MODES.keys()].join(", ")}, or any with ce- headers`,
  );
}

const PREFIX = "application/cloudevents";
const MODES: ReadonlyMap<string, ContentMode> = new Map([
  ["application/json", "json"],
  ["application/x-ndjson", "lines"],
  [`${PREFIX}+json`, "structured"],
  [`${PREFIX}-batch+json`, "batch"],
]);

const MANDATORY = REQUIRED.map((name) => `ce-${name}`);

/** Tests for the headers of mandatory attributes. Other `ce-` headers alone may be there by chance. */
const isBinary = (headers: Headers): boolean => MANDATORY.some((name) => headers.has(name));
