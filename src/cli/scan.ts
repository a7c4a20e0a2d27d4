/** `keyframe scan OP`: all keys of an operator in the order of their UTF-8 bytes, page after page. */
import { App, online, operatorPath, type Options } from "./app.ts";
import { examples, wholeNumber, YES, type AddCommand } from "./command.ts";
import { pages } from "./pages.ts";
import { quoted } from "./text.ts";

export const scan: AddCommand = (program, cli, done) => {
  online(program.command("scan"))
    .description("Print all keys with their states, in order")
    .argument("<operator>")
    .option("--prefix <prefix>", "only keys that begin so", "")
    .option("--limit <n>", "at most so many keys")
    .addHelpText(
      "after",
      examples(
        "keyframe scan usage --prefix acme/",
        "keyframe scan usage --json > usage.ndjson",
        "keyframe scan usage | head",
      ),
    )
    .action(async (operator: string, options: Options & { readonly prefix: string; readonly limit?: string }) => {
      const app = new App(options, cli);
      const { screen } = cli;
      const most = options.limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber(options.limit, "--limit");
      const { prefix } = options;
      const query = prefix === "" ? {} : { prefix };
      for await (const { key, value } of pages<Item>(app, `${operatorPath(operator)}/state`, query, most)) {
        if (screen.closed) break;
        await screen.print(
          options.json
            ? JSON.stringify({ key, value })
            : `${screen.paint("cyan", quoted(key))}\t${JSON.stringify(value)}`,
        );
      }
      done(YES);
    });
};

interface Item {
  readonly key: string;
  readonly value: unknown;
}
