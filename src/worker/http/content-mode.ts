/** How a request carries events, by its headers: the two plain types, or one of the three content modes of CloudEvents. */
import { isUtf8, mediaType } from "../../engine/event/media-type.ts";
import { REQUIRED } from "../../engine/event/rejection.ts";
import { BodyError } from "./body.ts";

export type ContentMode = "json" | "lines" | "structured" | "batch" | "binary";

/** In these an event must be a CloudEvent to the letter. */
export const isStandard = (mode: ContentMode): boolean => mode !== "json" && mode !== "lines";

/** @throws BodyError where it is none that is understood */
export function contentMode(headers: Headers): ContentMode {
  const given = headers.get("content-type") ?? "";
  const type = mediaType(given.trim());
  // HTTP binding, section 3: what begins like this is never binary, whatever headers stand beside it.
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

/** One of the mandatory attributes is a header. Other ce- headers alone may stand there by chance. */
const isBinary = (headers: Headers): boolean => MANDATORY.some((name) => headers.has(name));
