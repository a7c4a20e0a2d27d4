/** Marks of one event over all operators that want it: bits, since each event of a batch has a set of them. */
import { DUPLICATE, STATUS } from "../../engine/partition/protocol.ts";

export const NEW = 1;
export const KNOWN = 2;
export const REFUSED = 4;
/** An id that belongs to another event, or a producer that may not send the event. */
export const REJECTED = 8;
export const QUARANTINED = 16;
export const UNDECIDED = 32;
/** Only the number of its request tells that the event was sent before. */
export const FORGOTTEN = 64;

/** Returns the mark that one operator's status adds to an event. */
export function markOf(status: number): number {
  switch (status) {
    case STATUS.applied:
      return NEW;
    case STATUS.applied + DUPLICATE:
      return KNOWN;
    case STATUS.refused:
    case STATUS.refused + DUPLICATE:
      return REFUSED;
    case STATUS.quarantined:
      return NEW | QUARANTINED;
    case STATUS.quarantined + DUPLICATE:
      return KNOWN | QUARANTINED;
    case STATUS.forgotten + DUPLICATE:
      return KNOWN | FORGOTTEN;
    default:
      return REJECTED;
  }
}
