/**
 * The messages between a Worker and a partition's object.
 *
 * Old and new code run side by side for minutes after a deploy (CODE1). So every message has a version, and a later
 * addition must be optional.
 */

import type { Stamp } from "../base/ids.ts";
import type { Producer, Unfit } from "../event/producer.ts";

export const WIRE_VERSION = 1;

/** One client request's events for one partition, in order. */
export interface AppendRequest {
  readonly v: number;
  /** The caller's operator version. An object of older code steps aside (CODE1). */
  readonly operatorVersion: number;
  /** Time of receipt, milliseconds. */
  readonly at: number;
  /** The events as JSON texts with commas between them: the client's own bytes. */
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
  /** How long the caller can wait, in milliseconds, if that is less than COMMIT_WAIT_MS. */
  readonly waitMs?: number;
  /** The request is a command. It is taken even if the quarantine is full, since it may empty the quarantine. */
  readonly command?: true;
  /** The sender numbers its requests (ONE2). */
  readonly producer?: Producer;
  /** With `producer`: the index of each event in its client request, rising. */
  readonly indexes?: ArrayLike<number>;
  /** The sender has heard of this stamp, so the events are stamped above it (TIME1). */
  readonly after?: Stamp;
}

/**
 * Status of one event, as a number. DUPLICATE is added if the event is a duplicate.
 *
 * - `forgotten`, always with DUPLICATE: the request's number alone proves that the event was sent before. Its outcome is
 *     no longer known (PRODUCER5 of producers.ts).
 * - `unmigrated`: the event is not in the log. The state of its key is of an older version and can't be migrated
 *     (migration.ts).
 */
export const STATUS = { applied: 0, refused: 1, quarantined: 2, reused: 3, forgotten: 4, unmigrated: 5 } as const;
export const DUPLICATE = 8;
export const isDuplicate = (status: number): boolean => status >= DUPLICATE;

export type Busy = Extract<AppendResponse, { readonly tag: "busy" }>;

export type AppendResponse =
  | {
      readonly v: number;
      readonly tag: "decided";
      /** One number for each event. */
      readonly statuses: Uint8Array;
      /**
       * [index, seq (0 if forgotten, or not logged), outcome text or null; of `unmigrated` the reason].
       *
       * Lists every event if `full`. Otherwise lists events that are more than applied, up to the limit of an answer.
       */
      readonly details: readonly (readonly [index: number, seq: number, outcome: string | null])[];
      /** The events are at or below this stamp. An object of older code doesn't say. */
      readonly stamp?: Stamp;
    }
  /** None of the events was taken, and none will be: the producer may not send them (ONE2). */
  | ({ readonly v: number; readonly tag: "unfit" } & Unfit)
  /** Nothing is known to be durable. The caller sends the request again. */
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
