/**
 * A model of what the simulated operators should do with a log, written a second time: no code of the engine and none
 * of operators.ts is used. One model holds one partition, and remembers every state that every key ever had.
 *
 * MODEL1. The log is taken as it stands; the model says whether each outcome in it was right at its place.
 * MODEL2. A state may be asked about at any seq and in any version of the operator.
 */
import type { LoggedOutcome, QuarantineLine } from "./decoder.ts";

export const RETRY = "keyframe.quarantine.retry";
export const DELETE = "keyframe.quarantine.delete";
export const PUT = "keyframe.state.put";
export const REMOVE = "keyframe.state.delete";
export const ERASE = "keyframe.state.erase";
export const TIMER = "keyframe.timer";
export const isEdit = (type: string): boolean => type === PUT || type === REMOVE || type === ERASE;
export const isCommand = (type: string): boolean => isEdit(type) || type === RETRY || type === DELETE || type === TIMER;

/** An event of the log, as the oracle keeps it. */
export interface Logged {
  readonly seq: number;
  readonly stamp: number;
  readonly version: number;
  /** The lowest version of code that ran on the partition when it was logged. */
  readonly lowest: number;
  /** Source and id. */
  readonly name: string;
  readonly id: string;
  readonly type: string;
  readonly key: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** All of it, as it stands in the log. */
  readonly event: Readonly<Record<string, unknown>>;
  readonly atMs: number;
  /** The content of the event, for reuse of its id. */
  readonly content: string;
  /** It came in a numbered request, always. */
  readonly numbered: boolean;
  readonly outcome: LoggedOutcome | null;
  /** JSON text of the reply that its handler must give, or null if there is none or it isn't known. */
  reply: string | null;
}

export interface Shown {
  readonly text: string;
  readonly seq: number;
  readonly stamp: number;
  /** The version of the text, if it can't be migrated. */
  readonly version?: number | undefined;
  readonly timers?: readonly (readonly [name: string, due: number])[] | undefined;
}

export interface View {
  readonly version: number;
  /** Everything up to here must show. */
  readonly floor: number;
  /** Nothing above this may show. */
  readonly cut: number;
}

export interface Model {
  /** Takes the next event of the log. Returns its flaw, or null. */
  take(event: Logged): string | null;
  /** Returns the flaw of a key's shown state, or null. */
  check(key: string, shown: Shown | null, view: View): string | null;
  /** Every key that ever had a state. */
  keys(): Iterable<string>;
  /** Code of this version reads the partition from now on. */
  readBy(version: number): void;
  /** Returns the flaw of a quarantine, or null. */
  checkQuarantine(lines: readonly QuarantineLine[], view: Omit<View, "version">): string | null;
  /**
   * Returns the flaw, if this is all that there is of a key: a state, and the quarantine (by seq), which hold
   * everything up to `cut`.
   */
  checkKept(key: string, shown: Shown | null, quarantine: ReadonlySet<number>, cut: number): string | null;
  /** May an instance that knows everything up to `floor` be unable to migrate the key? */
  mayBeUnmigrated(key: string, version: number, floor: number): boolean;
  /** The last seq that an erasure of the key covers, or 0. */
  erasedUpTo(key: string): number;
  /** A timer that is pending and was due before then, or null. Missing if there are no timers. */
  overdue?(beforeMs: number): string | null;
}

/** The answer of a refusal: code, and a detail. */
export const refusal = (code: string, detail: unknown = null): string => JSON.stringify([code, detail]);

/** Does the condition of an edit hold? `texts` are those whose prints its tags bear, in the same order. */
export function holds(
  data: Readonly<Record<string, unknown>>,
  now: { readonly seq: number; readonly isText: (text: string) => boolean } | null,
): boolean {
  const { if: condition, was = [] } = data as { if: "any" | "none" | [number, number][]; was?: string[] };
  if (now === null) return condition === "none";
  if (typeof condition === "string") return condition === "any";
  return condition.some(([seq], i) => seq === now.seq && now.isText(was[i]!));
}

/** Is the outcome in the log this one? Null, or what is wrong. */
export function outcomeFlaw(event: Logged, tag: LoggedOutcome["tag"], text: string | null = null): string | null {
  const { outcome } = event;
  if ((outcome?.tag ?? "a") === tag && (text === null || outcome?.text === text)) return null;
  return `seq ${event.seq} (${event.type} of ${event.key}) should come to ${tag} ${text ?? ""}, and is ${outcome?.tag ?? "applied"} ${outcome?.text ?? ""}`;
}
