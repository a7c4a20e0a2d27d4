import { LOG_BEGIN } from "../../src/engine/base/records.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { savepointsContract } from "./savepoints-contract.ts";

savepointsContract("the memory fake", async () => {
  const db = new MemoryDatabase();
  return {
    store: db.savepointStore(),
    clear: async () => undefined,
    fresh: async () => {
      const log = db.log({ line: 1, operator: "contract", partition: 0 });
      await log.create(1, LOG_BEGIN);
      return log;
    },
  };
});
