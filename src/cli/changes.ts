/**
 * `keyframe changes OP`: the state after each event that changed one, over all keys, oldest first.
 *
 * The last remark has the cursor for the next command. It is said as well if the reader closes the pipe, behind the last
 * page that was printed whole.
 */
import { type ChangeEntry, client } from "../client/client.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import { AppClient, hintFor, online, timelineOption, type AppOptions } from "./app.ts";
import { INEXACT } from "./at.ts";
import { CommandError, examples, No, YES, type AddCommand, type Cli } from "./command.ts";
import type { Paint } from "./text.ts";

interface ChangesCommandOptions extends Omit<AppOptions, "after"> {
  readonly after?: string;
  readonly prefix?: string;
  readonly follow?: boolean;
}

export const changesCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("changes")))
    .description("Print the state after each event that changed one, over all keys, oldest first")
    .argument("<operator>")
    .option("--after <cursor>", "only what came after it: a cursor that a line or a remark has, or a moment")
    .option("--prefix <prefix>", "only keys that begin with this")
    .option("--follow", "wait for further changes, until an interrupt")
    .addHelpText(
      "after",
      examples(
        "keyframe changes credits --after -1h",
        "keyframe changes usage --prefix acme/ --follow --json | my-loader",
      ) +
        "\n\nIt reads D1 and R2, and wakes no partition. The last remark has the cursor for the next command.\nExit status: 0 all that there was is printed; 1 the cursor leads to nothing any more, begin anew with an export; 2 it couldn't be read.",
    )
    .action(async (operator: string, options: ChangesCommandOptions) => {
      const stop = new AbortController();
      const abort = (): void => stop.abort();
      process.once("SIGINT", abort);
      process.once("SIGTERM", abort);
      try {
        await printChanges(cli, operator, options, stop.signal);
        done(YES);
      } catch (error) {
        throw error instanceof KeyframeError ? troubleOfChanges(error) : error;
      } finally {
        process.off("SIGINT", abort);
        process.off("SIGTERM", abort);
      }
    });
};

async function printChanges(
  cli: Cli,
  operator: string,
  { after, prefix, follow = false, ...options }: ChangesCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const { url, token, timeline } = new AppClient(options, cli);
  const { screen } = cli;
  const app = client({ url, ...(token === null ? {} : { token }), ...(timeline === null ? {} : { timeline }) });
  const asked = {
    follow,
    signal,
    ...(after === undefined ? {} : { after }),
    ...(prefix === undefined ? {} : { prefix }),
  };
  let cursor = after ?? null;
  let isExact = true;
  for await (const page of app.operator(operator).changes(asked)) {
    for (const entry of page.changes)
      await screen.print(options.json === true ? JSON.stringify(entry) : lineOfChange(entry, screen.paint));
    if (screen.closed) break;
    if (!page.exact && isExact) screen.say(INEXACT);
    isExact &&= page.exact;
    ({ cursor } = page);
  }
  if (cursor !== null) screen.say(`for the next command: --after ${cursor}`);
}

function lineOfChange({ time, key, value, event }: ChangeEntry<unknown>, paint: Paint): string {
  const state = value === null ? paint("yellow", "no state") : JSON.stringify(value);
  const named = `${JSON.stringify(event.type)} ${JSON.stringify(event.id)}`;
  return [paint("dim", time), JSON.stringify(key), state, paint("dim", named)].join("\t");
}

/** A reader that must begin anew is told no. */
const ANEW = new Set(["moment_gone", "line_parted", "not_settled"]);

function troubleOfChanges({ status, code, detail }: KeyframeError): CommandError {
  if (status === null || code === "unexpected_answer") return new CommandError(`${code}: ${detail}`);
  const text = `the app answers ${status} ${code}: ${detail}${hintFor({ status, code })}`;
  return ANEW.has(code) && status < 500 ? new No(text) : new CommandError(text);
}
