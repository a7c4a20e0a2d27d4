/** The planted defects of consistent cuts. bank.ts must find every one. */
import { engine, type Defect, type Patch } from "./plant.ts";

const one = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  name,
  rule,
  patches,
  within: 300,
  rare: false,
});
const rare = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  ...one(name, rule, ...patches),
  within: 1_000,
  rare: true,
});
const low = "floors.filter((_, i) => facts[i]!.floor < at)";

export const BANK_DEFECTS: readonly Defect[] = [
  one("a stamp that isn't settled is read", "TIME2, SETTLE1", engine("history/settle", low, "floors.slice(0, 0)")),
  one(
    "the floor rises in the first database alone",
    "TIME2, SETTLE1",
    engine("history/settle", low, "floors.filter((_, i) => i === 0 && facts[i]!.floor < at)"),
  ),
  one(
    "stamps don't rise above the sender's",
    "TIME1",
    engine("partition/group-commit", "Math.max(open.machine.stamp, group.after)", "open.machine.stamp"),
  ),
  rare(
    "a group is above the last sender's stamp alone",
    "TIME1",
    engine("partition/group", "Math.max(this.after, slice.after ?? 0)", "slice.after ?? 0"),
  ),
  one("an answer doesn't say its stamp", "TIME1", {
    file: "src/worker/ingest/intake.ts",
    find: "Math.max(this.stamp, upTo)",
    replace: "Math.min(this.stamp, upTo)",
  }),
  one("now doesn't look at the newest stamp", "SETTLE3", engine("history/settle", "return newest;", "return present;")),
  one("the append doesn't check the floor", "TIME2", {
    file: "src/testkit/memory-log.ts",
    find: " || row.stamp <= this.#line.floor",
    replace: "",
  }),
];
