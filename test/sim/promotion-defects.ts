/**
 * The planted defects of timelines and promotion: guards that a statement forgets, and steps in another order, most of
 * them broken variants of the models. promotions.ts must find every one.
 */
import { engine, type Defect, type Patch } from "./plant.ts";

const one = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  name,
  rule,
  patches,
  within: 20_000,
  rare: false,
});
const rare = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  ...one(name, rule, ...patches),
  rare: true,
});
const store = (find: string, replace: string): Patch => ({ file: "src/testkit/memory-timelines.ts", find, replace });

export const PROMOTION_DEFECTS: readonly Defect[] = [
  // ---- the statements ----
  one("a seal is a flag without number", "PROMOTION1", store("#set(line, promotion - 1, ", "#set(line, Infinity, ")),
  one(
    "an opening looks at no number",
    "PROMOTION1",
    store(
      "#set(line, promotion, (row) => ({ ...row, open: takes",
      "#set(line, Infinity, (row) => ({ ...row, open: takes",
    ),
    store(
      "#set(line, promotion, (row) => ({ ...row, open: true",
      "#set(line, Infinity, (row) => ({ ...row, open: true",
    ),
  ),
  one(
    "an opening writes its number only where something was sealed",
    "PROMOTION1",
    store("({ ...row, open: takesEvents(row),", "row.open ? row : ({ ...row, open: takesEvents(row),"),
    store("({ ...row, open: true,", "row.open ? row : ({ ...row, open: true,"),
  ),
  one(
    "the directory is compared by state, without number",
    "PROMOTION1",
    store("this.#main.state === state && this.#main.promotion === promotion", "this.#main.state === state"),
  ),
  one(
    "the switch looks at the number alone",
    "PROMOTION1",
    store(
      'if (this.#is("sealing", promotion)) {\n      const',
      "if (this.#main.promotion === promotion && this.#main.target !== this.#main.line) {\n      const",
    ),
  ),
  rare(
    "a promotion begins without looking at the number",
    "PROMOTION1",
    store('this.#main.state === "idle" && this.#main.promotion + 1 === promotion', 'this.#main.state === "idle"'),
  ),
  one("a line that was main is promoted again", "LINE1", store(" && row.replaced === 0 &&", " &&")),
  one("the append doesn't check the seal", "PROMOTION2", {
    file: "src/testkit/memory-log.ts",
    find: 'line === "open" ? this.#line.open :',
    replace: 'line === "open" ? true :',
  }),
  one(
    "a parent is removed",
    "LINE3",
    store('    if (children.some((one) => !free.includes(one.line))) return "parent";\n', ""),
  ),
  one(
    "a line is removed while it is being promoted",
    "LINE3",
    store('    if (state !== "idle" && (target === line || former === line)) return "promotion";\n', ""),
  ),
  one(
    "a timeline starts from a line that is being removed",
    "LINE3",
    store('this.timelines.get(parent)?.state !== "ready"', "this.timelines.get(parent) === undefined"),
  ),
  one("a number is given again", "LINE1", store("(this.#number += 1)", "Math.max(...this.timelines.keys()) + 1")),
  rare(
    "what is late makes a timeline ready that is being removed",
    "LINE4",
    store('get(line)?.state === "making") this', "get(line)?.state !== undefined) this"),
  ),
  one(
    "a removed line leaves no row, so a late statement adds it",
    "LINE4",
    store("lines.set(line, { floor: 0, open: false, ...lines.get(line), removed: true })", "lines.delete(line)"),
  ),
  // ---- promotion.ts ----
  one(
    "the lists are compared before the seal",
    "PROMOTION2",
    engine("history/promotion", "  await sealBoth(clock, stores, begun);\n", ""),
    engine("history/promotion", "  const switched =", "  await sealBoth(clock, stores, begun);\n  const switched ="),
  ),
  one(
    "main alone is sealed",
    "PROMOTION2",
    engine("history/promotion", "const both = [line, target!]", "const both = target === null ? [] : [line]"),
  ),
  one(
    "the first database alone is sealed",
    "PROMOTION2",
    engine(
      "history/promotion",
      'lines.map((store) => persistent(clock, "D1", () => store.seal(',
      'lines.slice(0, 1).map((store) => persistent(clock, "D1", () => store.seal(',
    ),
  ),
  one(
    "the list needn't be the accepted one",
    "PROMOTION3",
    engine("history/promotion", 'if (accepted !== "*" && accepted !== etag) {', 'if (accepted === "") {'),
  ),
  one(
    "another target of the same number is taken for one's own",
    "PROMOTION1",
    engine("history/promotion", " || begun.target !== target)", ")"),
  ),
  rare(
    "an abort opens the lines without the directory's word",
    "PROMOTION1",
    engine("history/promotion", '  if (now.state !== "aborting" || now.promotion !== promotion) return now;\n', ""),
  ),
  one(
    "an abort leaves the target sealed",
    "PROMOTION3",
    engine(
      "history/promotion",
      "store.unseal([line, target!], promotion)",
      "store.unseal([target === null ? 0 : line], promotion)",
    ),
  ),
  rare(
    "a caller whose promotion another one has done answers with a list of its own",
    "PROMOTION4",
    engine("history/promotion", "done: switched.done!, again: false", "done, again: false"),
  ),
  one(
    "a promotion is over before the new main is open",
    "PROMOTION5",
    engine(
      "history/promotion",
      "  await record(clock, stores, main);",
      '  await persistent(clock, "D1", () => directory.idle(promotion));\n  await record(clock, stores, main);',
    ),
  ),
  one(
    "a promotion that was switched isn't carried on",
    "PROMOTION5",
    engine("history/promotion", 'if (main.state === "opening") await open(clock, stores, main);', ""),
  ),
  one(
    "the same call hears that another one came first",
    "PROMOTION4",
    engine("history/promotion", "if (before.line === target) {", "if (before.line === target && target === 0) {"),
  ),
  one(
    "the new main's stamps may be below the old one's",
    "PROMOTION6",
    engine("history/promotion", "floor.raise(above)", "floor.raise(stamp(0 * above))"),
  ),
  one(
    "who carries a promotion on writes its object again",
    "PROMOTION7",
    engine("history/switch-object", "if ((await objects.range(name, 0, 1)) === null) ", ""),
  ),
  one(
    "R2 knows nothing of a switch",
    "PROMOTION7",
    engine("history/promotion", "  await record(clock, stores, main);\n", "  void record;\n"),
  ),
  // ---- timelines.ts ----
  one(
    "the start isn't held",
    "LINE2",
    engine(
      "history/timelines",
      "await takeSavepoint(holds.files, holds.stores, holdOf(row.line), row.at, true)",
      '(await Promise.resolve({ tag: "taken" } as unknown as Awaited<ReturnType<typeof takeSavepoint>>))',
    ),
  ),
  rare("a start is held late, after its line was removed", "LINE4", {
    file: "src/testkit/memory-savepoints.ts",
    find: 'db.timelines.get(Number(name.slice(1)))?.state !== "making"',
    replace: "Number(name.slice(1)) === 0",
  }),
  one(
    "the first database alone has a row of the line",
    "LINE2",
    engine(
      "history/timelines",
      'lines.map((store) => persistent(clock, "D1", () => store.add(',
      'lines.slice(0, 1).map((store) => persistent(clock, "D1", () => store.add(',
    ),
  ),
  one(
    "a timeline that starts elsewhere is taken for the same",
    "LINE2",
    engine(
      "history/timelines",
      'row.state === "removing" || row.parent !== parent || ',
      'row.state === "removing" || ',
    ),
  ),
  one(
    "a removal continues without its mark",
    "LINE3",
    engine(
      "history/timelines",
      '  if (marked !== "removing" && marked !== "gone") return { tag: "refused", why: marked };\n',
      "  void marked;\n",
    ),
  ),
  one(
    "a removed timeline's start stays held",
    "LINE4",
    engine("history/timelines", "await removeSavepoint(holds.files, holds.stores, holdOf(line));", "void holds;"),
  ),
  one(
    "all that start from a line count as free of it",
    "LINE6",
    engine("history/timelines", "readers.filter(({ partitions }) => partitions === 0)", "readers"),
  ),
  // ---- replays ----
  one(
    "a line that replays another one than main is promoted",
    "LINE4",
    store("(follows ?? main) === main)", "(row.unstarted === true ? row.parent! : main) === main)"),
  ),
  one("a line that replays takes events", "TAKEIN3", {
    file: "src/testkit/memory-log.ts",
    find: 'line === "open" ? this.#line.open :',
    replace: 'line === "open" ? this.#line.open || this.#line.replaying === true :',
  }),
  one(
    "a seal stops a line that replays",
    "PROMOTION2",
    store(
      "takesEvents(row) ? { ...row, open: false, promotion } : row",
      "({ ...row, open: false, replaying: false, promotion })",
    ),
  ),
  one(
    "an abort opens a line that replays",
    "PROMOTION3",
    store("({ ...row, open: takesEvents(row), promotion })", "({ ...row, open: true, promotion })"),
  ),
  one("rows are taken in without a look at the head", "TAKEIN1", {
    file: "src/testkit/memory-log.ts",
    find: "if (row.seq !== head + 1 || row.stamp <= last ||",
    replace: 'if ((line === "open" && (row.seq !== head + 1 || row.stamp <= last)) ||',
  }),
  one(
    "a replay begins at another line than it was asked for",
    "LINE2",
    engine("history/timelines", "row.parent !== parent || isOther || ", "row.parent !== parent || "),
  ),
  // ---- switch-object.ts ----
  one(
    "the object of a switch says another moment at which main starts",
    "SWITCH1",
    engine(
      "history/promotion",
      'ancestorsOf(await persistent(clock, "D1", () => directory.all()), line)',
      'ancestorsOf(await persistent(clock, "D1", () => directory.all()), line).map((one) => ({ ...one, at: stamp(one.at + 1) }))',
    ),
  ),
  // ---- more partitions ----
  one(
    "a line that starts at the end of another one than main is promoted",
    "LINE4",
    store("row.unstarted === true ? row.parent : row.replay?.source", "row.replay?.source"),
  ),
  one(
    "a line starts at the last stamp of the first database",
    "PROMOTION8",
    engine("history/promotion", "stamp(Math.max(start, ...newest))", "stamp(Math.max(start, newest[0]!))"),
  ),
  one(
    "a line that is unstarted takes events",
    "LINE7",
    engine("history/timelines", 'unstarted === true ? "unstarted" : replay', "replay"),
  ),
  one("a line that is unstarted has partitions", "LINE7", {
    file: "src/testkit/memory-log.ts",
    find: " || this.#line.unstarted === true",
    replace: "",
  }),
  one(
    "the end is read before the seal",
    "PROMOTION8",
    engine("history/promotion", "  await sealBoth(clock, stores, begun);\n", ""),
    engine(
      "history/promotion",
      "  const { etag, done, end = null } = compared;\n",
      "  const { etag, done, end = null } = compared;\n  await sealBoth(clock, stores, begun);\n",
    ),
  ),
];
