/** `keyframe evict OP N`: drops a partition's object from memory, as a crash would. */
import { App, fine, online, partitionPath, POST, type Options } from "./app.ts";
import { examples, YES, type AddCommand } from "./command.ts";

export const evict: AddCommand = (program, cli, done) => {
  online(program.command("evict"))
    .description("Drop a partition from memory, as a crash would; the next request opens it again")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText("after", examples("keyframe evict usage 0"))
    .action(async (operator: string, partition: string, options: Options) => {
      const body = fine(await new App(options, cli).askAgain(`${partitionPath(operator, partition)}/evict`, POST));
      await cli.screen.print(
        options.json ? JSON.stringify(body) : `partition ${partition} of ${operator} was dropped from memory`,
      );
      done(YES);
    });
};
