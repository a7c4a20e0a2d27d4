/**
 * Sends one batch until the fate of each of its events is known.
 *
 * DELIVER1. The batch asks for each event's result (`Prefer: return=representation`): a plain answer has counts, and
 *     names only the first 100 errors. Codes of rejected events appear in that list alone. Rejected events without room
 *     in the list are sent again, which changes nothing: they were rejected.
 * DELIVER2. Events before `through` are decided, and the rest is sent again from there on. A numbered batch is sent
 *     again unchanged, since a mark is a place in it (ONE2). A first outcome stands, whatever a later attempt says.
 * DELIVER3. Every event has its id before the first attempt, and keeps it (ONE1): no retry counts twice.
 */
import {
  type Answer,
  type Call,
  keyframeErrorOf,
  lacking,
  mayCount,
  membersOf,
  type NoAnswer,
  passes,
} from "./answer.ts";
import { COUNTS } from "./holds.ts";
import type { Http } from "./http.ts";
import { type Fate, KeyframeError } from "./keyframe-error.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Failed, Patience } from "./patience.ts";

/** The number of a batch (ONE2). */
export interface BatchNumber {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
}

export interface Delivered {
  /** The fates by place in the batch, with null for each undecided event. */
  readonly fates: readonly (Fate | null)[];
  /** The reason why events are undecided. */
  readonly failure: KeyframeError | null;
  /** Places of events without a fate that may count. */
  readonly unknown: ReadonlySet<number>;
}

export interface DeliverOptions {
  readonly http: Http;
  readonly patience: Patience;
  readonly gzip: boolean;
  readonly number: BatchNumber | null;
}

export async function deliverEvents(events: readonly Outgoing[], options: DeliverOptions): Promise<Delivered> {
  const { http, patience } = options;
  const fates: (Fate | null)[] = events.map(() => null);
  const unknown = new Set<number>();
  const all = [...events.keys()];
  let { number } = options;
  /** Events of a request. The number drops if a proxy refuses larger requests. */
  let most = all.length;
  for (let left = all; left.length > 0;) {
    const sent = number === null ? left.slice(0, most) : all;
    const lines = sent.map((place) => events[place]!.line);
    const answer = await http.exchange(await eventsCall(lines, { gzip: options.gzip, number, full: true }));
    const before = left.length;
    readFates(answer, sent, events, fates);
    left = left.filter((place) => fates[place] === null);
    for (const place of sent) if (fates[place] !== null) unknown.delete(place);
    if (mayCount(answer) || answer.tag === "good")
      for (const place of sent) if (fates[place] === null) unknown.add(place);
    if (left.length < before) patience.progress();
    if (left.length === 0) break;
    if (isTooLarge(answer) && number === null && sent.length > 1) {
      most = Math.ceil(sent.length / 2);
      continue;
    }
    if (answer.tag === "none" || (answer.tag !== "good" && passes(answer))) {
      const failure = await waited(answer, patience);
      if (failure !== null) return { fates, failure, unknown };
    } else if (left.length === before) return { fates, failure: finalError(answer), unknown };
    // The batch was answered. Only rejected events are sent again, and those count under no number.
    else number = null;
  }
  return { fates, failure: null, unknown };
}

/** A proxy takes no request of this size. The app's own 413 would be a problem document. */
export const isTooLarge = (answer: Answer | NoAnswer): boolean => answer.tag === "foreign" && answer.status === 413;

/** Waits for the next attempt. Returns null if it is time for that, or the error that ends the attempts. */
async function waited(answer: Failed, patience: Patience): Promise<KeyframeError | null> {
  try {
    await patience.wait(answer);
    return null;
  } catch (error) {
    if (error instanceof KeyframeError) return error;
    throw error;
  }
}

function finalError(answer: Answer): KeyframeError {
  if (answer.tag !== "good") return keyframeErrorOf(answer);
  const { status } = answer;
  return new KeyframeError("unexpected_answer", "the answer doesn't name the outcome of each event", { status });
}

export interface EventsCall {
  readonly gzip: boolean;
  readonly number: BatchNumber | null;
  /** The answer has each event's result. */
  readonly full: boolean;
}

export async function eventsCall(lines: readonly string[], { gzip, number, full }: EventsCall): Promise<Call> {
  const text = lines.join("\n");
  const headers: Record<string, string> = { "content-type": "application/x-ndjson" };
  if (full) headers["prefer"] = "return=representation";
  if (gzip) headers["content-encoding"] = "gzip";
  if (number !== null) {
    headers["producer-id"] = number.id;
    headers["producer-epoch"] = String(number.epoch);
    headers["producer-seq"] = String(number.seq);
  }
  return { method: "POST", path: "/v1/events", headers, body: gzip ? await packed(text) : text };
}

async function packed(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A result in the app's answer, as far as a fate needs it. */
interface Result {
  readonly index: number;
  readonly operator: string | null;
  readonly status: "applied" | "refused" | "quarantined" | "rejected" | "forgotten";
  readonly duplicate: boolean;
  readonly value: unknown;
}

interface NamedError {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

/** Returns what an answer says about each event, or null if it says nothing. */
function reportOf(answer: Answer | NoAnswer): Report | null {
  const body = answer.tag === "none" ? null : answer.body;
  return lacking(COUNTS, body, "") === null && "results" in (body as object) ? (body as Report) : null;
}

interface Report {
  readonly results: readonly Result[];
  readonly errors: readonly NamedError[];
  readonly through: number;
}

/** Stores the fates of the events at the places `sent`. */
function readFates(
  answer: Answer | NoAnswer,
  sent: readonly number[],
  events: readonly Outgoing[],
  fates: (Fate | null)[],
): void {
  const report = reportOf(answer);
  if (report === null) return;
  const { results, errors, through } = report;
  // If one operator rejects an event and another one refuses it, the rejection counts.
  const rejections = errors.filter((error) => !("detail" in error));
  const named = new Map(rejections.map((error) => [error.index, error]));
  const common = unfitCode(answer);
  const byIndex = new Map<number, Result[]>();
  for (const result of results) {
    const other = byIndex.get(result.index);
    if (other === undefined) byIndex.set(result.index, [result]);
    else other.push(result);
  }
  for (const [index, found] of byIndex) {
    const place = sent[index];
    if (place === undefined || index >= through) continue;
    fates[place] ??= fateOf(events[place]!.id, found, named.get(index) ?? common);
  }
}

type Why = Pick<NamedError, "code" | "message">;

/** Returns null if the event was rejected and the answer has no room for the reason. */
function fateOf(id: string, results: readonly Result[], why: Why | undefined): Fate | null {
  const acceptedBy = results
    .filter(({ status }) => status === "applied" || status === "quarantined")
    .map(({ operator }) => String(operator));
  if (results.some(({ status }) => status === "rejected"))
    return why === undefined ? null : { tag: "rejected", id, code: why.code, message: why.message, acceptedBy };
  const refused = results.find(({ status }) => status === "refused");
  if (refused !== undefined) {
    const { code, detail } = membersOf(refused.value);
    const operator = refused.operator ?? "";
    return { tag: "refused", id, operator, code: String(code), detail: detail ?? null, acceptedBy };
  }
  if (results.every(({ duplicate }) => duplicate))
    return { tag: "duplicate", id, forgotten: results.some(({ status }) => status === "forgotten") };
  return { tag: "accepted", id, quarantined: results.some(({ status }) => status === "quarantined") };
}

/**
 * The partition's verdict on the producer applies to all events that it rejected, so they need no reason of their own.
 */
function unfitCode(answer: Answer | NoAnswer): Why | undefined {
  if (answer.tag !== "problem" || !UNFIT.has(answer.code)) return undefined;
  return { code: answer.code, message: String(answer.body.detail) };
}

const UNFIT = new Set(["producer_fenced", "producer_seq_too_old", "too_many_producers"]);
