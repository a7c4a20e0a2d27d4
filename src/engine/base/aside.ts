/**
 * How an object reacts when newer code calls it (CODE1). Decided from facts alone.
 *
 * ASIDE1. The object steps aside: it finishes the work under way and ends, so that the next call finds an object of the
 *     newer code.
 * ASIDE2. In a gradual deployment the platform keeps an object on its version while newer Workers call it. An object
 *     that stepped aside and runs the same code again reads that from its own storage. Stepping aside again would only
 *     end the object with each call. So the object stays and serves callers of its own version, and newer callers get
 *     `object_older`.
 * ASIDE3. The object steps aside again after ASIDE_AGAIN_MS, because the deployment continues and nobody tells the
 *     object.
 */
import { isObject, isWhole } from "./json.ts";
import { ASIDE_AGAIN_MS } from "./limits.ts";

/** The last time that the object stepped aside, as its own storage says: with which code, and when. */
export interface Aside {
  readonly v: 1;
  readonly code: string;
  readonly operatorVersion: number;
  readonly atMs: number;
}

/** Reads the stored value. Returns null if the value has no form that this code knows. */
export function readAside(stored: unknown): Aside | null {
  if (!isObject(stored) || stored["v"] !== 1) return null;
  const whole = typeof stored["code"] === "string" && isWhole(stored["operatorVersion"]) && isWhole(stored["atMs"]);
  return whole ? (stored as unknown as Aside) : null;
}

/** Returns true if the platform started the same code again that stepped aside (ASIDE2). */
export const isHeld = (aside: Aside | null, ours: Pick<Aside, "code" | "operatorVersion">, nowMs: number): boolean =>
  aside !== null &&
  aside.code === ours.code &&
  aside.operatorVersion === ours.operatorVersion &&
  nowMs - aside.atMs < ASIDE_AGAIN_MS;
