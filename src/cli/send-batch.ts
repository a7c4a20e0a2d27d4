/**
 * Sends batches of lines, each until it is decided, and counts the outcomes.
 *
 * SENDBATCH1. Requests are plain: only counts come back, and the first 100 errors, so that the app's log is the limit
 *     for a large file.
 * SENDBATCH2. After a partial answer the sender resumes at `through` if the answer gives the exact outcome of the lines
 *     before that place. Otherwise the sender sends the whole batch again, and lines that are in the log count as
 *     duplicates. The sum is the number of lines either way.
 * SENDBATCH3. A lasting failure ends the sending at once: a wrong token, missing migrations, or a port that never
 *     answered. The sender waits for any other failure to pass, and says so.
 */
import { keyframeErrorOf, lacking, mayCount, passes, type Answer, type Call, type NoAnswer } from "../client/answer.ts";
import { isTooLarge } from "../client/deliver.ts";
import { COUNTS } from "../client/holds.ts";
import type { Http } from "../client/http.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import type { Failed, Patience } from "../client/patience.ts";
import type { InputEvent } from "./send-input.ts";

export interface BatchCounts {
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
  /** Operators that accepted the event. */
  readonly acceptedBy?: readonly string[];
}

export interface BatchOutcome {
  readonly tag: "decided";
  readonly counts: BatchCounts;
  /** The errors that the answers list. */
  readonly errors: readonly LineError[];
}

/** `unknown`: some of the batch may count, or counts. */
export interface BatchFailure {
  readonly tag: "failed";
  readonly error: KeyframeError;
  readonly unknown: boolean;
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
  readonly acceptedBy?: readonly string[];
  /** The detail of a refusal. The member is present, though it may be null. */
  readonly detail?: unknown;
}

/** Compresses a request, or null if requests are sent uncompressed. */
export type Pack = ((bytes: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>) | null;

interface BatchSenderOptions {
  readonly http: Http;
  readonly patience: () => Patience;
  readonly pack: Pack;
  /** Called with each failure that it waits for. */
  readonly onWait: (failed: Failed) => void;
}

export class BatchSender {
  readonly #options: BatchSenderOptions;
  /** Events of a request. The number drops if a proxy refuses larger requests. */
  #most = Number.POSITIVE_INFINITY;
  /** The app answered in this run. */
  #heard = false;

  constructor(options: BatchSenderOptions) {
    this.#options = options;
  }

  async send(events: readonly InputEvent[]): Promise<BatchOutcome | BatchFailure> {
    const { http, pack, onWait } = this.#options;
    const patience = this.#options.patience();
    const tally = new Tally();
    let unknown = false;
    for (let from = 0; from < events.length;) {
      const left = events.slice(from, from + this.#most);
      const answer = await http.exchange(await call(left, pack));
      this.#heard ||= answer.tag === "good" || answer.tag === "problem";
      unknown ||= mayCount(answer);
      const settled = tally.add(reportOf(answer, left.length), left);
      if (settled > 0) patience.progress();
      from += settled;
      if (settled === left.length) continue;
      if (isTooLarge(answer) && left.length > 1) {
        this.#most = Math.ceil(left.length / 2);
        continue;
      }
      const lasting = this.#lasting(answer);
      if (lasting !== null) return { tag: "failed", error: lasting, unknown: unknown || from > 0 };
      onWait(answer as Failed);
      try {
        await patience.wait(answer as Failed);
      } catch (error) {
        if (error instanceof KeyframeError) return { tag: "failed", error, unknown: unknown || from > 0 };
        throw error;
      }
    }
    return tally.outcome(events.length);
  }

  /** Returns the error of a lasting failure, or null if a retry may succeed. */
  #lasting(answer: Answer | NoAnswer): KeyframeError | null {
    if (answer.tag === "good")
      return new KeyframeError("unexpected_answer", "the answer names other lines than were sent", {
        status: answer.status,
      });
    if (answer.tag === "none")
      return answer.unsent && !this.#heard ? new KeyframeError("no_answer", `no answer: ${answer.why}`) : null;
    const migrate = answer.tag === "problem" && answer.code === "log_not_migrated";
    return migrate || !passes(answer) ? keyframeErrorOf(answer) : null;
  }
}

class Tally {
  readonly #sum = { accepted: 0, refused: 0, rejected: 0, quarantined: 0 };
  readonly #errors: LineError[] = [];

  /** Adds an answer. Returns how many of the lines needn't be sent again. */
  add(report: Reported | null, sent: readonly InputEvent[]): number {
    if (report === null) return 0;
    // Lines that are newly accepted are duplicates the next time, even after `through`.
    this.#sum.accepted += report.accepted;
    const whole = report.through === sent.length || decided(report) === report.through;
    if (!whole && !listed(report)) return 0;
    const before = report.errors.filter(({ index }) => index < report.through);
    const rejections = before.filter((error) => !isRefusal(error));
    // If one operator rejects an event and another one refuses it, the event is rejected.
    const rejected = new Set(rejections.map(({ index }) => index));
    const said = before.filter((error) => !isRefusal(error) || !rejected.has(error.index));
    this.#sum.refused += whole ? report.refused : distinct(said.filter(isRefusal));
    this.#sum.rejected += whole ? report.rejected : rejected.size;
    this.#sum.quarantined += report.quarantined;
    for (const { index, id, code, message, acceptedBy = [] } of said)
      this.#errors.push({
        line: sent[index]!.line,
        id,
        code,
        message,
        ...(acceptedBy.length === 0 ? {} : { acceptedBy }),
      });
    return report.through;
  }

  outcome(events: number): BatchOutcome {
    const { accepted, refused, rejected } = this.#sum;
    const counts = { ...this.#sum, duplicates: events - accepted - refused - rejected };
    return { tag: "decided", counts, errors: this.#errors };
  }
}

async function call(events: readonly InputEvent[], pack: Pack): Promise<Call> {
  const plain = Buffer.concat(events.map(({ bytes }) => bytes));
  const headers = { "content-type": "application/x-ndjson", ...(pack === null ? {} : { "content-encoding": "gzip" }) };
  return { method: "POST", path: "/v1/events", headers, body: pack === null ? plain : await pack(plain) };
}

/** Returns null if the answer isn't about these lines. */
function reportOf(answer: Answer | NoAnswer, sent: number): Reported | null {
  if (answer.tag === "none" || lacking(COUNTS, answer.body, "") !== null) return null;
  const report = answer.body as Reported;
  // A body that broke off has fewer lines. A final answer about other lines isn't for this batch.
  const within = report.received <= sent && report.through <= report.received;
  return within && (passes(answer) || (report.received === sent && report.through === sent)) ? report : null;
}

const decided = ({ accepted, duplicates, refused, rejected, unrouted }: Reported): number =>
  accepted + duplicates + refused + rejected + unrouted;

/** Do the errors give the outcome of each line? They omit quarantined lines. */
const listed = (report: Reported): boolean =>
  report.quarantined === 0 && distinct(report.errors) === report.refused + report.rejected;

const distinct = (errors: readonly ReportedError[]): number => new Set(errors.map(({ index }) => index)).size;

const isRefusal = (error: ReportedError): boolean => "detail" in error;
