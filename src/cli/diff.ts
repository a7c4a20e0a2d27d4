/**
 * `keyframe diff A B`: the keys that differ between two moments of the app, or between two snapshot files, which works
 * without the app.
 *
 * CLIDIFF1. A text that reads as a moment is one, whatever files there are. So the same words mean the same everywhere, and
 *     `./NAME` is always a file.
 */
import { parseMoment } from "../engine/history/moment.ts";
import { online, type AppOptions } from "./app.ts";
import { examples, NO, CommandError, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { differencesAt, type DiffChoice, type ShownChange } from "./diff-moments.ts";
import { openFile } from "./file.ts";
import { compareStates, layersOf, mergedState } from "./layers.ts";
import type { Paint } from "./text.ts";
import { viewSnapshot, type SnapshotView } from "./snapshot-view.ts";
import { count } from "../client/amounts.ts";
import { jsonLine, quoted } from "./text.ts";

interface Options extends AppOptions, DiffChoice {
  readonly on: readonly string[];
  readonly values?: boolean;
}

export const diffCommand: AddCommand = (program, cli, done) => {
  online(program.command("diff"))
    .description("Keys that were added (+), removed (-) or changed (~) between two moments, or two snapshot files")
    .argument("<a>", "a moment of the app; or a full snapshot or a delta, as a file")
    .argument("[b]", "another of the same kind; for moments, default now")
    // A time ago, such as -90m, looks like an option.
    .allowUnknownOption()
    .option("--operator <name>", "moments: only this operator")
    .option("--prefix <prefix>", "moments: only keys that begin with this")
    .option("--key <key>", "moments: only this key")
    .option("--on <base...>", "files: more files that a delta builds on; <a> and <b> are searched too", [])
    .option("--values", "with the states before and after")
    .addHelpText(
      "after",
      examples(
        "keyframe diff -90m now                          # of the app, all operators",
        "keyframe diff month-end --operator usage --values",
        "keyframe diff monday.kfs tuesday.kfs            # files, without the app",
        "keyframe diff full.kfs delta.kfs --values       # the delta builds on the full one",
        "keyframe diff a.kfs c.kfs --on full.kfs b.kfs   # full <- a, full <- b <- c",
      ) +
        "\n\nA text that reads as a moment is one: a time, a stamp, a time ago, now, or a savepoint's name (a-z, 0-9 and -).\nAll else is a file. Write ./monday for a file that has such a name." +
        "\n\nExit status: 0 equal, 1 different, 2 the two can't be compared.",
    )
    .action(async (a: string, b: string | undefined, options: Options) => {
      done(await printChanges(changesBetween(a, b, options, cli), options, cli));
    });
};

function changesBetween(
  a: string,
  b: string | undefined,
  options: Options,
  cli: Cli,
): Iterable<ShownChange> | AsyncIterable<ShownChange> {
  const moments = [a, b ?? "now"].map((text) => parseMoment(text) !== null);
  const { on, operator, prefix, key } = options;
  const option = [a, b ?? ""].find((text, i) => text.startsWith("-") && moments[i] === false);
  if (option !== undefined) throw new CommandError(`${option} is no option and no moment`);
  if (moments[0] !== moments[1] || (b === undefined && !moments[0]))
    throw new CommandError(
      `${a} is a ${moments[0] ? "moment" : "file"}, ${b ?? "the other, now,"} is a ${moments[1] ? "moment" : "file"}: name two of one kind; ./NAME is a file`,
    );
  if (moments[0]) {
    if (on.length > 0) throw new CommandError("--on is for files, and these are moments");
    return differencesAt(a, b, options, cli);
  }
  if ([operator, prefix, key].some((given) => given !== undefined))
    throw new CommandError("--operator, --prefix and --key are for moments, and these are files");
  const views = [a, b!, ...on].map(openSnapshot);
  const [left, right] = views.slice(0, 2).map((view) => mergedState(layersOf(view, views)));
  return compareStates(left!, right!);
}

function openSnapshot(name: string): SnapshotView {
  const file = openFile(name);
  if (file.kind !== "snapshot") throw new CommandError(`${name} is a manifest; diff compares snapshots (.kfs)`);
  return viewSnapshot(file);
}

async function printChanges(
  changes: Iterable<ShownChange> | AsyncIterable<ShownChange>,
  options: Options,
  { screen }: Cli,
): Promise<Status> {
  const counts = { added: 0, removed: 0, changed: 0, same: 0 };
  for await (const change of changes) {
    if (screen.closed) break;
    counts[change.tag] += 1;
    if (change.tag === "same") continue;
    for (const line of options.json ? [jsonOf(change, options)] : linesOf(change, options, screen.paint))
      await screen.print(line);
  }
  const { added, removed, changed, same } = counts;
  const alike = Symbol.asyncIterator in changes ? "" : `, ${count(same)} the same`;
  screen.say(`${count(added)} added, ${count(removed)} removed, ${count(changed)} changed${alike}`);
  return added + removed + changed === 0 ? YES : NO;
}

type Difference = Exclude<ShownChange, { tag: "same" }>;

function jsonOf(change: Difference, { values }: Options): string {
  const { before, after } = statesOf(change);
  const { tag, operator, key } = change;
  const members = {
    change: quoted(tag),
    operator: operator === undefined ? undefined : quoted(operator),
    key: quoted(key),
  };
  return jsonLine({ ...members, ...(values ? { before, after } : {}) }, (_, text) => text);
}

const SIGNS = { added: ["green", "+"], removed: ["red", "-"], changed: ["yellow", "~"] } as const;

function linesOf(change: Difference, { values }: Options, paint: Paint): string[] {
  const [colour, sign] = SIGNS[change.tag];
  const { before, after } = statesOf(change);
  const { operator, key } = change;
  const line = paint(colour, `${sign} ${operator === undefined ? "" : `${operator} `}${quoted(key)}`);
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
