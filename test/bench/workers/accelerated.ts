// One operator of one partition under a clock that jumps (prefetch.ts): what a month costs is counted in minutes.

import { env as bound } from "cloudflare:workers";
import { keyframe } from "../../../src/keyframe.ts";
import { advance, attach } from "./ahead.ts";
import { type Env, measured, MeasuredPartition } from "./measured.ts";
import { subjects } from "./subject.ts";

export class Partition extends MeasuredPartition {
  constructor(ctx: DurableObjectState, env: Env) {
    attach(ctx);
    super(ctx, env);
  }

  ring(): Promise<void> {
    return this.alarm();
  }
}

interface Bound extends Omit<Env, "PARTITION"> {
  PARTITION: DurableObjectNamespace<Partition>;
}

const { PARTITION } = bound as unknown as Bound;
const app = measured(keyframe({ operators: subjects() }));

const objects = {
  ring: (name: string): Promise<void> => PARTITION.getByName(name).ring(),
  // The call breaks with the object that it ends.
  evict: (name: string): Promise<void> =>
    PARTITION.getByName(name)
      .evict()
      .catch(() => undefined),
};

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname !== "/bench/advance") return app.fetch!(request, env, ctx);
    await advance(Number(url.searchParams.get("ms")), objects);
    return new Response();
  },
} satisfies ExportedHandler<Env>;
