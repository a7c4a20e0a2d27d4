/** `keyframe watch OP KEY`: the state of a key now, then each change, until an interrupt or the end of the reader. */
import { client } from "../client/client.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import { AppClient, hintFor, online, timelineOption, type AppOptions } from "./app.ts";
import { examples, CommandError, YES, type AddCommand } from "./command.ts";
import type { Screen } from "./screen.ts";

export const watchCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("watch")))
    .description("Print the state of a key now, then each change of it")
    .argument("<operator>")
    .argument("<key>")
    .addHelpText(
      "after",
      examples("keyframe watch credits ada", "keyframe watch credits ada --json | head -2") +
        "\n\nA line has the seq of the event that changed the key, and the state. Ctrl-C ends it with status 0.",
    )
    .action(async (operator: string, key: string, options: AppOptions) => {
      const { url, token, timeline } = new AppClient(options, cli);
      const stop = new AbortController();
      const abort = (): void => stop.abort();
      process.once("SIGINT", abort);
      process.once("SIGTERM", abort);
      try {
        const app = client({ url, ...(token === null ? {} : { token }), ...(timeline === null ? {} : { timeline }) });
        for await (const seen of app.operator(operator).watch(key, { signal: stop.signal })) {
          await cli.screen.print(options.json === true ? JSON.stringify(seen) : line(cli.screen, seen));
          if (cli.screen.closed) break;
        }
        done(YES);
      } catch (error) {
        if (!(error instanceof KeyframeError)) throw error;
        const { status, code, detail } = error;
        if (status === null || code === "unexpected_answer") throw new CommandError(`${code}: ${detail}`);
        throw new CommandError(`the app answers ${status} ${code}: ${detail}${hintFor({ status, code })}`);
      } finally {
        process.off("SIGINT", abort);
        process.off("SIGTERM", abort);
      }
    });
};

interface Seen {
  readonly value: unknown;
  readonly seq: number | null;
}

const line = ({ paint }: Screen, { value, seq }: Seen): string =>
  `${paint("dim", String(seq ?? "-"))}\t${value === null ? paint("yellow", "no state") : JSON.stringify(value)}`;
