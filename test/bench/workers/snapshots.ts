// Operators whose delay to the stores can be changed and whose objects' caches can be emptied while it runs.

import { env as bound } from "cloudflare:workers";
import { keyframe } from "../../../src/keyframe.ts";
import { changeDelay } from "./delay.ts";
import { type Env, measured, MeasuredPartition } from "./measured.ts";
import { subjects } from "./subject.ts";

export class Partition extends MeasuredPartition {
  /** As after the loss of its own storage: everything comes from R2 again. */
  forget(): void {
    this.ctx.storage.sql.exec("DROP TABLE IF EXISTS ranges");
  }
}

interface Bound extends Omit<Env, "PARTITION"> {
  PARTITION: DurableObjectNamespace<Partition>;
}

const { PARTITION } = bound as unknown as Bound;
const app = measured(keyframe({ operators: subjects() }));

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/bench/delay") changeDelay(Number(url.searchParams.get("ms")));
    else if (url.pathname === "/bench/forget") await PARTITION.getByName(url.searchParams.get("name")!).forget();
    else return app.fetch!(request, env, ctx);
    return new Response();
  },
} satisfies ExportedHandler<Env>;
