/**
 * Named failures of the stores and of what stands in them. Refusals that a caller expects are tagged values, not these.
 * The message says what happened, with values, and what to do; `code` is stable and appears in problem documents.
 */
export type FailureCode =
  | "store_unavailable" // D1 or R2 did not answer in time, or with an error that may pass
  | "log_not_migrated" // the tables are missing
  | "log_broken" // a hole, a repeat or a wrong checksum in the log
  | "snapshot_unreadable" // no generation and no archive gives the state back
  | "state_newer" // state of a newer operator version than the code, and nothing older to go back to
  | "unknown_format" // a row or object of a format version that this code doesn't know
  | "log_rewound" // D1 has less than it had acknowledged
  | "catalogue_lost" // objects in R2, but no row in D1
  | "placement_unclear" // what is left doesn't say, or not with one voice, how an operator was placed
  | "database_missing" // the database that holds a partition isn't bound
  | "database_swapped" // a database is bound under another one's name
  | "invalid_region" // REGION or JURISDICTION is no name that is known
  | "fenced"; // another instance took the epoch

export class Failure extends Error {
  readonly code: FailureCode;
  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Failure";
    this.code = code;
  }
}

/** Damage of one object at rest: it is not there, its bytes are not what was written (SNAP3), or it can't be read while others can. */
export class Damage extends Error {
  /** Name of the object, where whoever found it knew. */
  object: string | null = null;
  /** The store answers for other objects, but not for this one. The object may be readable again later, so no event is given up for it. */
  unreachable = false;

  constructor(message: string) {
    super(message);
    this.name = "Damage";
  }
}

/** Not what its writer wrote, or not known to this code. */
export const isUnreadable = (error: unknown): error is Damage | Failure =>
  error instanceof Damage ||
  (error instanceof Failure && (error.code === "log_broken" || error.code === "unknown_format"));

/** Class of what was thrown, and the top of its stack; never throws itself. */
export function traceOf(error: unknown): { readonly errorName: string; readonly stack: string } {
  try {
    if (!(error instanceof Error)) return { errorName: `a thrown ${typeof error}`, stack: "" };
    // Anybody may have put anything there.
    const { name, constructor, stack } = error as unknown as Readonly<Record<string, unknown>>;
    const named = String(name);
    // A class of one's own often leaves the name that it inherits.
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

/** Enough to find the line: the quarantine is bounded by its bytes. */
const STACK_FRAMES = 6;
const FRAME_CHARS = 200;

/** What was thrown, in words; never throws itself, whatever it was given. */
export function messageOf(error: unknown): string {
  try {
    const text: unknown = error instanceof Error ? error.message : error;
    return typeof text === "string" ? text : String(text);
  } catch {
    return "something was thrown that has no text";
  }
}
