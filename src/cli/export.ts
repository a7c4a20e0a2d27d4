/**
 * `keyframe export OP > FILE`: every key of an operator with its state, each partition as of one seq.
 *
 * EXPORT1. The last line of the app's answer says that the export is complete. If the line is missing, or its count
 *     differs, the exit status is 2.
 */
import { isObject } from "../engine/base/json.ts";
import { atOption, AskedMoment, type AtOption } from "./at.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, online, withQuery, type AppOptions } from "./app.ts";
import { examples, CommandError, YES, type AddCommand } from "./command.ts";

export const exportCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("export")))
    .description("Print every key with its state as NDJSON, each partition as of one seq")
    .argument("<operator>")
    .option("--prefix <prefix>", "only keys that begin with this", "")
    .addHelpText(
      "after",
      examples(
        "keyframe export usage > usage.ndjson",
        "keyframe export usage --prefix acme/ | gzip > acme.ndjson.gz",
        "keyframe export usage --at 2026-01-31T12:00:00Z > january.ndjson",
      ) +
        "\n\nThe first line says which seq of each partition it is, the last one that it is complete.\nExit status: 0 all of it is there, 1 there is no such moment, 2 it isn't.",
    )
    .action(async (operator: string, options: AppOptions & AtOption & { readonly prefix: string }) => {
      const app = new AppClient(options, cli);
      const { screen } = cli;
      const moment = new AskedMoment(options, screen);
      const query = { ...(options.prefix === "" ? {} : { prefix: options.prefix }), ...moment.query };
      let keys = 0;
      let last = "";
      for await (const line of app.lines(withQuery(`${operatorPath(operator)}/export`, query), NDJSON)) {
        if (screen.closed) break;
        if (last === "") moment.heard(parsed(line) ?? {});
        if (line.startsWith(KEY)) keys += 1;
        await screen.print(line);
        if (line !== "") last = line;
      }
      if (!screen.closed) screen.say(summary(last, keys));
      done(YES);
    });
};

const NDJSON = "application/x-ndjson";

/** The beginning of a line with a key. */
const KEY = '{"key":';

/** @throws Trouble if the last line doesn't say that the export is complete */
function summary(last: string, keys: number): string {
  const end = parsed(last);
  if (end?.["end"] !== true)
    throw new CommandError(`the export broke off after ${keys} keys: the output is incomplete; export again`);
  if (end["complete"] !== true)
    throw new CommandError(`the export isn't complete, ${JSON.stringify(end["detail"] ?? null)}; ${keys} keys arrived`);
  if (end["keys"] !== keys)
    throw new CommandError(
      `the app counted ${JSON.stringify(end["keys"] ?? null)} keys, but ${keys} arrived: export again`,
    );
  return `${keys} keys`;
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
