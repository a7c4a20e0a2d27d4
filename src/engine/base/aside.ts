/**
 * What an object does that newer code calls (CODE1): decided from facts alone.
 *
 * ASIDE1. It steps aside: it finishes what is under way and ends, so that the next call finds an object of the newer code.
 * ASIDE2. In a gradual deployment the platform keeps an object on its version while newer Workers call it. An object that has stepped aside
 *     and runs the same code again knows that from its own storage: stepping aside again would only end it with each call. It stays,
 *     serves callers of its own version, and newer callers hear `object_older`.
 * ASIDE3. It tries again after ASIDE_AGAIN_MS: the deployment goes on, and nobody tells the object.
 */
import { isObject, isWhole } from "./json.ts";
import { ASIDE_AGAIN_MS } from "./limits.ts";

/** What the object's own storage says: with which code it stepped aside last, and when. */
export interface Aside {
  readonly v: 1;
  readonly code: string;
  readonly operatorVersion: number;
  readonly atMs: number;
}

/** As it stands in storage; null if there is none that this code knows. */
export function readAside(stored: unknown): Aside | null {
  if (!isObject(stored) || stored["v"] !== 1) return null;
  const whole = typeof stored["code"] === "string" && isWhole(stored["operatorVersion"]) && isWhole(stored["atMs"]);
  return whole ? (stored as unknown as Aside) : null;
}

/** Did the platform start the code again that stepped aside (ASIDE2)? */
export const isHeld = (aside: Aside | null, ours: Pick<Aside, "code" | "operatorVersion">, nowMs: number): boolean =>
  aside !== null &&
  aside.code === ours.code &&
  aside.operatorVersion === ours.operatorVersion &&
  nowMs - aside.atMs < ASIDE_AGAIN_MS;
