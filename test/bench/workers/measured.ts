// Keyframe with its bindings counted and delayed. The Durable Object class reads its bindings from the env that its
// constructor gets, the Worker from the one that fetch gets; both are the wrapped one.

import { type keyframe, Partition } from "../../../src/keyframe.ts";
import { countedD1 } from "./counted-d1.ts";
import { countedObjects, countStorage } from "./counted-objects.ts";
import { countedR2 } from "./counted-r2.ts";
import { counters, countersAnswer } from "./counters.ts";
import { delayOf } from "./delay.ts";

export interface Env {
  PARTITION: DurableObjectNamespace<Partition>;
  LOG_0: D1Database;
  SNAPSHOTS: R2Bucket;
  DELAY_MS: number;
}

export class MeasuredPartition extends Partition {
  constructor(ctx: DurableObjectState, env: Env) {
    countStorage(ctx.storage);
    super(ctx, wrapped(env));
  }

  override alarm(...info: Parameters<Partition["alarm"]>): ReturnType<Partition["alarm"]> {
    counters.objectRequests += 1;
    return super.alarm(...info);
  }
}

export function measured(app: ReturnType<typeof keyframe>): ExportedHandler<Env> {
  return {
    fetch: (request, env, ctx) => countersAnswer(request) ?? app.fetch(request, wrapped(env), ctx),
  };
}

const known = new WeakMap<Env, Env>();

/** The Worker gets the same env with every request, so this is done once for it, and once for each object. */
function wrapped(env: Env): Env {
  let found = known.get(env);
  if (found === undefined) {
    const delay = delayOf(env.DELAY_MS);
    found = {
      ...env,
      PARTITION: countedObjects(env.PARTITION),
      LOG_0: countedD1(env.LOG_0, delay),
      SNAPSHOTS: countedR2(env.SNAPSHOTS, delay),
    };
    known.set(env, found);
  }
  return found;
}
