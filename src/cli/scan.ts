/** `keyframe scan OP`: all keys of an operator in the order of their UTF-8 bytes, page after page. */
import { operatorPath } from "../client/paths.ts";
import { AppClient, online, type AppOptions } from "./app.ts";
import { atOption, AskedMoment, type MomentMembers, type AtOption } from "./at.ts";
import { examples, wholeNumber, YES, type AddCommand } from "./command.ts";
import { wholePages } from "./pages.ts";
import { quoted } from "./text.ts";

export const scanCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("scan")))
    .description("Print all keys with their states, in order")
    .argument("<operator>")
    .option("--prefix <prefix>", "only keys that begin with this", "")
    .option("--limit <n>", "at most this many keys")
    .addHelpText(
      "after",
      examples(
        "keyframe scan usage --prefix acme/",
        "keyframe scan usage --json > usage.ndjson",
        "keyframe scan usage | head",
        "keyframe scan usage --at 2026-01-31T12:00:00Z",
      ) + "\n\nExit status: 0 done, 1 there is no such moment, 2 it couldn't be read.",
    )
    .action(async (operator: string, options: ScanOptions) => {
      const app = new AppClient(options, cli);
      const { screen } = cli;
      const most = options.limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber(options.limit, "--limit");
      const moment = new AskedMoment(options, screen);
      const query = () => ({ ...(options.prefix === "" ? {} : { prefix: options.prefix }), ...moment.query });
      for await (const page of wholePages<Item, MomentMembers>(app, `${operatorPath(operator)}/state`, query, most)) {
        const about = moment.heard(page);
        for (const { key, value } of page.items) {
          if (screen.closed) break;
          await screen.print(
            options.json
              ? JSON.stringify({ key, value, ...about })
              : `${screen.paint("cyan", quoted(key))}\t${JSON.stringify(value)}`,
          );
        }
        if (screen.closed) break;
      }
      done(YES);
    });
};

interface ScanOptions extends AppOptions, AtOption {
  readonly prefix: string;
  readonly limit?: string;
}

interface Item {
  readonly key: string;
  readonly value: unknown;
}
