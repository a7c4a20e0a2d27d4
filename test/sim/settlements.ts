/**
 * The resolutions of the events in the quarantine, and so what a duplicate of one must hear.
 *
 * SETTLEMENTS1. A duplicate hears what the last command that its instance knew of has left, or a later one: never an
 *     older outcome than that.
 * SETTLEMENTS2. Code that a retry was applied by is newer than some other, which still has the event in the quarantine.
 *     A duplicate of such an event may hear whatever it came to so far (LEDGERMODEL1 of ledger-model.ts).
 */
import type { LoggedOutcome } from "./decoder.ts";
import { DELETE, ERASE, refusal, RETRY, type Logged } from "./model.ts";

/** A command's result on an event. */
export interface Came {
  readonly command: Logged;
  readonly outcome: LoggedOutcome;
}

export interface Hears {
  /** The outcome that the event had when it was logged may be told. */
  readonly first: boolean;
  readonly later: readonly Came[];
}

interface Event {
  readonly event: Logged;
  readonly came: Came[];
  waits: boolean;
  /** A retry of it was applied, or refused for good. */
  retried: boolean;
  /** Some code has it elsewhere. */
  open: boolean;
}

const UNSETTLED = /^\["(not_quarantined|too_many_keys|migration_failed)"/;
const from = ({ data }: Logged): number => Number(data["from"] ?? 0);

export class Settlements {
  readonly #events = new Map<number, Event>();
  readonly #unmigratable: string | null;

  constructor(unmigratable: string | null) {
    this.#unmigratable = unmigratable;
  }

  take(logged: Logged): void {
    const { seq, type, key, data, outcome } = logged;
    if (type === ERASE) this.#erase(key, logged);
    else if (type === RETRY || type === DELETE) {
      const target = this.#events.get(Number(data["seq"]));
      if (target !== undefined) this.#command(target, logged);
    } else if (outcome?.tag === "q")
      this.#events.set(seq, {
        event: logged,
        came: [],
        waits: true,
        retried: false,
        open: key === this.#unmigratable,
      });
  }

  #erase(key: string, command: Logged): void {
    for (const one of this.#events.values()) {
      if (one.event.key !== key || !(one.waits || one.open)) continue;
      one.came.push({ command, outcome: { tag: "r", text: refusal("erased") } });
      one.waits = false;
    }
  }

  #command(target: Event, command: Logged): void {
    const { type, outcome, lowest } = command;
    if (outcome?.tag === "r" && UNSETTLED.test(outcome.text)) return;
    const deleted: LoggedOutcome = { tag: "r", text: refusal("deleted") };
    target.came.push({ command, outcome: type === DELETE ? deleted : (outcome ?? { tag: "a", text: "null" }) });
    target.waits = type === RETRY && outcome?.tag === "q";
    target.retried ||= type === RETRY && outcome?.tag !== "q";
    if (target.retried && from(target.event) > lowest) target.open = true;
  }

  /** Code of this version reads the log from now on. */
  readBy(version: number): void {
    for (const one of this.#events.values()) if (one.retried && from(one.event) > version) one.open = true;
  }

  came({ seq }: Logged): readonly Came[] {
    return this.#events.get(seq)?.came ?? [];
  }

  /** The answers that a duplicate may hear of an instance that knows everything up to `known`. */
  hears({ seq }: Logged, known: number): Hears {
    const { came = [], open = false } = this.#events.get(seq) ?? {};
    const last = open ? -1 : came.findLastIndex(({ command }) => command.seq <= known);
    return { first: last < 0, later: came.slice(Math.max(0, last)) };
  }
}
