/**
 * Bodies that requests of one isolate hold as a whole. The isolate has one memory for all of them, so each byte counts
 * until its request is answered.
 */
import { HELD_BODY_BYTES } from "../../engine/base/limits.ts";

let heldBytes = 0;

/** The bytes that one request holds. */
export class HeldBody {
  #bytes = 0;

  /** Returns false if there is no room for so many more bytes now. */
  hold(bytes: number): boolean {
    if (heldBytes + bytes > HELD_BODY_BYTES) return false;
    heldBytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  /** Call it when the request is answered. */
  release(): void {
    heldBytes -= this.#bytes;
    this.#bytes = 0;
  }
}
