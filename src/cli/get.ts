/** `keyframe get OP KEY...`: the states of some keys. */
import { atOption, AskedMoment, type MomentMembers, type AtOption } from "./at.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, fine, online, postJson, withQuery, type AppOptions } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { quoted } from "./text.ts";

/** The most keys that one request may name. */
const BATCH = 500;

interface Found extends MomentMembers {
  readonly items: readonly { readonly key: string; readonly value: unknown; readonly seq: number }[];
  readonly missing: readonly string[];
}

export const getCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("get")))
    .description("Print the states of keys")
    .argument("<operator>")
    .argument("<key...>")
    .addHelpText(
      "after",
      examples(
        "keyframe get credits ada",
        "keyframe get credits ada bob --json",
        "keyframe get credits ada --at -90m",
      ) +
        "\n\nExit status: 0 all keys have a state, 1 one has none or there is no such moment, 2 it couldn't be asked.",
    )
    .action(async (operator: string, keys: readonly string[], options: AppOptions & AtOption) => {
      const app = new AppClient(options, cli);
      const { screen } = cli;
      const moment = new AskedMoment(options, screen);
      let missing = 0;
      for (let from = 0; from < keys.length; from += BATCH) {
        const init = postJson(JSON.stringify({ keys: keys.slice(from, from + BATCH) }));
        const path = withQuery(`${operatorPath(operator)}/state/batch`, moment.query);
        const found = fine(await app.askAgain(path, init)) as Found;
        const about = moment.heard(found);
        for (const { key, value, seq } of found.items)
          await screen.print(
            options.json
              ? JSON.stringify({ key, value, seq, ...about })
              : `${screen.paint("cyan", quoted(key))}\t${JSON.stringify(value)}`,
          );
        for (const key of found.missing) screen.say(`no state: ${quoted(key)}`);
        missing += found.missing.length;
      }
      done(missing === 0 ? YES : NO);
    });
};
