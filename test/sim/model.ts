/**
 * What the simulated operators should do with a log, written a second time: no code of the engine and none of operators.ts
 * is used. One model holds one partition, and remembers every state that every key ever had.
 *
 * M1. The log is taken as it stands; the model says whether each outcome in it was right at its place.
 * M2. A state may be asked about at any seq and in any version of the operator.
 */
import type { LoggedOutcome } from "./decoder.ts";

/** An event of the log, as the oracle keeps it. */
export interface Logged {
  readonly seq: number;
  readonly stamp: number;
  readonly version: number;
  /** The lowest version of code that ran on the partition when it was logged. */
  readonly lowest: number;
  readonly group: string;
  /** Source and id. */
  readonly name: string;
  readonly id: string;
  readonly type: string;
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly atMs: number;
  /** What it says, for reuse of its id. */
  readonly content: string;
  /** It came in a numbered request, always. */
  readonly numbered: boolean;
  readonly outcome: LoggedOutcome | null;
  /** JSON text of the reply that its handler must give; null: none, or not known. */
  reply: string | null;
}

export interface Shown {
  readonly text: string;
  readonly seq: number;
  readonly stamp: number;
}

export interface View {
  readonly version: number;
  /** Everything up to here must show. */
  readonly floor: number;
  /** Nothing above this may show. */
  readonly cut: number;
}

export interface Model {
  /** Takes the next event of the log. What is wrong with it, or null. */
  take(event: Logged): string | null;
  /** What is wrong with what is shown of a key, or null. */
  check(key: string, shown: Shown | null, view: View): string | null;
  /** Every key that ever had a state. */
  keys(): Iterable<string>;
  /** Code of this version reads the partition from now on. */
  readBy(version: number): void;
  /** What is wrong with a quarantine, given that everything up to `floor` is in it. */
  checkQuarantine(seqs: ReadonlySet<number>, floor: number): string | null;
  /** An event waits in the quarantine, if there is any. */
  quarantined(): readonly Logged[];
}

interface Change {
  readonly seq: number;
  readonly stamp: number;
  /** Null: removed. */
  readonly values: readonly [number, number] | null;
}

/** `count` and `credits`: two numbers, and what later versions derive from the second. */
export class NumbersModel implements Model {
  readonly #names: readonly [string, string];
  readonly #handle: (values: readonly [number, number], event: Logged) => Handled;
  readonly #history = new Map<string, Change[]>();

  constructor(kind: "count" | "credits") {
    this.#names = kind === "count" ? ["n", "sum"] : ["left", "taken"];
    this.#handle = kind === "count" ? counted : credited;
  }

  take(event: Logged): string | null {
    const history = this.#history.get(event.key) ?? [];
    const before = history.at(-1)?.values ?? [0, 0];
    const handled = this.#handle(before, event);
    if (handled.refused !== null) {
      return event.outcome?.tag === "r" && event.outcome.text === handled.refused
        ? null
        : `seq ${event.seq} should be refused with ${handled.refused}, it is ${event.outcome?.tag} ${event.outcome?.text}`;
    }
    if (event.outcome !== null && event.outcome.tag !== "a")
      return `seq ${event.seq} should be applied, it is ${event.outcome.tag} ${event.outcome.text}`;
    event.reply = handled.reply;
    if (event.outcome !== null && event.outcome.text !== handled.reply)
      return `the reply to seq ${event.seq} should be ${handled.reply}, it is ${event.outcome.text}`;
    this.#history.set(event.key, [...history, { seq: event.seq, stamp: event.stamp, values: handled.values }]);
    return null;
  }

  check(key: string, shown: Shown | null, { version, floor, cut }: View): string | null {
    const history = (this.#history.get(key) ?? []).filter((change) => change.seq <= cut);
    if (shown === null) {
      const last = history.findLast((change) => change.seq <= floor);
      const bare = last === undefined || last.values === null;
      const removedLater = history.some((change) => change.seq > floor && change.values === null);
      return bare || removedLater ? null : `nothing is shown, though seq ${last.seq} left a state`;
    }
    const at = history.findIndex((change) => change.seq === shown.seq);
    const change = history[at];
    if (change === undefined || change.values === null) return `seq ${shown.seq} left no state of it`;
    const next = history[at + 1];
    if (next !== undefined && next.seq <= floor) return `seq ${shown.seq} is shown, though seq ${next.seq} must be`;
    if (shown.stamp !== change.stamp) return `it has the stamp ${shown.stamp} instead of ${change.stamp}`;
    const text = this.#text(change.values, version);
    return shown.text === text ? null : `it is ${shown.text} instead of ${text}`;
  }

  #text([first, second]: readonly [number, number], version: number): string {
    const [one, two] = this.#names;
    const more = version >= 3 ? { twice: second * 2, thrice: second * 3 } : version === 2 ? { twice: second * 2 } : {};
    return JSON.stringify({ [one]: first, [two]: second, ...more });
  }

  keys(): Iterable<string> {
    return this.#history.keys();
  }

  readBy(): void {
    // All versions agree about it.
  }

  checkQuarantine(seqs: ReadonlySet<number>): string | null {
    return seqs.size === 0 ? null : `seqs ${[...seqs].join(", ")} are in quarantine, though nothing throws`;
  }

  quarantined(): readonly Logged[] {
    return [];
  }
}

interface Handled {
  readonly values: readonly [number, number] | null;
  readonly reply: string;
  readonly refused: string | null;
}

function counted([n, sum]: readonly [number, number], event: Logged): Handled {
  if (event.type === "wipe") return { values: null, reply: JSON.stringify({ n }), refused: null };
  return { values: [n + 1, sum + Number(event.data["n"])], reply: JSON.stringify({ n: n + 1 }), refused: null };
}

function credited([left, taken]: readonly [number, number], event: Logged): Handled {
  const n = Number(event.data["n"]);
  if (event.type === "buy")
    return { values: [left + n, taken], reply: JSON.stringify({ left: left + n }), refused: null };
  if (left < n) return { values: null, reply: "", refused: JSON.stringify(["insufficient", { left }]) };
  return { values: [left - n, taken + n], reply: JSON.stringify({ left: left - n }), refused: null };
}
