/** `keyframe evict OP N`: drops a partition's object from memory, as a crash would. */
import { AppClient, fine, online, pathOfPartition, POST_REQUEST, timelineOption, type AppOptions } from "./app.ts";
import { examples, YES, type AddCommand } from "./command.ts";

export const evictCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("evict")))
    .description("Drop a partition from memory, as a crash would; the next request opens it again")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText("after", examples("keyframe evict usage 0"))
    .action(async (operator: string, partition: string, options: AppOptions) => {
      const body = fine(
        await new AppClient(options, cli).askAgain(`${pathOfPartition(operator, partition)}/evict`, POST_REQUEST),
      );
      await cli.screen.print(
        options.json ? JSON.stringify(body) : `partition ${partition} of ${operator} was dropped from memory`,
      );
      done(YES);
    });
};
