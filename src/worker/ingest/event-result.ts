/** The part of an answer about one event: an error in the list of errors, or the result that was asked for. */
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";
import { parseOutcome, type Outcome } from "../../engine/log/outcome.ts";
import { isDuplicate, DUPLICATE, STATUS } from "../../engine/partition/protocol.ts";
import type { Draft } from "./pending-request.ts";
import { FORGOTTEN, markOf, REFUSED, REJECTED } from "./event-bits.ts";

export interface EventError {
  readonly index: number;
  readonly id: string | null;
  readonly code: string;
  readonly message: string;
  readonly operator?: string;
  /** Operators that have the event nevertheless, by their answers to this request (INTAKE5 of intake.ts). */
  readonly acceptedBy: readonly string[];
  readonly [member: string]: unknown;
}

/** An error before the operators that accepted the event are known. */
export type Flaw = Pick<EventError, "index" | "id" | "code" | "message"> & { readonly [member: string]: unknown };

export interface EventResult {
  readonly index: number;
  readonly operator: string | null;
  readonly key: string | null;
  readonly partition: number | null;
  readonly seq: number | null;
  /** `forgotten`: only the number of the request tells that the event was sent before (PRODUCER5 of producers.ts). */
  readonly status: "applied" | "refused" | "quarantined" | "rejected" | "forgotten";
  readonly duplicate: boolean;
  readonly value: unknown;
}

/** The outcomes of a partition's events. */
export interface Decided {
  readonly draft: Draft;
  readonly statuses: Uint8Array;
}

/** Returns the names of operators that have and count the event at this place of a batch, sorted. */
export function acceptorsAt(place: number, decided: readonly Decided[]): string[] {
  const names = decided.flatMap(({ draft, statuses }) => {
    const at = draft.places.indexOf(place);
    return at >= 0 && isAccepted(statuses[at]!) ? [draft.route.operator.name] : [];
  });
  return names.sort();
}

const isAccepted = (status: number): boolean => (markOf(status) & (REFUSED | REJECTED | FORGOTTEN)) === 0;

/** Names the event and its operator. `base`: index of the batch's first event. */
export const named = (draft: Draft, i: number, base: number): Pick<EventError, "index" | "id" | "operator"> => ({
  index: base + draft.places[i]!,
  id: idOf(draft.texts[i]!),
  operator: draft.route.operator.name,
});

/** An id is seldom needed, so read it again from the text: keeping it would cost memory for every event. */
const idOf = (text: string): string | null => (JSON.parse(text) as { id?: string }).id ?? null;

/** A partition's answer about one of its events. */
export interface Told {
  readonly draft: Draft;
  readonly i: number;
  /** Index of the batch's first event. */
  readonly base: number;
  readonly status: number;
  readonly seq: number;
  /** Text of the outcome, or the reason if the event's key can't be migrated. */
  readonly text: string | null;
}

const outcomeTold = ({ status, text }: Told): Outcome | null =>
  text === null || status === STATUS.unmigrated ? null : parseOutcome(text);

/** Returns null if the event has no error. */
export function errorOf(told: Told): Flaw | null {
  const { draft, i, base, status, seq, text } = told;
  if (status === STATUS.reused) {
    const message = `this source and id belong to an event with other content or another key, seq ${seq}; give every event its own id`;
    return { ...named(draft, i, base), code: "id_reused", message };
  }
  if (status === STATUS.unmigrated) return { ...named(draft, i, base), code: MIGRATION_FAILED, message: text! };
  const outcome = outcomeTold(told);
  if (outcome?.tag !== "refused") return null;
  const message = `refused by ${draft.route.operator.name}`;
  const detail = JSON.parse(outcome.detail) as unknown;
  return { ...named(draft, i, base), code: outcome.code, message, detail };
}

export function resultOf(told: Told): EventResult {
  const { draft, i, base, status, seq } = told;
  return {
    index: base + draft.places[i]!,
    ...whereOf(draft, i),
    seq: seq === 0 ? null : seq,
    status: STATUS_NAMES[status & ~DUPLICATE] ?? "applied",
    duplicate: isDuplicate(status),
    value: valueOf(outcomeTold(told)),
  };
}

/** By STATUS of engine/partition/protocol.ts. */
export const STATUS_NAMES = ["applied", "refused", "quarantined", "rejected", "forgotten", "rejected"] as const;

function valueOf(outcome: Outcome | null): unknown {
  switch (outcome?.tag) {
    case "applied":
      return JSON.parse(outcome.reply) as unknown;
    case "refused":
      return { code: outcome.code, detail: JSON.parse(outcome.detail) as unknown };
    case "quarantined":
      return { error: outcome.error };
    default:
      return null;
  }
}

/** The result of an event that no operator decided. */
export const rejectedResult = (
  index: number,
  where: Pick<EventResult, "operator" | "key" | "partition">,
): EventResult => ({ index, ...where, seq: null, status: "rejected", duplicate: false, value: null });

export const whereOf = (draft: Draft, i: number): Pick<EventResult, "operator" | "key" | "partition"> => ({
  operator: draft.route.operator.name,
  key: draft.keys[i]!,
  partition: draft.partition,
});
