/** `keyframe fork NAME`, `timelines`, `unfork NAME`: lines of history that start at a moment of another one. */
import type { Answer } from "../client/answer.ts";
import { timelinePath, TIMELINES_PATH } from "../client/paths.ts";
import type { TimelineInfo } from "../client/timelines.ts";
import { type AppOptions, AppClient, DELETE_REQUEST, fine, online, problemCode, putJson, saidBy } from "./app.ts";
import { CommandError, examples, No, YES, type AddCommand } from "./command.ts";
import { table } from "./text.ts";

interface ForkOptions {
  readonly from?: string;
  /** `never`, or a time as 7d. */
  readonly expires?: string;
  readonly replay?: "logged" | "decide";
  /** By operator. */
  readonly partitions?: Readonly<Record<string, number>>;
}

/** The answer is no: another timeline has the name, the moment isn't there, or there is no room. */
const NOES = new Set([
  "timeline_exists",
  "timeline_replays",
  "timeline_unrelated",
  "timeline_unstarted",
  "partitions_same",
  "partitions_unsplit",
  "no_operator",
  "too_many_timelines",
  "not_settled",
  "moment_gone",
]);

/** The end of what was main before the last promotion. */
export const FORMER = "main~1@now";

/** @throws CommandError */
export async function startTimeline(app: AppClient, name: string, options: ForkOptions): Promise<TimelineInfo> {
  return started(await askTimeline(app, name, options), options);
}

/** Asks for a timeline. The answer may be a problem. */
export function askTimeline(
  app: AppClient,
  name: string,
  { from, expires, replay, partitions }: ForkOptions,
): Promise<Answer> {
  const body = JSON.stringify({ from, expires: expires === "never" ? null : expires, replay, partitions });
  return app.askAgain(timelinePath(name), putJson(body));
}

/** @throws CommandError */
export function started(answer: Answer, { from }: ForkOptions): TimelineInfo {
  if (NOES.has(problemCode(answer))) throw new No(saidBy(answer));
  if (from === FORMER && problemCode(answer) === "no_timeline")
    throw new No("main was never switched, so there is nothing to go back to");
  return fine(answer) as TimelineInfo;
}

/** The present second as 20261130-142011. */
export const nowDigits = (): string => new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");

export const startOf = ({ name, from, at, time }: TimelineInfo): string =>
  at === undefined ? `${name} starts where ${from} ends` : `${name} starts at stamp ${at}, ${time}, of ${from}`;

export const endOf = ({ expires }: TimelineInfo): string =>
  expires === undefined ? "until somebody removes it" : `until ${expires}`;

/** Adds `usage=8` to the numbers of partitions. */
function withPartitions(text: string, others: ForkOptions["partitions"] = {}): ForkOptions["partitions"] {
  const [, operator, partitions] = /^([^=]+)=([1-9]\d{0,2})$/.exec(text) ?? [];
  if (operator === undefined)
    throw new CommandError(`--partitions must be an operator and a number, as usage=8, not ${JSON.stringify(text)}`);
  if (Object.hasOwn(others, operator)) throw new CommandError(`--partitions names ${operator} twice`);
  return { ...others, [operator]: Number(partitions) };
}

export const forkCommand: AddCommand = (program, cli, done) => {
  online(program.command("fork"))
    .description("Start a timeline: the state of a moment, with events of its own from there on")
    .argument("<name>")
    .option("--from <moment>", "where it starts; default main as it is now; end: where main ends when it is promoted")
    .option(
      "--partitions <operator=number>",
      "more partitions for an operator, a multiple of those that it has; for several operators, say it again",
      withPartitions,
    )
    .option("--expires <time>", "when it is removed: as 12h or 7d, or never; default 7d")
    .addHelpText(
      "after",
      examples(
        "keyframe fork fix --from -90m",
        "keyframe fork what-if --expires 12h",
        "keyframe fork wide --partitions usage=8 --partitions credits=4",
        "keyframe send events.ndjson --timeline what-if",
        "keyframe diff now what-if@now",
      ) +
        "\n\nNothing is copied, stopped or woken. The same again changes nothing.\nExit status: 0 it takes events, 1 the name stands for another start, or the moment can't be had, 2 the request failed.",
    )
    .action(async (name: string, options: AppOptions & ForkOptions) => {
      const { screen } = cli;
      const made = await startTimeline(new AppClient(options, cli), name, options);
      if (options.json) await screen.print(JSON.stringify(made));
      else {
        await screen.print(startOf(made));
        const use = made.state === "unstarted" ? `keyframe promote ${name}` : `--timeline ${name}, or as ${name}@now`;
        screen.say(`it stays ${endOf(made)}; use it with ${use}`);
      }
      done(YES);
    });
};

export const timelinesCommand: AddCommand = (program, cli, done) => {
  online(program.command("timelines"))
    .description("List the timelines, with main and what was main")
    .addHelpText("after", examples("keyframe timelines"))
    .action(async (options: AppOptions) => {
      const { screen } = cli;
      const found = (await new AppClient(options, cli).get(TIMELINES_PATH)) as readonly TimelineInfo[];
      const rows = found.map(({ name, state, from = "", time = "", expires = "never" }) => [
        name,
        state,
        from,
        time,
        expires,
      ]);
      const lines = options.json
        ? found.map((one) => JSON.stringify(one))
        : table(["NAME", "STATE", "FROM", "MOMENT", "EXPIRES"], rows, screen.paint);
      for (const line of lines) await screen.print(line);
      done(YES);
    });
};

/** Each request deletes some thousand rows and objects. */
const MOST_REMOVALS = 1_000;

export const unforkCommand: AddCommand = (program, cli, done) => {
  online(program.command("unfork"))
    .description("Remove a timeline with all that was logged on it")
    .argument("<name>")
    .addHelpText(
      "after",
      examples("keyframe unfork what-if") +
        "\n\nIt can't be undone. Removing a timeline that isn't there changes nothing.\nExit status: 0 gone, 1 it is main, others start from it, or it is being promoted, 2 the request failed.",
    )
    .action(async (name: string, options: AppOptions) => {
      const app = new AppClient(options, cli);
      for (let requests = 0; ; requests++) {
        if (requests === MOST_REMOVALS)
          throw new CommandError(`timeline ${name} isn't gone after ${requests} requests: run it again`);
        const answer = await app.askAgain(timelinePath(name), DELETE_REQUEST);
        if (problemCode(answer) === "timeline_in_use") throw new No(saidBy(answer));
        const body = fine(answer) as { readonly removed: boolean };
        if (!body.removed) continue;
        await cli.screen.print(options.json ? JSON.stringify(body) : `timeline ${name} is removed`);
        return done(YES);
      }
    });
};
