/** `keyframe rollback`: takes all operators back to a moment, and `--undo` brings back what that gave up. */
import type { TimelineInfo } from "../client/timelines.ts";
import { AppClient, online, problemCode } from "./app.ts";
import { CommandError, examples, NO, YES, type AddCommand } from "./command.ts";
import { promoted, promotedOrStays, type PromoteOptions } from "./promote.ts";
import { replayed } from "./reprocess.ts";
import { askTimeline, FORMER, nowDigits, started, startTimeline } from "./timelines.ts";

interface RollbackOptions extends PromoteOptions {
  readonly to?: string;
  readonly undo?: boolean;
  readonly giveUp?: boolean;
}

export const rollbackCommand: AddCommand = (program, cli, done) => {
  online(program.command("rollback"))
    .description("Take all operators back to a moment, after a preview of what that gives up")
    .option("--to <moment>", "the moment")
    .option("--undo", "go back to what was main before the last promotion")
    .option("--give-up", "with --undo: also give up what main logged since a reprocess")
    .option("--yes", "without a question, for scripts")
    .option("--give-up-to <file>", "write the events that are given up to a new file, for keyframe send")
    .addHelpText(
      "after",
      examples(
        "keyframe rollback --to before-sale",
        "keyframe rollback --to -90m --give-up-to given-up.ndjson --yes",
        "keyframe rollback --undo",
      ) +
        "\n\nIt starts a timeline at the moment and promotes it, as keyframe fork and keyframe promote do. The undo of a reprocess\ntakes in what main logged since.\nExit status: 0 done, 1 not: the answer was no, main has moved, or the moment can't be had, 2 the request failed.",
    )
    .action(async ({ to, undo, giveUp, ...options }: RollbackOptions) => {
      if ((to === undefined) !== (undo === true)) throw new CommandError("name a moment with --to, or say --undo");
      const app = new AppClient(options, cli);
      const name = `${undo ? "undo" : "rollback"}-${nowDigits()}`;
      const line =
        to === undefined ? await startUndo(app, name, giveUp === true) : await startTimeline(app, name, { from: to });
      done((await promotedOrStays(line, cli, () => promoted(app, line.name, options, cli))) ? YES : NO);
    });
};

/** Starts where main was switched last. If main had replayed the line before, the undo takes in what it logged since. */
async function startUndo(app: AppClient, name: string, givesUp: boolean): Promise<TimelineInfo> {
  if (!givesUp) {
    const wish = { from: FORMER, replay: "logged" } as const;
    const answer = await askTimeline(app, name, wish);
    if (problemCode(answer) !== "timeline_unrelated") {
      const line = started(answer, wish);
      await replayed(app, line.name, () => undefined);
      return line;
    }
  }
  return startTimeline(app, name, { from: FORMER });
}
