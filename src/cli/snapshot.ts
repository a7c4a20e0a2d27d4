/** `keyframe snapshot OP N`: takes a snapshot of a partition now. */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import {
  AppClient,
  problemCode,
  fine,
  online,
  pathOfPartition,
  POST_REQUEST,
  saidBy,
  timelineOption,
  type AppOptions,
} from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { MANIFEST_HEADINGS, manifestRow } from "./manifest-line.ts";
import { table } from "./text.ts";

export const snapshotCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("snapshot")))
    .description("Take a snapshot of a partition now")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText(
      "after",
      examples("keyframe snapshot usage 0") +
        "\n\nExit status: 0 the snapshot is current, 1 there is nothing to save, 2 the request failed.",
    )
    .action(async (operator: string, partition: string, options: AppOptions) => {
      const { screen } = cli;
      const answer = await new AppClient(options, cli).askAgain(
        `${pathOfPartition(operator, partition)}/snapshot`,
        POST_REQUEST,
      );
      const nothing = problemCode(answer) === "nothing_to_save";
      const body = nothing ? answer.body : fine(answer);
      if (options.json) await screen.print(JSON.stringify(body));
      else if (nothing) screen.say(saidBy(answer));
      else
        for (const line of table(MANIFEST_HEADINGS, [manifestRow(body as Manifest)], screen.paint))
          await screen.print(line);
      done(nothing ? NO : YES);
    });
};
