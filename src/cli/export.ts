/**
 * `keyframe export OP > FILE`: every key of an operator with its state, each partition as of one seq.
 *
 * EXPORT1. The last line of the app's answer says that the export is complete. If the line is missing, or its count
 *     differs, the exit status is 2.
 */
import { isObject } from "../engine/base/json.ts";
import { App, online, operatorPath, type Options } from "./app.ts";
import { examples, Trouble, YES, type AddCommand } from "./command.ts";

export const exportAll: AddCommand = (program, cli, done) => {
  online(program.command("export"))
    .description("Print every key with its state as NDJSON, each partition as of one seq")
    .argument("<operator>")
    .option("--prefix <prefix>", "only keys that begin so", "")
    .addHelpText(
      "after",
      examples("keyframe export usage > usage.ndjson", "keyframe export usage --prefix acme/ | gzip > acme.ndjson.gz") +
        "\n\nThe first line says which seq of each partition it is, the last one that it is complete.\nExit status: 0 all of it is there, 2 it isn't.",
    )
    .action(async (operator: string, options: Options & { readonly prefix: string }) => {
      const app = new App(options, cli);
      const { screen } = cli;
      const query = options.prefix === "" ? "" : `?${new URLSearchParams({ prefix: options.prefix }).toString()}`;
      let keys = 0;
      let last = "";
      for await (const line of app.lines(`${operatorPath(operator)}/export${query}`, "application/x-ndjson")) {
        if (screen.closed) break;
        if (line.startsWith(KEY)) keys += 1;
        await screen.print(line);
        if (line !== "") last = line;
      }
      if (!screen.closed) screen.say(summary(last, keys));
      done(YES);
    });
};

/** The beginning of a line with a key. */
const KEY = '{"key":';

/** @throws Trouble if the last line doesn't say that the export is complete */
function summary(last: string, keys: number): string {
  const end = parsed(last);
  if (end?.["end"] !== true)
    throw new Trouble(`the export broke off after ${keys} keys: what was written is a part of it`);
  if (end["complete"] !== true)
    throw new Trouble(`the export isn't complete, ${JSON.stringify(end["detail"] ?? null)}; ${keys} keys came`);
  if (end["keys"] !== keys)
    throw new Trouble(`the app says ${JSON.stringify(end["keys"] ?? null)} keys, and ${keys} came: export again`);
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
