/** `keyframe rescale`: more partitions for an operator, by a timeline that starts where main ends. */
import { AppClient, online } from "./app.ts";
import { CommandError, examples, NO, YES, type AddCommand } from "./command.ts";
import { promoted, promotedOrStays, type PromoteOptions } from "./promote.ts";
import { nowDigits, startTimeline } from "./timelines.ts";

export const rescaleCommand: AddCommand = (program, cli, done) => {
  online(program.command("rescale"))
    .description("Give an operator more partitions: a multiple of those that it has")
    .argument("<operator>")
    .argument("<partitions>")
    .option("--yes", "without a question, for scripts")
    .addHelpText(
      "after",
      examples("keyframe rescale usage 8", "keyframe rescale usage 16 --yes") +
        "\n\nSenders hear 503 for a moment, and their retries count once, whatever the size of the state. Main gives up nothing, and no\noutcome changes. Afterwards each new partition takes a snapshot of its own keys.\nExit status: 0 done, 1 not: the answer was no, or the number can't be had, 2 the request failed.",
    )
    .action(async (operator: string, wanted: string, options: Omit<PromoteOptions, "giveUpTo">) => {
      if (!/^[1-9]\d{0,2}$/.test(wanted)) throw new CommandError(`${wanted} is no number of partitions`);
      const app = new AppClient(options, cli);
      const partitions = { [operator]: Number(wanted) };
      const line = await startTimeline(app, `rescale-${nowDigits()}`, { from: "end", partitions });
      done((await promotedOrStays(line, cli, () => promoted(app, line.name, options, cli))) ? YES : NO);
    });
};
