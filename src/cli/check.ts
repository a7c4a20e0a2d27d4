/**
 * `keyframe check --from M`: the deploy gate. It asks a Worker that runs the code at hand what this code makes of the
 * events and states of the app (docs/guides/upgrading.md).
 *
 * CHECKCLI1. Exit status 0 needs an answer about every partition, and something that was compared. The
 *     command names the rest, which never counts as equal.
 * CHECKCLI2. The last line of each answer counts its findings, and has the cursor for the next request if there is more.
 */
import { isObject, isWhole } from "../engine/base/json.ts";
import { stampTime } from "../engine/base/hybrid-clock.ts";
import { stamp } from "../engine/base/ids.ts";
import type { Verdict } from "../engine/history/decisions.ts";
import { addCounts, type CheckCounts, type CheckGap, type Finding, NO_COUNTS } from "../engine/history/findings.ts";
import { count } from "../client/amounts.ts";
import { AppClient, online, withQuery, type AppOptions } from "./app.ts";
import { CommandError, examples, NO, No, TROUBLE, wholeNumber, YES, type AddCommand, type Cli } from "./command.ts";
import { MOMENT_FORMS } from "../engine/history/moment.ts";
import { quoted } from "./text.ts";

interface Options extends AppOptions {
  readonly from: string;
  readonly to?: string;
  readonly sample?: string;
}

export const checkCommand: AddCommand = (program, cli, done) => {
  online(program.command("check"))
    .description("Would the code at hand decide events and make states otherwise than the code that runs?")
    .argument("[operator...]", "operators to check; all of the app by default")
    .requiredOption("--from <moment>", `events after the newest snapshot at or before ${MOMENT_FORMS}`)
    .option("--to <moment>", "events and snapshots up to this moment; all by default")
    .option("--sample <n>", "only so many keys of each partition, the same ones each time")
    .addHelpText(
      "after",
      examples(
        "keyframe check --from -24h                 # of a Worker with the new code and the app's D1 and R2",
        "keyframe check --from -7d credits --sample 1000",
        "keyframe check --from before-sale --to -1h --json",
      ) +
        "\n\nNothing is written and no partition is woken.\nExit status: 0 nothing differs, 1 something does, 2 it couldn't find out.",
    )
    .action(async (operators: readonly string[], options: Options) => {
      const found = new Found();
      for await (const line of linesOf(operators, options, cli)) {
        found.add(line);
        const shown = options.json ? JSON.stringify(line) : "finding" in line ? found.shown(line) : null;
        if (shown !== null) await cli.screen.print(shown);
      }
      if (!options.json) for (const line of found.summary()) await cli.screen.print(line);
      const missing = found.missing();
      for (const why of missing) cli.screen.say(why);
      done(found.differs ? NO : missing.length > 0 ? TROUBLE : YES);
    });
};

/** A line about a partition, or about an operator that has none. */
interface CheckLine {
  readonly operator: string;
  readonly partition?: number;
  readonly finding?: Finding["finding"];
  readonly counts?: CheckCounts;
  readonly gaps?: readonly (CheckGap | "new_operator")[];
  readonly failed?: { readonly code: string; readonly detail: string };
}

type Line = Readonly<Record<string, unknown>>;

/** Yields the lines of all answers. @throws CommandError if an answer isn't a check, or broke off */
async function* linesOf(operators: readonly string[], options: Options, cli: Cli): AsyncGenerator<CheckLine> {
  const { to, sample } = options;
  const app = new AppClient(options, cli);
  const fixed = {
    ...(to === undefined ? {} : { to }),
    ...(operators.length === 0 ? {} : { operator: operators.join(",") }),
    ...(sample === undefined ? {} : { sample: String(wholeNumber(sample, "--sample")) }),
  };
  let from = options.from;
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const query = { from, ...fixed, ...(cursor === undefined ? {} : { cursor }) };
    cursor = undefined;
    let [head, end]: [Line | null, Line | null] = [null, null];
    let findings = 0;
    try {
      for await (const text of app.lines(withQuery("/v1/check", query), "application/x-ndjson")) {
        if (text === "") continue;
        const line = parsed(text);
        if (head === null) head = headOf(line);
        else if (line["end"] === true) end = line;
        else {
          findings += "finding" in line ? 1 : 0;
          yield line as unknown as CheckLine;
        }
      }
    } catch (error) {
      // Status 1 says that something differs.
      throw error instanceof No ? new CommandError(error.message) : error;
    }
    if (end === null) throw new CommandError("the check broke off: run it again, perhaps from a later moment");
    if (end["findings"] !== findings)
      throw new CommandError(`the app counted ${JSON.stringify(end["findings"])} findings, but ${findings} arrived`);
    if (end["complete"] !== true && typeof end["cursor"] !== "string")
      throw new CommandError("the answer is neither complete nor has a cursor: update the app or this command");
    // Times ago mean another moment in the next request.
    if (first) cli.screen.say(`from stamp ${head!["from"] as number}, ${stampTime(stamp(head!["from"] as number))}`);
    from = String(head!["from"]);
    cursor = end["cursor"] as string | undefined;
  }
}

function headOf(line: Line): Line {
  if (line["format"] !== "keyframe.check" || line["v"] !== 1 || !isWhole(line["from"]))
    throw new CommandError("the answer isn't a check in version 1: update the app or this command");
  return line;
}

function parsed(text: string): Line {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw new CommandError(`the answer has a line that isn't a JSON object: ${text.slice(0, 100)}`);
}

/** Findings of an operator that are printed. */
const SHOWN = 50;

/** The sum of all lines. */
class Found {
  readonly #counts = new Map<string, CheckCounts>();
  readonly #findings = new Map<string, number>();
  readonly #gaps = new Map<string, string[]>();
  readonly #failed: string[] = [];

  add({ operator, partition, finding, counts, gaps = [], failed }: CheckLine): void {
    const where = partition === undefined ? operator : `${operator} ${partition}`;
    if (finding !== undefined) this.#findings.set(operator, (this.#findings.get(operator) ?? 0) + 1);
    if (counts !== undefined) this.#counts.set(operator, addCounts(this.#counts.get(operator) ?? NO_COUNTS, counts));
    for (const gap of gaps) this.#gaps.set(gap, [...new Set([...(this.#gaps.get(gap) ?? []), where])]);
    if (failed !== undefined) this.#failed.push(`${where} can't be checked: ${failed.code}: ${failed.detail}`);
  }

  get differs(): boolean {
    return [...this.#findings.values()].some((n) => n > 0) || this.#total().differing > 0;
  }

  #total(): CheckCounts {
    return [...this.#counts.values()].reduce(addCounts, NO_COUNTS);
  }

  /** Returns null if enough of the operator's findings were shown. */
  shown(line: CheckLine): string | null {
    const shown = this.#findings.get(line.operator) ?? 0;
    return shown <= SHOWN ? findingLine(line as unknown as ShownFinding) : null;
  }

  summary(): string[] {
    return [...this.#counts]
      .flatMap(([operator, counts]) => {
        const { keys, differing, events, eventsDiffering, replies, states, statesDiffering, open } = counts;
        const { migrated, unmigrated } = counts;
        const findings = this.#findings.get(operator) ?? 0;
        return [
          ...(findings > SHOWN ? [`${operator}: ${count(findings - SHOWN)} more findings`] : []),
          `${operator}: ${count(differing)} of ${count(keys)} keys differ`,
          `  ${count(events)} events decided anew, ${count(eventsDiffering)} differ; replies compared: ${count(replies)}`,
          `  ${count(states)} states compared, ${count(statesDiffering)} differ`,
          ...(open === 0 ? [] : [`  ${count(open)} keys have later events: their last states aren't in a snapshot`]),
          ...(migrated === 0 ? [] : [`  ${count(migrated)} states migrated, ${count(unmigrated)} can't be`]),
        ];
      })
      .concat([...this.#gaps].filter(([gap]) => !HARD.has(gap)).map(gapLine));
  }

  /** Returns why the check couldn't find out. Empty if it could. */
  missing(): string[] {
    const { events, states, migrated } = this.#total();
    const hard = [...this.#gaps].filter(([gap]) => HARD.has(gap)).map(gapLine);
    const nothing = events + states + migrated === 0;
    return [...this.#failed, ...hard, ...(nothing ? ["nothing could be compared: choose an earlier --from"] : [])];
  }
}

/** The check was asked to compare something, and couldn't. */
const HARD = new Set<string>(["moment_gone", "snapshot_unreadable"] satisfies CheckGap[]);

const GAPS: Readonly<Record<CheckGap | "new_operator", string>> = {
  unused: "no event was ever logged",
  no_events: "no event was logged since the snapshot with which the check begins",
  one_snapshot: "no later snapshot is kept, so no states were compared",
  snapshot_unreadable: "later snapshots are kept, but this code can read none, so no states were compared",
  line_start: "events before the last switch of main aren't decided",
  moment_gone: "retention has given up the moment of --from",
  new_operator: "the app has no such operator yet",
};

/** Partitions that are named in a line. */
const NAMED = 10;

function gapLine([gap, where]: readonly [string, readonly string[]]): string {
  const named = where.slice(0, NAMED).join(", ") + (where.length > NAMED ? ", …" : "");
  return `not compared, ${count(where.length)} (${named}): ${GAPS[gap as CheckGap] ?? gap}`;
}

type ShownFinding = Finding & { readonly operator: string; readonly partition: number };

function findingLine(one: ShownFinding): string {
  const key = "key" in one ? ` ${quoted(one.key)}` : "";
  return `${one.finding} ${one.operator} ${one.partition}${key}: ${textOf(one)}`;
}

function textOf(one: ShownFinding): string {
  switch (one.finding) {
    case "outcome":
    case "reply":
      return `seq ${one.seq}, ${one.type} ${quoted(one.id)}, ${verdictText(one.logged)}, now ${verdictText(one.now)}; logged by version ${one.operatorVersion}, code ${one.code}`;
    case "state":
      return `in the snapshot at seq ${one.seq}, ${one.path === "" ? "the state" : one.path} is ${valueText(one.logged)}, now ${valueText(one.now)}`;
    case "migration":
      return one.detail;
    case "dedup":
      return `ids of events ${one.from} to ${one.to} would be forgotten, so their retries would count again`;
    case "quarantine_full":
      return `the code quarantines ${count(one.events)} events by seq ${one.seq}, where the partition would take no more; the check ended there`;
  }
}

const valueText = (value: unknown): string => (value === undefined ? "missing" : JSON.stringify(value));

function verdictText(verdict: Verdict): string {
  switch (verdict.status) {
    case "applied":
      return verdict.reply === undefined ? "applied" : `applied ${JSON.stringify(verdict.reply)}`;
    case "refused":
    case "rejected":
      return `${verdict.status} ${verdict.code} ${JSON.stringify(verdict.detail)}`;
    case "quarantined":
      return `quarantined (${verdict.error})`;
    case "moved":
      return `of key ${quoted(verdict.key)} in partition ${verdict.partition}`;
  }
}
