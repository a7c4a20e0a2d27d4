/**
 * Calls a partition's object. The platform's own stub type loses tuples and adds disposal, so the calls are declared
 * here once. partition-object.ts implements them.
 */
import { partitionName } from "../engine/base/ids.ts";
import { type Jurisdiction, appLocation } from "../engine/operator/region.ts";
import type { Address } from "../engine/operator/routing.ts";
import type { Env } from "./env.ts";
import type { Calls } from "./rpc.ts";

/**
 * Returns a new stub. A stub that threw can't be used again, so none is kept. The region counts at the object's first
 * call.
 */
export function partitionStub(env: Env, address: Address): Calls {
  const { region, jurisdiction } = appLocation(env);
  const namespace = jurisdiction === null ? env.PARTITION : within(env.PARTITION, jurisdiction);
  const hint = region === null ? undefined : { locationHint: region };
  return namespace.getByName(partitionName(address), hint) as unknown as Calls;
}

/**
 * A jurisdiction gives other objects than none. They find their state in D1 and R2 nevertheless, and fence each other
 * there.
 */
function within(namespace: Env["PARTITION"], jurisdiction: Jurisdiction): Env["PARTITION"] {
  try {
    return namespace.jurisdiction(jurisdiction);
  } catch (error) {
    // The local runtime has no jurisdictions, because it is one machine.
    if (error instanceof Error && error.message.includes("not implemented in workerd")) return namespace;
    throw error;
  }
}
