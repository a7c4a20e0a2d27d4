import { env } from "cloudflare:workers";
import { D1Floor } from "../../../src/adapters/d1-floor.ts";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { logContract } from "../../contract/log-contract.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

let made = 0;

logContract("D1", async () => ({
  floor: new D1Floor(env.LOG_1, 1),
  fresh: async () => {
    const log = new D1Log(env.LOG_1, { line: 1, operator: "contract", partition: made++ });
    await log.create(1, LOG_BEGIN);
    return log;
  },
  setFloor: async (floor) => {
    await env.LOG_1.prepare("UPDATE lines SET floor = ?1").bind(floor).run();
  },
  setTimeline: async (open) => {
    await env.LOG_1.prepare("UPDATE lines SET state = ?1")
      .bind(open ? "open" : "sealed")
      .run();
  },
}));
