/** `keyframe timers OP KEY`: the pending timers of a key, the first to fire first, and when it expires. */
import type { TimersOfKey } from "../client/operator-reads.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, fine, online, problemCode, withQuery, type AppOptions } from "./app.ts";
import { AskedMoment, atOption, type AtOption, type MomentMembers } from "./at.ts";
import { type AddCommand, examples, NO, YES } from "./command.ts";
import { quoted } from "./text.ts";

export const timersCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("timers")))
    .description("Print the pending timers of a key, the first to fire first, and when the key expires")
    .argument("<operator>")
    .argument("<key>")
    .addHelpText(
      "after",
      examples("keyframe timers carts c1", "keyframe timers carts c1 --at -90m --json") +
        "\n\nExit status: 0 the key has a state, 1 it has none or there is no such moment, 2 it couldn't be asked.",
    )
    .action(async (operator: string, key: string, options: AppOptions & AtOption) => {
      const { screen } = cli;
      const moment = new AskedMoment(options, screen);
      const path = withQuery(`${operatorPath(operator)}/timers`, { key, ...moment.query });
      const answer = await new AppClient(options, cli).askAgain(path);
      if (problemCode(answer) === "no_state") {
        moment.heard(answer.body as MomentMembers);
        screen.say(`no state: ${quoted(key)}`);
        return done(NO);
      }
      const { timers, expires, seq, ...found } = fine(answer) as TimersOfKey & MomentMembers;
      const about = moment.heard(found);
      if (options.json) await screen.print(JSON.stringify({ key, timers, expires, seq, ...about }));
      else {
        for (const { name, due } of timers) await screen.print(`${screen.paint("cyan", quoted(name))}\t${due}`);
        if (expires !== null) await screen.print(`expires\t${expires}`);
        if (timers.length === 0) screen.say("no timer is pending");
      }
      done(YES);
    });
};
