/** Failures that waiting or an operator's action fixes: a named 503. Any other error is a bug (IN3). */
import { Damage, Failure } from "../engine/base/errors.ts";

export interface Trouble {
  readonly code: string;
  readonly message: string;
}

/** Returns the status of an event that isn't taken now: 429 if the sender has used up its quota, else 503. */
export const unavailableStatus = (code: string): 429 | 503 => (code === "quota_exceeded" ? 429 : 503);

/** Returns null if the error is a bug. */
export function troubleOf(error: unknown): Trouble | null {
  if (error instanceof Failure) return { code: error.code, message: error.message };
  if (error instanceof Damage) return { code: "snapshot_unreadable", message: error.message };
  const text = error instanceof Error ? error.message : "";
  const transient =
    /Network connection lost|reset because its code was updated|internal error|D1_ERROR|overloaded/i.test(text);
  return transient ? { code: "store_unavailable", message: "a store or an object did not answer; try again" } : null;
}
