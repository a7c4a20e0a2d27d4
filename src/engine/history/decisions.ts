/**
 * Decisions: what this code decides of logged events, against what the log says.
 *
 * DECISIONS1. An event is judged as if it came now: schema, key and partition first. An event that this code wouldn't
 *     take for its key leaves no trace.
 * DECISIONS2. Status and code are compared, and then what the sender heard: the reply, or the detail of a refusal. A
 *     reply that the log doesn't hold can't be compared. Errors of quarantined events aren't compared.
 * DECISIONS3. The first difference of a key is kept and all are counted, since a later one mostly follows from the
 *     first. So memory grows with the keys of a pass and not with the log.
 */
import { jsonDifference } from "../base/json-difference.ts";
import type { Seq } from "../base/ids.ts";
import { copyJson } from "../base/json.ts";
import type { Event } from "../event/event.ts";
import { MIGRATION_FAILED } from "../operator/migration.ts";
import type { Keyed } from "../operator/routing.ts";
import { NO_REPLY, type Outcome } from "../log/outcome.ts";
import type { Anew } from "../state/state-machine.ts";

/** The fate of an event. Members that aren't known are missing. */
export type Verdict =
  | { readonly status: "applied"; readonly reply?: unknown }
  | { readonly status: "refused" | "rejected"; readonly code: string; readonly detail: unknown }
  | { readonly status: "quarantined"; readonly error: string }
  /** The event belongs to another key, or to another partition. */
  | { readonly status: "moved"; readonly key: string; readonly partition: number };

/** An event whose outcome differs, or only what its sender hears. */
export interface EventFinding {
  readonly finding: "outcome" | "reply";
  readonly key: string;
  readonly seq: Seq;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string;
  readonly logged: Verdict;
  readonly now: Verdict;
  /** The code that logged it. */
  readonly operatorVersion: number;
  readonly code: string;
}

interface KeyDecisions {
  events: number;
  /** Events whose reply, or refusal's detail, was compared. */
  replies: number;
  differing: number;
  last: Seq;
  first: EventFinding | null;
}

/** Keys whose first difference is kept. The differences of the others are counted. */
const LISTED = 1_000;

export class Decisions {
  readonly #partition: number;
  readonly #keyOf: (event: Event) => Keyed;
  readonly #keys = new Map<string, KeyDecisions>();
  #listed = 0;

  constructor(partition: number, keyOf: (event: Event) => Keyed) {
    this.#partition = partition;
    this.#keyOf = keyOf;
  }

  of(key: string): KeyDecisions | undefined {
    return this.#keys.get(key);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Forgets the keys that the pass left out. */
  keepOnly(holds: (key: string) => boolean): void {
    for (const [key, { first }] of this.#keys) {
      if (holds(key)) continue;
      this.#keys.delete(key);
      if (first !== null) this.#listed -= 1;
    }
  }

  readonly anew: Anew = ({ at, key, event, command, logged, row }, run) => {
    const decisions = this.#of(key);
    // Read these before the handler runs, since it may write on the event.
    const { id, source, type, time } = event;
    const kept = command === null ? this.#notTaken(event, key) : null;
    const outcome = kept === null ? run() : null;
    // The target of a command may have been applied here at once.
    if (command !== null && outcome?.tag === "refused" && outcome.code === "not_quarantined") return outcome;
    // A key that can't be migrated takes no events.
    const notTaken = kept ?? stuck(outcome!);
    decisions.events += 1;
    decisions.last = at;
    const finding = notTaken === null ? this.#compare(decisions, logged, outcome!) : "outcome";
    if (finding !== null) decisions.differing += 1;
    if (finding !== null && decisions.first === null && this.#listed < LISTED) {
      const { operatorVersion, code } = row;
      const verdicts = { logged: verdictOf(logged), now: notTaken ?? verdictOf(outcome!) };
      decisions.first = { finding, key, seq: at, id, source, type, time, ...verdicts, operatorVersion, code };
      this.#listed += 1;
    }
    return notTaken === null ? outcome : null;
  };

  #of(key: string): KeyDecisions {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const made: KeyDecisions = { events: 0, replies: 0, differing: 0, last: 0 as Seq, first: null };
    this.#keys.set(key, made);
    return made;
  }

  /** Returns null if this code takes the event for the key. */
  #notTaken(event: Event, key: string): Verdict | null {
    // The check freezes the data, and a handler may write on it.
    const keyed = this.#keyOf({ ...event, data: copyJson(event.data) });
    if (keyed.tag === "rejected") return { status: "rejected", code: keyed.code, detail: keyed.message };
    if (keyed.key === key && keyed.partition === this.#partition) return null;
    return { status: "moved", key: keyed.key, partition: keyed.partition };
  }

  #compare(decisions: KeyDecisions, logged: Outcome | undefined, outcome: Outcome): EventFinding["finding"] | null {
    if (outcome.tag !== (logged?.tag ?? "applied")) return "outcome";
    if (logged === undefined || outcome.tag === "quarantined") return null;
    if (outcome.tag === "refused" && outcome.code !== (logged as typeof outcome).code) return "outcome";
    decisions.replies += 1;
    return jsonDifference(heardIn(logged), heardIn(outcome)) === null ? null : "reply";
  }
}

/** Returns null if the key's state could be migrated. */
function stuck(outcome: Outcome): Verdict | null {
  const why =
    outcome.tag === "quarantined" && outcome.error.startsWith(`${MIGRATION_FAILED}:`)
      ? outcome.error
      : outcome.tag === "refused" && outcome.code === MIGRATION_FAILED
        ? outcome.detail
        : null;
  return why === null ? null : { status: "rejected", code: MIGRATION_FAILED, detail: why.slice(0, SHOWN_CHARS) };
}

function heardIn(outcome: Outcome): unknown {
  if (outcome.tag === "quarantined") return outcome.error;
  return JSON.parse(outcome.tag === "applied" ? outcome.reply : outcome.detail);
}

function verdictOf(outcome: Outcome | undefined): Verdict {
  switch (outcome?.tag) {
    case undefined:
      return { status: "applied" };
    case "applied":
      return { status: "applied", ...(outcome.reply === NO_REPLY ? {} : { reply: short(heardIn(outcome)) }) };
    case "refused":
      return { status: "refused", code: outcome.code, detail: short(heardIn(outcome)) };
    case "quarantined":
      return { status: "quarantined", error: outcome.error.slice(0, SHOWN_CHARS) };
  }
}

const SHOWN_CHARS = 500;

/** Returns the value, or the beginning of its text if that is long. */
export function short(value: unknown): unknown {
  const text = value === undefined ? "" : JSON.stringify(value);
  return text.length <= SHOWN_CHARS ? value : `${text.slice(0, SHOWN_CHARS)}…`;
}
