/** `keyframe diff A B`: the keys that differ between two snapshots, in the order of the keys. Works without the app. */
import { examples, NO, CommandError, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { openFile } from "./file.ts";
import { compareStates, layersOf, mergedState, type KeyChange } from "./layers.ts";
import type { Paint } from "./text.ts";
import { viewSnapshot, type SnapshotView } from "./snapshot-view.ts";
import { count } from "../client/amounts.ts";
import { jsonLine, quoted } from "./text.ts";

interface Options {
  readonly on: readonly string[];
  readonly values?: boolean;
  readonly json?: boolean;
}

export const diffCommand: AddCommand = (program, cli, done) => {
  program
    .command("diff")
    .description("Keys that were added (+), removed (-) or changed (~) between two snapshot files")
    .argument("<a>", "a full snapshot or a delta")
    .argument("<b>")
    .option("--on <base...>", "more files that a delta builds on; <a> and <b> are searched too", [])
    .option("--values", "with the states before and after")
    .option("--json", "one JSON object per line")
    .addHelpText(
      "after",
      examples(
        "keyframe diff monday.kfs tuesday.kfs",
        "keyframe diff full.kfs delta.kfs --values       # the delta builds on the full one",
        "keyframe diff a.kfs c.kfs --on full.kfs b.kfs   # full <- a, full <- b <- c",
      ) + "\n\nExit status: 0 equal, 1 different, 2 the files can't be compared.",
    )
    .action(async (a: string, b: string, options: Options) => {
      const views = [a, b, ...options.on].map(openSnapshot);
      const [left, right] = views.slice(0, 2).map((view) => mergedState(layersOf(view, views)));
      done(await printChanges(compareStates(left!, right!), options, cli));
    });
};

function openSnapshot(name: string): SnapshotView {
  const file = openFile(name);
  if (file.kind !== "snapshot") throw new CommandError(`${name} is a manifest; diff compares snapshots (.kfs)`);
  return viewSnapshot(file);
}

async function printChanges(changes: Iterable<KeyChange>, options: Options, { screen }: Cli): Promise<Status> {
  const counts = { added: 0, removed: 0, changed: 0, same: 0 };
  for (const change of changes) {
    counts[change.tag] += 1;
    if (change.tag === "same" || screen.closed) continue;
    for (const line of options.json ? [jsonOf(change, options)] : linesOf(change, options, screen.paint))
      await screen.print(line);
  }
  const { added, removed, changed, same } = counts;
  screen.say(`${count(added)} added, ${count(removed)} removed, ${count(changed)} changed, ${count(same)} the same`);
  return added + removed + changed === 0 ? YES : NO;
}

type Difference = Exclude<KeyChange, { tag: "same" }>;

function jsonOf(change: Difference, { values }: Options): string {
  const { before, after } = statesOf(change);
  const members = { change: quoted(change.tag), key: quoted(change.key) };
  return jsonLine({ ...members, ...(values ? { before, after } : {}) }, (_, text) => text);
}

const SIGNS = { added: ["green", "+"], removed: ["red", "-"], changed: ["yellow", "~"] } as const;

function linesOf(change: Difference, { values }: Options, paint: Paint): string[] {
  const [colour, sign] = SIGNS[change.tag];
  const { before, after } = statesOf(change);
  const line = paint(colour, `${sign} ${quoted(change.key)}`);
  if (!values) return [line];
  return [
    line,
    ...(before === undefined ? [] : [`    ${paint("red", "-")} ${before}`]),
    ...(after === undefined ? [] : [`    ${paint("green", "+")} ${after}`]),
  ];
}

const statesOf = (change: Difference): { readonly before: string | undefined; readonly after: string | undefined } => ({
  before: "before" in change ? change.before : undefined,
  after: "after" in change ? change.after : undefined,
});
