/** `keyframe blame OP KEY [PATH]`: the newest event that changed a member of a key's state. */
import { atOption, AskedMoment, type MomentMembers, type AtOption } from "./at.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, online, withQuery, type AppOptions } from "./app.ts";
import { examples, NO, CommandError, wholeNumber, YES, type AddCommand } from "./command.ts";
import { eventWords, type LoggedEvent } from "./history.ts";

interface BlameOptions extends AppOptions, AtOption {
  readonly before?: string;
}

interface Item extends LoggedEvent {
  readonly from?: unknown;
  readonly to?: unknown;
  readonly unknown?: string;
}

interface Answer extends MomentMembers {
  readonly item: Item | null;
  readonly before?: number;
  readonly expired?: boolean;
}

export const blameCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("blame")))
    .description("Print the newest event that changed a member of a key's state, with the member before and after")
    .argument("<operator>")
    .argument("<key>")
    .argument("[path]", "JSON pointer into the state, such as /left or /items/0; default the whole state", "")
    .option("--before <seq>", "only events below this seq")
    .addHelpText(
      "after",
      examples(
        "keyframe blame credits ada /left",
        "keyframe blame credits ada /left --before 48211    # the change before that",
        "keyframe blame credits ada --at month-end --json",
      ) +
        "\n\nIt reads D1 and R2, and wakes no partition. A member that isn't there is shown as nothing.\nExit status: 0 this event changed it, 1 none is known or there is no such moment, 2 it couldn't be read.",
    )
    .action(async (operator: string, key: string, path: string, options: BlameOptions) => {
      const { screen } = cli;
      const app = new AppClient(options, cli);
      const moment = new AskedMoment(options, screen);
      const before = options.before === undefined ? null : wholeNumber(options.before, "--before");
      const { item, expired } = await found(app, `${operatorPath(operator)}/blame`, { key, path }, before, moment);
      if (item === null) {
        screen.say(`no event ${expired === true ? "that is kept " : ""}changed it`);
        return done(NO);
      }
      const change = `${shown(item.from)} -> ${shown(item.to)}`;
      if (item.unknown !== undefined) screen.say(`whether this event changed it isn't known: ${item.unknown}`);
      await screen.print(
        options.json
          ? JSON.stringify(item)
          : [...eventWords(item, screen.paint), ...(item.unknown === undefined ? [change] : [])].join("\t"),
      );
      done(item.unknown === undefined ? YES : NO);
    });
};

const shown = (member: unknown): string => (member === undefined ? "nothing" : JSON.stringify(member));

/** Asks until the event is found, or there is no older one: the app looks at a part of the history at a time. */
async function found(
  app: AppClient,
  path: string,
  asked: Readonly<Record<string, string>>,
  first: number | null,
  moment: AskedMoment,
): Promise<Answer> {
  let before = first;
  for (;;) {
    const about = before === first ? moment : null;
    const query = { ...asked, ...(before === null ? {} : { before: String(before) }), ...about?.query };
    const answer = (await app.get(withQuery(path, query))) as Answer;
    about?.heard(answer);
    if (answer.item !== null || answer.before === undefined) return answer;
    // Without this check an answer that repeats would never end the loop.
    if (before !== null && answer.before >= before)
      throw new CommandError(`the app answered the search below seq ${before} twice`);
    ({ before } = answer);
  }
}
