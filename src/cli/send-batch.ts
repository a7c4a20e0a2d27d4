/**
 * One batch of lines, sent until it is decided, and what became of them in numbers.
 *
 * T1. Plain requests: only counts come back, and the first 100 errors, so that what limits a large file is the app's log.
 * T2. After a partial answer it goes on at `through` where the answer says exactly what became of the lines before it;
 *     else all of it goes again, and what is there counts as a duplicate. The sum is the number of lines either way.
 */
import { errorOf, membersOf, passes, type Answer, type Call, type Http } from "../client/http.ts";
import type { Patience } from "../client/patience.ts";
import type { InputEvent } from "./send-input.ts";

export interface Counts {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly rejected: number;
  readonly quarantined: number;
}

export interface LineError {
  readonly line: number;
  readonly id: string | null;
  readonly code: string;
  readonly message: string;
}

export interface BatchOutcome {
  readonly counts: Counts;
  /** Those that the answers list. */
  readonly errors: readonly LineError[];
}

interface Reported {
  readonly received: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly rejected: number;
  readonly quarantined: number;
  readonly unrouted: number;
  readonly through: number;
  readonly errors: readonly ReportedError[];
}

interface ReportedError {
  readonly index: number;
  readonly id: string | null;
  readonly code: string;
  readonly message: string;
  /** Of a refusal: there, though it may be null. */
  readonly detail?: unknown;
}

/** Packs a request; null: it goes as it is. */
export type Pack = ((bytes: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>) | null;

/** @throws KeyframeError where it can't be decided */
export async function sendBatch(
  events: readonly InputEvent[],
  http: Http,
  patience: Patience,
  pack: Pack,
): Promise<BatchOutcome> {
  const tally = new Tally();
  for (let from = 0; from < events.length;) {
    const left = events.slice(from);
    const answer = await http.exchange(await call(left, pack));
    if (answer.tag === "answer") {
      const report = reportOf(answer, left.length);
      if (report === null && !passes(answer)) throw errorOf(answer);
      const settled = report === null ? 0 : tally.add(report, left);
      if (settled > 0) patience.progress();
      from += settled;
    }
    if (from < events.length) await patience.wait(answer);
  }
  return tally.outcome(events.length);
}

class Tally {
  readonly #sum = { accepted: 0, refused: 0, rejected: 0, quarantined: 0 };
  readonly #errors: LineError[] = [];

  /** Takes in what an answer says; returns how many of the lines needn't be sent again. */
  add(report: Reported, sent: readonly InputEvent[]): number {
    // What was newly taken is a duplicate the next time, also where it stands after `through`.
    this.#sum.accepted += report.accepted;
    const whole = report.through === sent.length || decided(report) === report.through;
    if (!whole && !listed(report)) return 0;
    const before = report.errors.filter(({ index }) => index < report.through);
    this.#sum.refused += whole ? report.refused : distinct(before.filter(isRefusal));
    this.#sum.rejected += whole ? report.rejected : distinct(before.filter((error) => !isRefusal(error)));
    this.#sum.quarantined += report.quarantined;
    for (const { index, id, code, message } of before)
      this.#errors.push({ line: sent[index]!.line, id, code, message });
    return report.through;
  }

  outcome(events: number): BatchOutcome {
    const { accepted, refused, rejected } = this.#sum;
    return { counts: { ...this.#sum, duplicates: events - accepted - refused - rejected }, errors: this.#errors };
  }
}

async function call(events: readonly InputEvent[], pack: Pack): Promise<Call> {
  const plain = Buffer.concat(events.map(({ bytes }) => bytes));
  const headers = { "content-type": "application/x-ndjson", ...(pack === null ? {} : { "content-encoding": "gzip" }) };
  return { method: "POST", path: "/v1/events", headers, body: pack === null ? plain : await pack(plain) };
}

/** Null: it isn't about these lines. */
function reportOf(answer: Answer, sent: number): Reported | null {
  const report = membersOf(answer.body) as unknown as Reported;
  if (typeof report.through !== "number" || !Array.isArray(report.errors)) return null;
  // A body that broke off has fewer; a final answer that speaks of others isn't ours.
  return passes(answer) || (report.received === sent && report.through === sent) ? report : null;
}

const decided = ({ accepted, duplicates, refused, rejected, unrouted }: Reported): number =>
  accepted + duplicates + refused + rejected + unrouted;

/** Do the errors tell what became of each line? A line in quarantine is in no list. */
const listed = (report: Reported): boolean =>
  report.quarantined === 0 && distinct(report.errors) === report.refused + report.rejected;

const distinct = (errors: readonly ReportedError[]): number => new Set(errors.map(({ index }) => index)).size;

const isRefusal = (error: ReportedError): boolean => "detail" in error;
