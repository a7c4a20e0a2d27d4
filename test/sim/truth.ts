/**
 * The log of one partition as it really was: every segment that the database ever took, kept for ever, with what the
 * operator should make of it. What is checked here needs no more than the log itself.
 *
 * T1. Segments follow each other without hole or repeat, with rising stamps and epochs that never fall (LOG2, LOG4, TIME1).
 * T2. Within the promised horizon no source and id is logged twice (ONE1); an event of a numbered request never is (ONE2).
 */
import type { Segment } from "../../src/engine/segment.ts";
import type { Configuration } from "./configuration.ts";
import { decodePayload, type LoggedOutcome } from "./decoder.ts";
import { LedgerModel } from "./ledger-model.ts";
import { NumbersModel, type Logged, type Model } from "./model.ts";

export class Truth {
  readonly rows: Segment[] = [];
  readonly events: Logged[] = [];
  readonly byName = new Map<string, Logged[]>();
  /** Of each numbered request its first event in this log. */
  readonly requests = new Map<string, Logged>();
  readonly model: Model;
  /** Seqs that an answer already called new. */
  readonly claimed = new Set<number>();
  /** When each row was logged, on the world's clock. */
  readonly #loggedMs: number[] = [];
  /** Rows that stand in an archive, by their first seq. */
  readonly archived = new Set<number>();
  readonly #config: Configuration;
  readonly #since = new Map<number, LoggedOutcome[]>();

  constructor(config: Configuration, operator: string) {
    this.#config = config;
    this.model =
      operator === "ledger"
        ? new LedgerModel((seq) => this.events[seq - 1]!)
        : new NumbersModel(operator === "count" ? "count" : "credits");
  }

  get head(): number {
    return this.events.length;
  }

  get stamp(): number {
    return this.rows.at(-1)?.stamp ?? 0;
  }

  /** The last seq that was logged before then, by others than the writer of this epoch. */
  headAt(ms: number, butBy: number): number {
    const at = this.#loggedMs.findLastIndex((logged, i) => logged < ms && this.rows[i]!.epoch !== butBy);
    return this.rows[at]?.last ?? 0;
  }

  /** Takes a row that the database took; what is wrong with it, or null. */
  take(row: Segment, lowest: number, nowMs: number): string | null {
    const last = this.rows.at(-1);
    if (row.seq !== this.head + 1) return `a segment ${row.seq}..${row.last} was logged after seq ${this.head} (LOG2)`;
    if (last !== undefined && row.stamp <= last.stamp) return `stamp ${row.stamp} follows ${last.stamp} (TIME1)`;
    if (last !== undefined && row.epoch < last.epoch)
      return `epoch ${row.epoch} logged after epoch ${last.epoch} (LOG2)`;
    if (row.payload.length > 2_000_000) return `a row has ${row.payload.length} characters`;
    const before = this.stamp;
    this.rows.push(row);
    this.#loggedMs.push(nowMs);
    for (const { event, key, atMs, outcome } of decodePayload(row)) {
      const logged: Logged = {
        seq: this.head + 1,
        stamp: row.stamp,
        version: row.operatorVersion,
        lowest,
        group: row.group,
        name: nameOf(event),
        id: String(event["id"]),
        type: String(event["type"]),
        key,
        data: event["data"] as Record<string, unknown>,
        atMs,
        content: contentOf(event),
        numbered: event["numbered"] !== undefined,
        outcome,
        reply: null,
      };
      const flaw = this.#twice(logged, before);
      this.events.push(logged);
      const request = event["numbered"];
      if (typeof request === "string" && !this.requests.has(request)) this.requests.set(request, logged);
      this.#settle(logged);
      const same = this.byName.get(logged.name);
      if (same === undefined) this.byName.set(logged.name, [logged]);
      else same.push(logged);
      const wrong = flaw ?? this.model.take(logged);
      if (wrong !== null) return wrong;
    }
    return this.head === row.last ? null : `segment ${row.seq}..${row.last} holds ${this.head - row.seq + 1} events`;
  }

  #twice(event: Logged, stampBefore: number): string | null {
    const earlier = this.byName.get(event.name)?.at(-1);
    if (earlier === undefined || (!event.numbered && !this.remembers(earlier, event.seq, stampBefore))) return null;
    return `${event.name} counts twice: seq ${earlier.seq} and seq ${event.seq} (ONE1)`;
  }

  /** Must the id of this event be known to whoever gives out `seq`, when `stamp` is the last that was logged? */
  remembers(event: Logged, seq: number, stamp: number): boolean {
    const { dedupMaxIds, dedupKeepMs } = this.#config;
    return seq - event.seq <= dedupMaxIds && (stamp - event.stamp) / 1_024 <= dedupKeepMs;
  }

  /** Must the reply of this event still be known? */
  keepsReply(event: Logged): boolean {
    return (
      (this.stamp - event.stamp) / 1_024 <= this.#config.repliesMs && this.remembers(event, this.head + 1, this.stamp)
    );
  }

  /** What became of an event that was set aside, one command after the other: a duplicate of it may hear of each. */
  since(event: Logged): readonly LoggedOutcome[] {
    return this.#since.get(event.seq) ?? [];
  }

  #settle({ type, data, outcome }: Logged): void {
    if (type !== "keyframe.quarantine.retry" && type !== "keyframe.quarantine.delete") return;
    if (outcome?.tag === "r" && /not_quarantined|too_many_keys/.test(outcome.text)) return;
    const came = type.endsWith("delete")
      ? { tag: "r", text: '["deleted",null]' }
      : (outcome ?? { tag: "a", text: "null" });
    const seq = Number(data["seq"]);
    this.#since.set(seq, [...(this.#since.get(seq) ?? []), came as LoggedOutcome]);
  }

  /** The event's outcome as an answer must tell it. */
  outcome(event: Logged): LoggedOutcome | null {
    return event.outcome ?? (event.reply === null ? null : { tag: "a", text: event.reply });
  }
}

export const nameOf = (event: Readonly<Record<string, unknown>>): string =>
  `${(event["source"] as string | undefined) ?? "/"} ${event["id"] as string}`;

export const contentOf = (event: Readonly<Record<string, unknown>>): string =>
  JSON.stringify([event["type"], event["data"] ?? null, event["key"] ?? event["partitionkey"], event["time"] ?? null]);
