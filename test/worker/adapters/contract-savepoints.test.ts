import { env } from "cloudflare:workers";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { D1Savepoints } from "../../../src/adapters/d1-savepoints.ts";
import { savepointsContract } from "../../contract/savepoints-contract.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

let made = 0;

savepointsContract("D1", async () => ({
  store: new D1Savepoints(env.LOG_1, 1),
  clear: async () => {
    await env.LOG_1.batch([env.LOG_1.prepare("DELETE FROM savepoints"), env.LOG_1.prepare("DELETE FROM partitions")]);
  },
  fresh: async () => {
    const log = new D1Log(env.LOG_1, { line: 1, operator: "saved", partition: made++ });
    await log.create(1, LOG_BEGIN);
    return log;
  },
}));
