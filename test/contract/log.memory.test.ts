import { partitionName, type PartitionId } from "../../src/engine/base/ids.ts";
import { LOG_BEGIN } from "../../src/engine/base/records.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { logContract } from "./log-contract.ts";

let made = 0;

logContract("the memory fake", async () => {
  const db = new MemoryDatabase();
  db.counted = true;
  return {
    floor: db.floorPort(() => Date.now()),
    fresh: async () => {
      const id: PartitionId = { line: 1, operator: "contract", partition: made++ };
      const log = db.log(id);
      await log.create(1, LOG_BEGIN);
      if (!db.rows.has(partitionName(id))) throw new Error("create made no row");
      return log;
    },
    setFloor: async (floor) => void (db.first.floor = floor),
    setTimeline: async (open) => void (db.first.open = open),
  };
});
