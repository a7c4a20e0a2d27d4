/**
 * Batches of lines, each sent until it is decided, and what became of them in numbers.
 *
 * SENDBATCH1. Plain requests: only counts come back, and the first 100 errors, so that what limits a large file is the app's log.
 * SENDBATCH2. After a partial answer it goes on at `through` where the answer says exactly what became of the lines before it;
 *     else all of it goes again, and what is there counts as a duplicate. The sum is the number of lines either way.
 * SENDBATCH3. What nobody's waiting betters ends it at once: a wrong token, missing migrations, and a port that nobody has ever answered at.
 *     Whatever else fails is waited for, and said.
 */
import { errorOf, lacking, mayCount, passes, type Answer, type Call, type NoAnswer } from "../client/answer.ts";
import { isTooLarge } from "../client/deliver.ts";
import { COUNTS } from "../client/holds.ts";
import type { Http } from "../client/http.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import type { Failed, Patience } from "../client/patience.ts";
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
  /** Operators that have it all the same. */
  readonly acceptedBy?: readonly string[];
}

export interface BatchOutcome {
  readonly tag: "decided";
  readonly counts: Counts;
  /** Those that the answers list. */
  readonly errors: readonly LineError[];
}

/** `unknown`: some of it may count, or counts. */
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
  /** Of a refusal: there, though it may be null. */
  readonly detail?: unknown;
}

/** Packs a request; null: it goes as it is. */
export type Pack = ((bytes: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>) | null;

export interface BatchSenderOptions {
  readonly http: Http;
  readonly patience: () => Patience;
  readonly pack: Pack;
  /** Called with each failure that is waited for. */
  readonly onWait: (failed: Failed) => void;
}

export class BatchSender {
  readonly #options: BatchSenderOptions;
  /** Events of a request: fewer, where something on the way takes no larger ones. */
  #most = Number.POSITIVE_INFINITY;
  /** The app was heard in this run. */
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

  /** Why no waiting betters it; null: it may. */
  #lasting(answer: Answer | NoAnswer): KeyframeError | null {
    if (answer.tag === "good")
      return new KeyframeError("unexpected_answer", "the answer is about other lines than were sent", {
        status: answer.status,
      });
    if (answer.tag === "none")
      return answer.unsent && !this.#heard ? new KeyframeError("no_answer", `nobody answers: ${answer.why}`) : null;
    const migrate = answer.tag === "problem" && answer.code === "log_not_migrated";
    return migrate || !passes(answer) ? errorOf(answer) : null;
  }
}

class Tally {
  readonly #sum = { accepted: 0, refused: 0, rejected: 0, quarantined: 0 };
  readonly #errors: LineError[] = [];

  /** Takes in what an answer says; returns how many of the lines needn't be sent again. */
  add(report: Reported | null, sent: readonly InputEvent[]): number {
    if (report === null) return 0;
    // What was newly taken is a duplicate the next time, also where it stands after `through`.
    this.#sum.accepted += report.accepted;
    const whole = report.through === sent.length || decided(report) === report.through;
    if (!whole && !listed(report)) return 0;
    const before = report.errors.filter(({ index }) => index < report.through);
    const rejections = before.filter((error) => !isRefusal(error));
    // One that an operator rejects and another one refuses is rejected.
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

/** Null: it isn't about these lines. */
function reportOf(answer: Answer | NoAnswer, sent: number): Reported | null {
  if (answer.tag === "none" || lacking(COUNTS, answer.body, "") !== null) return null;
  const report = answer.body as Reported;
  // A body that broke off has fewer; a final answer that speaks of others isn't ours.
  const within = report.received <= sent && report.through <= report.received;
  return within && (passes(answer) || (report.received === sent && report.through === sent)) ? report : null;
}

const decided = ({ accepted, duplicates, refused, rejected, unrouted }: Reported): number =>
  accepted + duplicates + refused + rejected + unrouted;

/** Do the errors tell what became of each line? A line in quarantine is in no list. */
const listed = (report: Reported): boolean =>
  report.quarantined === 0 && distinct(report.errors) === report.refused + report.rejected;

const distinct = (errors: readonly ReportedError[]): number => new Set(errors.map(({ index }) => index)).size;

const isRefusal = (error: ReportedError): boolean => "detail" in error;
