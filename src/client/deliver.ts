/**
 * One batch, sent until the fate of each of its events is known.
 *
 * D1. The batch asks for each event's result (`Prefer: return=representation`): a plain answer has counts, and names the first
 *     100 errors only. Codes of rejected events stand in that list alone, so those that it has no room for are asked for again,
 *     which changes nothing: they were rejected.
 * D2. What comes before `through` is decided; the rest is sent again, from there on. A numbered batch is sent again as it was,
 *     since a mark is a place in it (ONE2). A first answer stands, whatever a repeat says.
 * D3. Every event has its id before the first attempt, and keeps it (ONE1): no repeat counts twice.
 */
import { codeOf, errorOf, membersOf, passes, type Answer, type Call, type Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Patience } from "./patience.ts";

/** What became of an event. */
export type Fate =
  /** It counts. `quarantined`: a handler threw, and its operator set the event aside. */
  | { readonly tag: "accepted"; readonly id: string; readonly quarantined: boolean }
  /** It counted before: it was sent before, or an answer to it got lost. */
  | { readonly tag: "duplicate"; readonly id: string }
  /** A handler said no. */
  | {
      readonly tag: "refused";
      readonly id: string;
      readonly operator: string;
      readonly code: string;
      readonly detail: unknown;
    }
  /** It is malformed, doesn't fit the schema, reuses an id, or nobody wants its type. */
  | { readonly tag: "rejected"; readonly id: string; readonly code: string; readonly message: string };

/** The number of a batch (ONE2). */
export interface BatchNumber {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
}

export interface Delivered {
  /** By place in the batch; null where there is a failure. */
  readonly fates: readonly (Fate | null)[];
  /** Why not all of it is known. */
  readonly failure: KeyframeError | null;
}

export interface DeliverOptions {
  readonly http: Http;
  readonly patience: Patience;
  readonly gzip: boolean;
  readonly number: BatchNumber | null;
}

export async function deliver(events: readonly Outgoing[], options: DeliverOptions): Promise<Delivered> {
  const { http, patience } = options;
  const fates: (Fate | null)[] = events.map(() => null);
  const all = [...events.keys()];
  let { number } = options;
  for (let left = all; left.length > 0;) {
    const sent = number === null ? left : all;
    const answer = await http.exchange(
      await eventsCall(
        sent.map((place) => events[place]!.line),
        { gzip: options.gzip, number, full: true },
      ),
    );
    const before = left.length;
    if (answer.tag === "answer") {
      readFates(answer, sent, events, fates);
      left = left.filter((place) => fates[place] === null);
    }
    if (left.length < before) patience.progress();
    if (left.length === 0) break;
    if (answer.tag === "none" || passes(answer)) {
      try {
        await patience.wait(answer);
      } catch (error) {
        if (error instanceof KeyframeError) return { fates, failure: error };
        throw error;
      }
    } else if (left.length === before) return { fates, failure: errorOf(answer) };
    // It was answered; what is asked for again was rejected, and counts under no number.
    else number = null;
  }
  return { fates, failure: null };
}

export interface EventsCall {
  readonly gzip: boolean;
  readonly number: BatchNumber | null;
  /** With each event's result. */
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

/** A result as the app answers it, as far as a fate needs it. */
interface Result {
  readonly index: number;
  readonly operator: string | null;
  readonly status: "applied" | "refused" | "quarantined" | "rejected";
  readonly duplicate: boolean;
  readonly value: unknown;
}

interface NamedError {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

/** Writes down what the answer says of the events at the places `sent`. */
function readFates(answer: Answer, sent: readonly number[], events: readonly Outgoing[], fates: (Fate | null)[]): void {
  const { results, errors, through } = membersOf(answer.body);
  if (!Array.isArray(results) || !Array.isArray(errors) || typeof through !== "number") return;
  const named = new Map((errors as NamedError[]).map((error) => [error.index, error]));
  const common = unfitCode(answer);
  const byIndex = new Map<number, Result[]>();
  for (const result of results as Result[]) {
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

/** Null: rejected, but the answer has no room for the reason. */
function fateOf(id: string, results: readonly Result[], why: Why | undefined): Fate | null {
  if (results.some(({ status }) => status === "rejected"))
    return why === undefined ? null : { tag: "rejected", id, code: why.code, message: why.message };
  const refused = results.find(({ status }) => status === "refused");
  if (refused !== undefined) {
    const { code, detail } = membersOf(refused.value);
    return { tag: "refused", id, operator: refused.operator ?? "", code: String(code), detail: detail ?? null };
  }
  if (results.every(({ duplicate }) => duplicate)) return { tag: "duplicate", id };
  return { tag: "accepted", id, quarantined: results.some(({ status }) => status === "quarantined") };
}

/** What a partition says of the producer holds for all events that it rejected; they need no reason of their own. */
function unfitCode(answer: Answer): Why | undefined {
  const code = codeOf(answer);
  if (code !== "producer_fenced" && code !== "producer_seq_too_old" && code !== "too_many_producers") return undefined;
  return { code, message: String(membersOf(answer.body)["detail"]) };
}
