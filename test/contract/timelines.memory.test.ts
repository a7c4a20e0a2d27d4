import { stamp } from "../../src/engine/base/ids.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { MemoryDirectory, MemoryLines } from "../../src/testkit/memory-timelines.ts";
import { timelinesContract } from "./timelines-contract.ts";

timelinesContract("the memory fake", async () => {
  const db = new MemoryDatabase();
  return {
    directory: new MemoryDirectory(db),
    lines: new MemoryLines(db),
    log: (line, partition) => db.log({ line, operator: "contract", partition }),
    save: async (line, name, at = 5_000) => void (await db.savepointStore(line).add(name, stamp(at), 1)),
    saved: async (line) => (await db.savepointStore(line).all()).map(({ name }) => name),
    clear: async () => undefined,
  };
});
