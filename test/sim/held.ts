/**
 * The quarantine as the oracle keeps it: which events were in it, from which seq up to which, and what an entry must say.
 *
 * HELD1. An entry says what was sent, whatever a handler did to it.
 * HELD2. An event that other code has elsewhere than the log says (LEDGERMODEL1 of ledger-model.ts) may be in it or
 *     not, until its key is erased.
 */
import type { QuarantineLine } from "./decoder.ts";
import type { Logged, View } from "./model.ts";

export class Held {
  readonly #events: (seq: number) => Logged;
  /** Up to before which seq an event is in it. */
  readonly #until = new Map<number, number>();
  /** Ids of events that some code had elsewhere than the log says. */
  readonly #open = new Set<number>();
  /** By which seq the key of an event was erased. */
  readonly #erased = new Map<number, number>();

  constructor(events: (seq: number) => Logged) {
    this.#events = events;
  }

  add({ seq }: Logged): void {
    this.#until.set(seq, Infinity);
  }

  has(seq: number): boolean {
    return this.#until.get(seq) === Infinity;
  }

  remove(seq: number, by: number): void {
    if (this.has(seq)) this.#until.set(seq, by);
  }

  erase(key: string, by: number): void {
    for (const seq of [...this.#until.keys(), ...this.#open])
      if (this.#events(seq).key === key) {
        this.remove(seq, by);
        this.#open.delete(seq);
        this.#erased.set(seq, by);
      }
  }

  open(seq: number): void {
    if (!this.#erased.has(seq)) this.#open.add(seq);
  }

  isOpen(seq: number): boolean {
    return this.#open.has(seq);
  }

  /** The flaw of these entries, or null: nothing that must be there is missing, nothing is there that may not be. */
  check(lines: readonly QuarantineLine[], { floor, cut }: Omit<View, "version">): string | null {
    const seqs = new Set(lines.map(({ seq }) => seq));
    for (const [seq, until] of this.#until)
      if (seq <= floor && until > cut && !seqs.has(seq) && !this.#open.has(seq))
        return `seq ${seq} isn't in quarantine`;
    for (const line of lines) {
      const { seq } = line;
      const until = this.#until.get(seq) ?? 0;
      const mayBe = (seq <= cut && until > floor) || this.#open.has(seq) || (this.#erased.get(seq) ?? 0) > floor;
      if (!mayBe) return `seq ${seq} is in quarantine, and shouldn't be`;
      const flaw = entryFlaw(line, this.#events(seq));
      if (flaw !== null) return `the entry of seq ${seq} ${flaw}`;
    }
    return null;
  }
}

function entryFlaw(line: QuarantineLine, { key, atMs, event }: Logged): string | null {
  if (line.key !== key) return `is of key ${line.key}, it should be ${key}`;
  if (line.now !== atMs) return `says ${line.now}, it was received at ${atMs}`;
  const [said, sent] = [line.event, JSON.stringify(event)];
  return said === sent ? null : `is ${said}, sent was ${sent}`;
}
