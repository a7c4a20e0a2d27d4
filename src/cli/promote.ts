/**
 * `keyframe promote NAME`: makes a timeline main, after a preview of what main gives up and an answer to the question.
 *
 * PROMOTE1. The request carries the preview's ETag. So no event is given up that the preview didn't count.
 * PROMOTE2. The events that are given up are in the file, at rest, before the request is sent. The file is removed if the
 *     app says that main gave nothing up, and stays if the outcome is unknown.
 */
import { open, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { count } from "../client/amounts.ts";
import { promotionPath } from "../client/paths.ts";
import type {
  Following,
  GivingUp,
  PromotionDone,
  PromotionFacts,
  Rescaling,
  Stretches,
  TimelineInfo,
} from "../client/timelines.ts";
import { AppClient, DELETE_REQUEST, fine, online, problemCode, saidBy, type AppOptions } from "./app.ts";
import { CommandError, examples, No, NO, YES, type AddCommand, type Cli } from "./command.ts";
import { endOf, startOf } from "./timelines.ts";

export interface PromoteOptions extends AppOptions {
  readonly yes?: boolean;
  readonly giveUpTo?: string;
}

/** The answer is no: the timeline can't be main. */
const NOES = new Set([
  "timeline_is_main",
  "timeline_sealed",
  "timeline_unrelated",
  "timeline_behind",
  "promotion_busy",
]);

export const promoteCommand: AddCommand = (program, cli, done) => {
  online(program.command("promote"))
    .description("Make a timeline main, after a preview of what main gives up")
    .argument("<name>")
    .option("--yes", "without a question, for scripts")
    .option("--give-up-to <file>", "write the events that main gives up to a new file, for keyframe send")
    .option("--abort", "abort a promotion that broke off, or finish it if main was switched already")
    .addHelpText(
      "after",
      examples(
        "keyframe promote fix",
        "keyframe promote fix --give-up-to given-up.ndjson --yes",
        "keyframe promote fix --abort",
      ) +
        "\n\nSenders hear 503 for a moment, and their retries count once. What was main stays readable as main~1. If main logs\nanother event between preview and promotion, nothing is changed.\nExit status: 0 it is main, 1 it isn't: the answer was no, main has moved, or it can't be main, 2 the request failed.",
    )
    .action(async (name: string, options: PromoteOptions & { readonly abort?: boolean }) => {
      const app = new AppClient(options, cli);
      if (options.abort === true) {
        const settled = fine(await app.askAgain(promotionPath(name), DELETE_REQUEST));
        await cli.screen.print(options.json ? JSON.stringify(settled) : "no promotion is under way");
        return done(YES);
      }
      done((await promoted(app, name, options, cli)) ? YES : NO);
    });
};

/**
 * Promotes a timeline that a command has just started, and returns whether it is main now. If it isn't, the command
 * says how long the timeline stays.
 */
export async function promotedOrStays(
  line: TimelineInfo,
  { screen }: Cli,
  promote: () => Promise<boolean>,
): Promise<boolean> {
  screen.say(startOf(line));
  const { name } = line;
  const stays = `${name} stays ${endOf(line)}: keyframe promote ${name}, or keyframe unfork ${name}`;
  try {
    const is = await promote();
    if (!is) screen.say(stays);
    return is;
  } catch (error) {
    if (error instanceof No) screen.say(stays);
    throw error;
  }
}

/** Returns false if the person says no. @throws CommandError */
export async function promoted(app: AppClient, name: string, options: PromoteOptions, cli: Cli): Promise<boolean> {
  const { screen } = cli;
  const path = promotionPath(name);
  const seen = await app.askAgain(path);
  if (NOES.has(problemCode(seen))) throw new No(saidBy(seen));
  const preview = fine(seen) as PromotionFacts;
  const etag = seen.tag === "good" ? seen.etag : null;
  if (etag === null) throw new CommandError("the preview has no ETag, which a proxy may have removed");
  for (const line of options.json ? [JSON.stringify({ ...preview, etag })] : previewLines(preview))
    await screen.print(line);
  if (preview.mode !== "rescale") screen.say(`keys that change: keyframe diff now ${name}@now`);
  if (preview.mode !== "give_up" && options.giveUpTo !== undefined)
    throw new CommandError(`main gives up no event for ${name}: --give-up-to has nothing to write`);
  if (!(await agreed(preview, options, cli))) return false;
  const file = options.giveUpTo ?? null;
  if (file !== null && preview.mode === "give_up") await writeGivenUp(app, path, file, preview, cli);
  const answer = await app.askAgain(path, { method: "POST", headers: { "if-match": etag } });
  const moved = problemCode(answer) === "promotion_moved";
  if (moved || NOES.has(problemCode(answer))) {
    if (file !== null) await rm(file, { force: true });
    throw new No(
      moved ? "main or the timeline changed since the preview; nothing was promoted: run it again" : saidBy(answer),
    );
  }
  const body = fine(answer) as PromotionDone;
  await screen.print(options.json ? JSON.stringify(body) : `${name} is main; what was main is ${body.former}`);
  if (preview.mode !== "rescale") screen.say("to undo it: keyframe rollback --undo");
  return true;
}

async function agreed(preview: PromotionFacts, { yes }: PromoteOptions, cli: Cli): Promise<boolean> {
  if (yes === true) return true;
  const { screen, confirm } = cli;
  await screen.flush();
  if (confirm !== null && (await confirm(`make ${preview.timeline} main, and ${priceOf(preview)}? [y/N] `)))
    return true;
  screen.say(`nothing was promoted${confirm === null ? ": --yes promotes without a terminal" : ""}`);
  return false;
}

const events = ({ events: n }: Pick<Stretches, "events">): string => (n === 1 ? "1 event" : `${count(n)} events`);

function priceOf(preview: PromotionFacts): string {
  switch (preview.mode) {
    case "follow":
      return `change the outcome of ${events(preview.changes)}`;
    case "rescale":
      return "give up nothing";
    case "give_up":
      return `give up ${events(preview.givesUp)}`;
  }
}

export function previewLines(preview: PromotionFacts): string[] {
  switch (preview.mode) {
    case "follow":
      return followingLines(preview);
    case "rescale":
      return rescalingLines(preview);
    case "give_up":
      return givingUpLines(preview);
  }
}

const rescalingLines = ({ timeline, partitions }: Rescaling): string[] => [
  `${timeline} starts where main ends: main gives up no event, and no outcome changes`,
  ...Object.entries(partitions).map(
    ([operator, { from, to }]) => `  ${operator} ${count(to)} partitions instead of ${count(from)}`,
  ),
];

function followingLines({ timeline, outcomes, changes }: Following): string[] {
  const counts = new Map<string, number>();
  for (const { operator, events: n } of changes.partitions) counts.set(operator, (counts.get(operator) ?? 0) + n);
  return [
    `${timeline} replays main's log, so main gives up no event; outcomes: ${outcomes === "logged" ? "as logged" : "decided anew"}`,
    `the outcome of ${events(changes)} changes`,
    ...Array.from(counts, ([operator, n]) => `  ${operator} ${count(n)}`),
  ];
}

function givingUpLines({ timeline, parted, partedTime, givesUp, takes }: GivingUp): string[] {
  return [
    `main and ${timeline} have the same events up to stamp ${parted}, ${partedTime}`,
    ...stretchLines("main gives up", givesUp),
    ...stretchLines(`${timeline} has`, takes),
  ];
}

function stretchLines(what: string, stretches: Stretches): string[] {
  const { last, partitions } = stretches;
  const counts = new Map<string, number>();
  for (const { operator, first, last: to } of partitions)
    counts.set(operator, (counts.get(operator) ?? 0) + to - first + 1);
  return [
    `${what} ${events(stretches)}${last === undefined ? "" : `, the last at ${last}`}`,
    ...Array.from(counts, ([operator, n]) => `  ${operator} ${count(n)}`),
  ];
}

const NDJSON = "application/x-ndjson";

/** @throws the error of the file, also if it is there already */
async function writeGivenUp(
  app: AppClient,
  path: string,
  name: string,
  { givesUp }: GivingUp,
  { screen }: Cli,
): Promise<void> {
  const file = await open(name, "wx");
  let written = 0;
  let end: { readonly complete?: unknown; readonly events?: unknown } = {};
  try {
    await pipeline(
      async function* () {
        for await (const line of app.lines(path, NDJSON)) {
          if (line === "") continue;
          if (line.startsWith('{"end":true,')) {
            end = JSON.parse(line) as typeof end;
            continue;
          }
          written += 1;
          yield `${line}\n`;
        }
      },
      file.createWriteStream({ flush: true }),
    );
  } catch (error) {
    await rm(name, { force: true });
    throw error;
  }
  if (end.complete !== true || end.events !== written) {
    await rm(name, { force: true });
    throw new CommandError("the events that main gives up could not be read to their end; nothing was promoted");
  }
  const others = givesUp.events - written;
  const rest = others > 0 ? `; ${count(others)} more are edits and other commands, which can't be sent` : "";
  screen.say(`${name} has ${written === 1 ? "1 event" : `${count(written)} events`}${rest}`);
}
