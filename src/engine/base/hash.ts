/**
 * Hashes: they place a key and recognise an event. Every operator (CODE2) and every snapshot stores the name of its
 * hash. Another algorithm needs another name.
 *
 * HASH1. `kf1` reads UTF-16 code units in four 32-bit lanes (multiply and rotate, finished as in MurmurHash3). `kf1` is
 *     not cryptographic. The seed is random for each operator, so nobody outside can search for collisions.
 * HASH2. A print is six words for each event: four of source and id (who it is), two of its content (what it says).
 *     Within 500,000 ids, two different ids agree in 128 bits with a chance below 1e-27. In that case ONE4 would report
 *     a reused id. Only if the content agreed as well, the event would pass for a duplicate.
 * HASH3. The content's hash doesn't depend on the order of members or on white space. A re-serialised retry is the same
 *     event.
 */
export const HASH_NAME = "kf1";

/** 32-bit words of a print. */
export const PRINT_WORDS = 6;

export const C1 = 0xcc9e2d51;

export const C2 = 0x1b873593;

export const C3 = 0x85ebca6b;

export const C4 = 0xc2b2ae35;

/** Routing hash of a key's group, a 32-bit unsigned integer, uniform over ranges. */
export function hashGroup(text: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ Math.imul(text.charCodeAt(i), C1), C2);
    h = (h << 13) | (h >>> 19);
  }
  return finish(h ^ text.length) >>> 0;
}

export function finish(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, C3);
  x ^= x >>> 13;
  x = Math.imul(x, C4);
  return x ^ (x >>> 16);
}
