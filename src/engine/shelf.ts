/** A partition's objects in R2 as a reader sees them: what reading takes, with patience for a store that doesn't answer. */
import { Damage } from "./errors.ts";
import type { PartitionId } from "./ids.ts";
import { OPEN_ATTEMPTS } from "./limits.ts";
import type { Clock, Codec, Host, ObjectStore } from "./ports.ts";
import { persistent } from "./store-call.ts";

export interface Shelf {
  readonly id: PartitionId;
  readonly objects: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly host: Pick<Host, "jitter">;
}

type Reader = Omit<Shelf, "id" | "codec">;

/** The whole object. @throws Damage where it isn't there */
export async function fetchObject({ objects, clock, host }: Reader, name: string): Promise<Uint8Array> {
  const file = await persistent(clock, host, "R2", OPEN_ATTEMPTS, () => objects.get(name));
  if (file === null) throw new Damage(`${name} isn't there`);
  return file;
}

/** One page of names with the prefix, above `after`. */
export const listNames = (
  { objects, clock, host }: Reader,
  prefix: string,
  after: string,
): ReturnType<ObjectStore["list"]> => persistent(clock, host, "R2", OPEN_ATTEMPTS, () => objects.list(prefix, after));
