/** `Producer-Id`, `Producer-Epoch`, `Producer-Seq`: a sender that numbers its requests (ONE2). */
import { NAME_BYTES } from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import type { Producer } from "../../engine/event/producer.ts";
import { BodyError } from "./body.ts";

/** Event ids made from a producer's id also hold two numbers and two slashes. */
const ID_BYTES = NAME_BYTES - 64;

/**
 * Returns the producer of a request, or null if the headers name none. @throws BodyError if they are incomplete or
 * wrong
 */
export function producerOf(headers: Headers): Producer | null {
  const id = headers.get("producer-id");
  const epoch = headers.get("producer-epoch");
  const number = headers.get("producer-seq");
  if (id === null && epoch === null && number === null) return null;
  if (id === null || epoch === null || number === null)
    throw invalid("Producer-Id, Producer-Epoch and Producer-Seq belong together; send all three or none");
  if (id === "" || exceeds(id, ID_BYTES)) throw invalid(`Producer-Id must have 1 to ${ID_BYTES} bytes`);
  return { id, epoch: whole("Producer-Epoch", epoch), number: whole("Producer-Seq", number) };
}

/** Names the request in the ids of events that have none. A retry of the request must get the same name. */
export const requestName = ({ id, epoch, number }: Producer): string => `${id}/${epoch}/${number}`;

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw invalid(`${name} must be a whole number from 0 to 2^53 - 1, not ${JSON.stringify(text.slice(0, 40))}`);
  return value;
}

const invalid = (detail: string): BodyError => new BodyError(400, "invalid_producer", detail);
