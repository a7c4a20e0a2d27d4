/** An event on its way out: its line of NDJSON, with an id that is made once (ONE1). */
import { KeyframeError } from "./keyframe-error.ts";

/** A CloudEvents 1.0 event. The client makes a missing id, and the app fills in the other missing members. */
export interface OutgoingEvent {
  readonly type: string;
  readonly id?: string;
  readonly source?: string;
  /** RFC 3339. */
  readonly time?: string;
  /** Short for `partitionkey`. */
  readonly key?: string;
  readonly subject?: string;
  readonly data?: unknown;
  readonly [extension: string]: unknown;
}

export interface Outgoing {
  readonly id: string;
  readonly line: string;
  /** The size of the line in UTF-8, its end included. */
  readonly bytes: number;
}

const encoder = new TextEncoder();

/** @throws KeyframeError if JSON can't carry the event */
export function outgoing(event: OutgoingEvent, uuid: () => string): Outgoing {
  // The app rejects an `id` that isn't a string, and says so.
  const id = event.id ?? uuid();
  let line: string | undefined;
  try {
    line = JSON.stringify(event.id === id ? event : { ...event, id });
  } catch (error) {
    throw new KeyframeError("not_json", `the event isn't JSON: ${error instanceof Error ? error.message : "unknown"}`);
  }
  if (line === undefined) throw new KeyframeError("not_json", `an event is an object, not ${typeof event}`);
  return { id, line, bytes: encoder.encode(line).length + 1 };
}
