/** The model of `count` and `credits`: two numbers, and what later versions derive from the second. */
import type { QuarantineLine } from "./decoder.ts";
import {
  ERASE,
  holds,
  isEdit,
  outcomeFlaw,
  PUT,
  refusal,
  type Logged,
  type Model,
  type Shown,
  type View,
} from "./model.ts";

type Values = readonly [number, number];

interface Change {
  readonly seq: number;
  readonly stamp: number;
  /** Null if the state was removed. */
  readonly values: Values | null;
}

export class NumbersModel implements Model {
  readonly #names: readonly [string, string];
  readonly #handle: (values: Values, event: Logged) => Handled;
  readonly #maxKeys: number;
  readonly #history = new Map<string, Change[]>();
  readonly #erased = new Map<string, number>();
  #keys = 0;

  constructor(kind: "count" | "credits", maxKeys: number) {
    this.#names = kind === "count" ? ["n", "sum"] : ["left", "taken"];
    this.#handle = kind === "count" ? counted : credited;
    this.#maxKeys = maxKeys;
  }

  take(event: Logged): string | null {
    const history = this.#history.get(event.key) ?? [];
    const last = history.at(-1);
    const before = last?.values ?? null;
    const handled = isEdit(event.type) ? this.#edited(last, event) : this.#handle(before ?? [0, 0], event);
    if (handled.refused !== null) return outcomeFlaw(event, "r", handled.refused);
    const grows = (handled.values === null ? 0 : 1) - (before === null ? 0 : 1);
    if (grows > 0 && this.#keys >= this.#maxKeys)
      return outcomeFlaw(event, "r", refusal("too_many_keys", { keys: this.#keys, maxKeys: this.#maxKeys }));
    this.#keys += grows;
    const flaw = outcomeFlaw(event, "a");
    if (flaw !== null) return flaw;
    event.reply = handled.reply;
    if (event.outcome !== null && event.outcome.text !== handled.reply)
      return `the reply to seq ${event.seq} should be ${handled.reply}, it is ${event.outcome.text}`;
    if (event.type === ERASE) this.#erased.set(event.key, event.seq);
    this.#history.set(event.key, [...history, { seq: event.seq, stamp: event.stamp, values: handled.values }]);
    return null;
  }

  #edited(last: Change | undefined, event: Logged): Handled {
    const values = last?.values ?? null;
    const isText = (text: string): boolean => text === this.#text(values!, event.version);
    const now = values === null ? null : { seq: last!.seq, isText };
    if (event.type !== ERASE && !holds(event.data, now))
      return { values: null, reply: null, refused: refusal("precondition_failed") };
    if (event.type !== PUT) return { values: null, reply: null, refused: null };
    const state = event.data["state"] as Record<string, number>;
    return { values: [state[this.#names[0]]!, state[this.#names[1]]!], reply: null, refused: null };
  }

  check(key: string, shown: Shown | null, { version, floor, cut }: View): string | null {
    const history = (this.#history.get(key) ?? []).filter((change) => change.seq <= cut);
    if (shown?.version !== undefined) return `it is of version ${shown.version}, and can be migrated`;
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

  #text([first, second]: Values, version: number): string {
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

  checkQuarantine(lines: readonly QuarantineLine[]): string | null {
    const seqs = lines.map(({ seq }) => seq);
    return seqs.length === 0 ? null : `seqs ${seqs.join(", ")} are in quarantine, though nothing throws`;
  }

  checkKept(): string | null {
    return null;
  }

  mayBeUnmigrated(): boolean {
    return false;
  }

  erasedUpTo(key: string): number {
    return this.#erased.get(key) ?? 0;
  }
}

interface Handled {
  readonly values: Values | null;
  /** Null if there is none, or it isn't known. */
  readonly reply: string | null;
  readonly refused: string | null;
}

function counted([n, sum]: Values, event: Logged): Handled {
  if (event.type === "wipe") return { values: null, reply: JSON.stringify({ n }), refused: null };
  return { values: [n + 1, sum + Number(event.data["n"])], reply: JSON.stringify({ n: n + 1 }), refused: null };
}

function credited([left, taken]: Values, event: Logged): Handled {
  const n = Number(event.data["n"]);
  if (event.type === "buy")
    return { values: [left + n, taken], reply: JSON.stringify({ left: left + n }), refused: null };
  if (left < n) return { values: null, reply: null, refused: refusal("insufficient", { left }) };
  return { values: [left - n, taken + n], reply: JSON.stringify({ left: left - n }), refused: null };
}
