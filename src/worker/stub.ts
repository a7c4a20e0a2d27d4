/**
 * Calling a partition's object. The platform's own stub type loses tuples and adds disposal, so the calls that exist are
 * written down here once; partition-object.ts implements them.
 */
import type { Address } from "../engine/address.ts";
import { partitionName } from "../engine/ids.ts";
import type { Env } from "./app.ts";
import type { Partition } from "./partition-object.ts";

type Calls = Pick<
  Partition,
  "append" | "read" | "scan" | "facts" | "quarantinePage" | "snapshot" | "verify" | "mark" | "evict" | "wake"
>;

/** A new stub: one that threw is dead for ever, so none is kept. */
export const partitionStub = (env: Env, address: Address): Calls =>
  env.PARTITION.getByName(partitionName(address)) as unknown as Calls;
