/** `keyframe get OP KEY...`: the states of some keys. */
import { App, fine, online, operatorPath, postJson, type Options } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { quoted } from "./text.ts";

/** The most keys that one request may name. */
const BATCH = 500;

interface Found {
  readonly items: readonly { readonly key: string; readonly value: unknown; readonly seq: number }[];
  readonly missing: readonly string[];
}

export const get: AddCommand = (program, cli, done) => {
  online(program.command("get"))
    .description("Print the states of keys")
    .argument("<operator>")
    .argument("<key...>")
    .addHelpText(
      "after",
      examples("keyframe get credits ada", "keyframe get credits ada bob --json") +
        "\n\nExit status: 0 all keys have a state, 1 one has none, 2 it couldn't be asked.",
    )
    .action(async (operator: string, keys: readonly string[], options: Options) => {
      const app = new App(options, cli);
      const { screen } = cli;
      let missing = 0;
      for (let at = 0; at < keys.length; at += BATCH) {
        const init = postJson(JSON.stringify({ keys: keys.slice(at, at + BATCH) }));
        const found = fine(await app.askAgain(`${operatorPath(operator)}/state/batch`, init)) as Found;
        for (const { key, value, seq } of found.items)
          await screen.print(
            options.json
              ? JSON.stringify({ key, value, seq })
              : `${screen.paint("cyan", quoted(key))}\t${JSON.stringify(value)}`,
          );
        for (const key of found.missing) screen.say(`no state: ${quoted(key)}`);
        missing += found.missing.length;
      }
      done(missing === 0 ? YES : NO);
    });
};
