/**
 * Segments: the form of a group of events in the log. docs/reference/formats.md describes the formats.
 *
 * SEGMENT1. The payload is one JSON document with the clients' own bytes spliced in. So writing needs no stringify for
 *     each event, and reading needs a single parse. A large payload is packed, because the transfer to D1 costs by the
 *     byte, escapes included.
 * SEGMENT2. The key is in the log, not computed again. Another key function in newer code can't move an old event
 *     (CODE2).
 * SEGMENT3. Outcomes that are more than "applied" are in the log (ONE6). The partition clock is in the log too
 *     (`ctx.now`).
 */
import { Failure, messageOf } from "../base/errors.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { seq, type Seq } from "../base/ids.ts";
import { itemsOf, jsonMembers } from "../base/json-text.ts";
import { isObject, isWhole, shown } from "../base/json.ts";
import type { Codec } from "../base/ports.ts";
import type { Segment } from "../base/records.ts";
import { loggedText, type Outcome, outcomeOf } from "./outcome.ts";

export const SEGMENT_FORMAT = 1;

/** Below this many characters, packing costs more than it saves. */
const PACK_FROM = 2_048;

/** Returns the payload for the log, of at most `bytes` in UTF-8. The payload is packed if that makes it shorter. */
export function sealPayload(
  parts: readonly string[],
  bytes: number,
  codec: Codec,
): Pick<Segment, "codec" | "checksum" | "bytes" | "payload"> {
  const chars = parts.reduce((sum, { length }) => sum + length, 0);
  const packed = chars < PACK_FROM ? null : codec.pack(parts, bytes);
  const sealed =
    packed !== null && packed.length < chars
      ? { codec: codec.packing, payload: packed }
      : { codec: PLAIN, payload: parts.join("") };
  return { ...sealed, checksum: codec.crc32(sealed.payload), bytes: chars };
}

const PLAIN = "json";

/** A parsed payload. */
export interface SegmentEvents {
  readonly events: Record<string, unknown>[];
  /** Returns the text of an event as sent, even if the object in `events` has changed meanwhile. */
  readonly sent: (index: number) => string;
  readonly keys: string[];
  /** Runs of events with one partition clock, in milliseconds. It never goes back (CLOCK3). */
  readonly at: readonly (readonly [count: number, ms: number])[];
  readonly outcomes: ReadonlyMap<number, Outcome>;
  /** The progress of numbering producers' requests that is in the log with this row (ONE2). */
  readonly marks: readonly ProducerProgress[];
}

// oxlint-disable-next-line no-control-regex -- the characters that JSON escapes with six
const CONTROL = /[\u0000-\u001f]/;

/** Length of `[count,ms],` with the largest possible numbers. */
const RUN_BYTES = 36;

/** Length of a mark without its id, with the largest possible numbers. */
const MARK_BYTES = 80;

/** Collects the events of one row. */
export class SegmentWriter {
  readonly first: Seq;
  readonly #bodies: string[] = [];
  readonly #keys: string[] = [];
  readonly #at: [number, number][] = [];
  readonly #outcomes: string[] = [];
  readonly #marks: ProducerProgress[] = [];
  count = 0;
  /** Upper estimate of the payload's UTF-8 bytes. */
  bytes = 200;

  constructor(first: Seq) {
    this.first = first;
  }

  get last(): Seq {
    return seq(this.first + this.count - 1);
  }

  /** The partition clock of the last event. */
  get clock(): number {
    return this.#at.at(-1)![1];
  }

  /** Adds one event, or several with commas between them. */
  body(text: string, bytes: number): void {
    this.#bodies.push(text);
    this.bytes += bytes;
  }

  /** Adds the key and the partition clock of the next event. `body` adds the event's text. */
  event(key: string, ms: number): void {
    this.#keys.push(key);
    this.count += 1;
    this.bytes += 6 + (CONTROL.test(key) ? 6 : 3) * key.length;
    const run = this.#at.at(-1);
    if (run !== undefined && run[1] === ms) run[0] += 1;
    else {
      this.#at.push([1, ms]);
      this.bytes += RUN_BYTES;
    }
  }

  /** Adds the outcome of the event that was given last. */
  outcome(outcome: Outcome): void {
    const text = `[${this.count - 1},${loggedText(outcome)}]`;
    this.#outcomes.push(text);
    this.bytes += 3 * text.length;
  }

  /** Adds a mark: with the event that was given last, a producer's request is in the log up to this mark. */
  mark(mark: ProducerProgress): void {
    this.#marks.push(mark);
    this.bytes += MARK_BYTES + 6 * mark[0].length;
  }

  /** Returns the payload in parts. As one text, a group's payload would be copied into new memory each time. */
  payload(): string[] {
    const marks = this.#marks.length === 0 ? "" : `"marks":${JSON.stringify(this.#marks)},`;
    const head = `{"v":${SEGMENT_FORMAT},"keys":${JSON.stringify(this.#keys)},"at":${JSON.stringify(this.#at)},"out":[${this.#outcomes.join(",")}],${marks}"events":[`;
    return [head, ...this.#bodies.flatMap((body, i) => (i === 0 ? [body] : [",", body])), "]}"];
  }
}

/** @throws Failure log_broken | unknown_format, if the row isn't what its writer wrote */
export function readSegment(row: Segment, codec: Codec): SegmentEvents {
  if (row.format !== SEGMENT_FORMAT || (row.codec !== PLAIN && row.codec !== codec.packing))
    throw new Failure(
      "unknown_format",
      `segment ${row.seq} has format ${row.format} in "${row.codec}"; this code reads ${SEGMENT_FORMAT} in "${PLAIN}" and "${codec.packing}": deploy the code that wrote it, or newer`,
    );
  if (codec.crc32(row.payload) !== row.checksum) throw broken(row, "its checksum is wrong");
  // Not kept: only a quarantined event needs the text again, which is rare.
  const text = (): string => (row.codec === PLAIN ? row.payload : codec.unpack(row.payload));
  try {
    return { ...readPayload(row, JSON.parse(text())), sent: sentOf(text) };
  } catch (error) {
    throw error instanceof Failure
      ? error
      : broken(row, `its payload can't be unpacked with "${row.codec}": ${messageOf(error)}`);
  }
}

function sentOf(payload: () => string): (index: number) => string {
  let texts: string[] | null = null;
  return (index) => {
    texts ??= itemsOf(jsonMembers(payload()).at(-1)!.text);
    return texts[index]!;
  };
}

function readPayload(row: Segment, payload: unknown): Omit<SegmentEvents, "sent"> {
  const { v, keys, at, out, events, marks = [] } = (payload ?? {}) as Readonly<Record<string, unknown>>;
  if (v !== row.format)
    throw new Failure(
      "unknown_format",
      `segment ${row.seq} has payload format ${shown(v)} in a row of format ${row.format}: deploy the code that wrote it, or newer`,
    );
  if (!isWhole(row.seq) || !isWhole(row.last) || row.seq === 0 || row.last < row.seq)
    throw broken(row, "it has no such seqs");
  const count = row.last - row.seq + 1;
  if (!Array.isArray(keys) || !Array.isArray(events) || !Array.isArray(out) || !isRuns(at) || !isMarks(marks))
    throw broken(row, "a part of it is missing or invalid");
  if (keys.length !== count || events.length !== count)
    throw broken(row, `it counts ${count} events, but holds ${events.length} with ${keys.length} keys`);
  if (!keys.every(isKey) || !events.every(isEvent)) throw broken(row, "a key isn't a text, or an event is invalid");
  const received = at.reduce((sum, [run]) => sum + run, 0);
  if (received !== count) throw broken(row, `it counts ${count} events, but has ${received} clocks`);
  if (marks.length > count) throw broken(row, `it counts ${count} events, but marks ${marks.length} requests`);
  for (const [, , , , from] of marks)
    if (from < row.seq || from > row.last) throw broken(row, `it marks a request from seq ${from} on`);
  return { events, keys, at, outcomes: readOutcomes(row, out, count), marks };
}

function readOutcomes(row: Segment, out: readonly unknown[], count: number): Map<number, Outcome> {
  const outcomes = new Map<number, Outcome>();
  let after = -1;
  for (const pair of out) {
    const [index, outcome] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
    if (!isWhole(index) || index <= after || index >= count)
      throw broken(row, `it has an outcome for event ${shown(index)} after that of event ${after}, of ${count} events`);
    outcomes.set(index, outcomeOf(outcome));
    after = index;
  }
  return outcomes;
}

const isKey = (value: unknown): value is string => typeof value === "string" && value !== "";

/** The event's handler judges the rest, as it did when the event was logged. */
const isEvent = (value: unknown): value is Record<string, unknown> =>
  isObject(value) &&
  typeof value["type"] === "string" &&
  typeof value["id"] === "string" &&
  (typeof value["source"] === "string" || value["source"] === undefined);

/** Checks counts with clocks that rise. */
const isRuns = (value: unknown): value is [number, number][] =>
  Array.isArray(value) &&
  value.every(
    (run, i) =>
      Array.isArray(run) &&
      run.length === 2 &&
      isWhole(run[0]) &&
      run[0] > 0 &&
      isMs(run[1]) &&
      (i === 0 || run[1] > (value as [number, number][])[i - 1]![1]),
  );

const isMarks = (value: unknown): value is ProducerProgress[] =>
  Array.isArray(value) &&
  value.every(
    (mark) =>
      Array.isArray(mark) && mark.length === 5 && isKey(mark[0]) && isMarkNumbers(mark[1], mark[2], mark[3], mark[4]),
  );

const broken = (row: Pick<Segment, "seq" | "last">, why: string): Failure =>
  new Failure(
    "log_broken",
    `segment ${row.seq}..${row.last} can't be read: ${why}; restore D1 to a point before the damage, or evict the partition and read again`,
  );

/** A request is in the log up to the event with this index. The request's first event there has the seq `from`. */
export type ProducerProgress = readonly [id: string, epoch: number, number: number, index: number, from: number];

/** The ring holds index + 1 in 32 bits. */
const LAST_INDEX = 2 ** 32 - 2;

/** Returns true for the rest of a mark: epoch, number, index and the first seq. */
export const isMarkNumbers = (epoch: unknown, number: unknown, index: unknown, from: unknown): boolean =>
  isWhole(epoch) && isWhole(number) && isWhole(index) && index <= LAST_INDEX && isWhole(from) && from > 0;
