/** `Producer-Id`, `Producer-Epoch`, `Producer-Seq`: a sender that numbers its requests (ONE2). */
import { NAME_BYTES } from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import type { Producer } from "../../engine/event/producer.ts";
import { BodyError } from "./body.ts";

/** Two numbers and two slashes stand beside the id in the ids that are made of it. */
const ID_BYTES = NAME_BYTES - 64;

/** The producer of a request; null where none is named. @throws BodyError where it is named by halves, or wrongly */
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

/** What ids are made of where events have none: the same for a repeat of the request. */
export const requestName = ({ id, epoch, number }: Producer): string => `${id}/${epoch}/${number}`;

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw invalid(`${name} must be a whole number from 0 to 2^53 - 1, not ${JSON.stringify(text.slice(0, 40))}`);
  return value;
}

const invalid = (detail: string): BodyError => new BodyError(400, "invalid_producer", detail);
