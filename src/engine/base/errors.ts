/**
 * Named failures of the stores and of their contents. A refusal that a caller expects is a tagged value, not a Failure.
 * The message says what happened, with values, and what to do. `code` is stable and appears in problem documents.
 */
export type FailureCode =
  | "store_unavailable" // D1 or R2 did not answer in time, or answered with an error that may pass.
  | "log_not_migrated" // The tables are missing.
  | "log_broken" // The log has a gap, a duplicate or a wrong checksum.
  | "snapshot_unreadable" // No generation and no archive gives the state back.
  | "state_newer" // The state is of a newer operator version than the code, and no older state is left.
  | "unknown_format" // A row or object has a format version that this code doesn't know.
  | "log_rewound" // D1 has less than it had acknowledged.
  | "catalogue_lost" // R2 has objects, but D1 has no row.
  | "placement_unclear" // The remaining records don't say how an operator was placed, or contradict each other.
  | "database_missing" // The database that holds a partition isn't bound.
  | "database_swapped" // A database is bound under the name of another one.
  | "moment_gone" // Retention gave up the moment while it was read.
  | "invalid_region" // REGION or JURISDICTION is an unknown name.
  | "line_sealed" // The line of history takes no events now: a promotion is under way, or another line is main.
  | "line_gone" // The line of history was removed.
  | "quarantine_full" // A replay would quarantine more events than the quarantine holds.
  | "replay_other_code" // Other code runs here than the one that began the replay.
  | "fenced"; // Another instance took the epoch.

export class Failure extends Error {
  readonly code: FailureCode;
  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Failure";
    this.code = code;
  }
}

/** One object at rest is damaged: it is missing, its bytes differ from those written (SNAP3), or only this object can't
 *  be read. */
export class Damage extends Error {
  /** Name of the object, or null if the finder didn't know it. */
  object: string | null = null;
  /** The store answers for other objects, but not for this one. The object may be readable later, so no event is given
   *  up. */
  unreachable = false;

  constructor(message: string) {
    super(message);
    this.name = "Damage";
  }
}

/** Returns true if the bytes differ from those written, or this code doesn't know their format. */
export const isUnreadable = (error: unknown): error is Damage | Failure =>
  error instanceof Damage ||
  (error instanceof Failure && (error.code === "log_broken" || error.code === "unknown_format"));

/** Returns the class of a thrown value and the top of its stack. Never throws. */
export function traceOf(error: unknown): { readonly errorName: string; readonly stack: string } {
  try {
    if (!(error instanceof Error)) return { errorName: `a thrown ${typeof error}`, stack: "" };
    // Anybody may have put any value into these properties.
    const { name, constructor, stack } = error as unknown as Readonly<Record<string, unknown>>;
    const named = String(name);
    // A user's class often keeps the name that it inherits, so the constructor's name says more.
    const own = BUILT_IN.has(named) && typeof constructor === "function" ? constructor.name : named;
    const errorName = own === "" ? named : own;
    const frames = String(stack)
      .split("\n")
      .filter((line) => /^\s+at /.test(line));
    const top = frames.slice(0, STACK_FRAMES).map((frame) => frame.trim().slice(0, FRAME_CHARS));
    return { errorName: errorName.slice(0, FRAME_CHARS), stack: top.join("\n") };
  } catch {
    return { errorName: "something that hides its class", stack: "" };
  }
}

const BUILT_IN = new Set([
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
]);

/** Enough to find the line. The quarantine is bounded by its bytes. */
const STACK_FRAMES = 6;
const FRAME_CHARS = 200;

/** Returns the text of a thrown value. Never throws, whatever the value is. */
export function messageOf(error: unknown): string {
  try {
    const text: unknown = error instanceof Error ? error.message : error;
    return typeof text === "string" ? text : String(text);
  } catch {
    return "something was thrown that has no text";
  }
}
