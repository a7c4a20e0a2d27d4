/**
 * What travels between a Worker and a partition's object. Old and new code run side by side for minutes after a deploy
 * (CODE1): every message has a version, and what is added later must be optional.
 */

import type { Producer, Unfit } from "../event/producer.ts";

export const WIRE_VERSION = 3;
/** What a slice without a producer still is: an object of older code takes it. */
const PLAIN_VERSION = 1;
const NUMBERED_VERSION = 2;
/** An object that doesn't know producers would take their events without their marks, one that doesn't know edits (EDIT3 of edit.ts)
 *  would quarantine them. */
export const wireVersion = (producer: Producer | null, edits = false): number =>
  edits ? WIRE_VERSION : producer === null ? PLAIN_VERSION : NUMBERED_VERSION;

/** One request's events for one partition, in order. */
export interface AppendRequest {
  readonly v: number;
  /** The caller's operator version: an object of older code steps aside (CODE1). */
  readonly operatorVersion: number;
  /** Time of receipt, milliseconds. */
  readonly at: number;
  /** The events as JSON texts with commas between them: the clients' own bytes. */
  readonly body: string;
  /** UTF-8 length of `body`. */
  readonly bytes: number;
  /** Length of each event in `body`, in characters. */
  readonly lengths: ArrayLike<number>;
  readonly keys: readonly string[];
  /** PRINT_WORDS words (hash.ts) for each event. */
  readonly prints: ArrayLike<number>;
  /** Answer the outcome and seq of every event, not only of those that are more than applied. */
  readonly full: boolean;
  /** How long the caller can wait, in milliseconds, where that is less than COMMIT_WAIT_MS. */
  readonly waitMs?: number;
  /** A command: taken also where the quarantine is full, since it may empty it. */
  readonly command?: true;
  /** Version 2: the sender numbers its requests (ONE2). */
  readonly producer?: Producer;
  /** Version 2: the index of each event in its request, rising. */
  readonly indexes?: ArrayLike<number>;
}

/**
 * Status of one event, as a number; REPEAT is added where it was there already. `forgotten`, always with REPEAT: the number of
 * its request alone says that it was sent before, and nobody knows any more what became of it (PRODUCER5 of producers.ts). `unmigrated`: the
 * event is not in the log, since the state of its key is of an older version and can't be migrated (migration.ts).
 */
export const STATUS = { applied: 0, refused: 1, quarantined: 2, reused: 3, forgotten: 4, unmigrated: 5 } as const;
export const REPEAT = 8;
export const isRepeat = (status: number): boolean => status >= REPEAT;

export type Busy = Extract<AppendResponse, { readonly tag: "busy" }>;

export type AppendResponse =
  | {
      readonly v: number;
      readonly tag: "decided";
      /** One number for each event. */
      readonly statuses: Uint8Array;
      /** [index, seq (0 if forgotten, or not logged), outcome text or null; of `unmigrated` the reason], for as much of what is more than
       *  applied as an answer lists; for every event if `full`. */
      readonly details: readonly (readonly [index: number, seq: number, outcome: string | null])[];
    }
  /** None of it was taken, and none will be: the producer is not fit to send it (ONE2). */
  | ({ readonly v: number; readonly tag: "unfit" } & Unfit)
  /** Nothing is known to be durable; send it again. */
  | {
      readonly v: number;
      readonly tag: "busy";
      readonly code: string;
      readonly message: string;
      readonly retryAfterMs: number;
    };

export const busy = (code: string, message: string, retryAfterMs = 1_000): Busy => ({
  v: WIRE_VERSION,
  tag: "busy",
  code,
  message,
  retryAfterMs,
});
