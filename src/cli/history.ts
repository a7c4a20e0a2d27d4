/**
 * `keyframe history OP KEY`: the events that touched a key, newest first, each with its outcome and the value after it.
 */
import { atOption, AskedMoment, type MomentMembers, type AtOption } from "./at.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, online, withQuery, type AppOptions } from "./app.ts";
import { examples, NO, CommandError, wholeNumber, YES, type AddCommand } from "./command.ts";
import type { Paint } from "./text.ts";
import { count } from "../client/amounts.ts";
import { firingWords } from "../client/firing.ts";

interface HistoryOptions extends AppOptions, AtOption {
  readonly limit: string;
  readonly before?: string;
}

/** An event as it is shown, without its values. */
export interface LoggedEvent {
  readonly seq: number;
  readonly time: string;
  readonly event: { readonly type: string; readonly id: string; readonly source: string; readonly data?: unknown };
  readonly outcome: { readonly status: string; readonly code?: string; readonly error?: string };
}

interface Entry extends LoggedEvent {
  readonly value: unknown;
  readonly unknown?: string;
}

interface Page extends MomentMembers {
  readonly items: readonly Entry[];
  readonly before?: number;
  readonly expired?: boolean;
}

/** The most events of one page. */
const PAGE = 1_000;

export const historyCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("history")))
    .description("Print the events that touched a key, newest first, each with its outcome and the value after it")
    .argument("<operator>")
    .argument("<key>")
    .option("--limit <n>", "number of events", "100")
    .option("--before <seq>", "only events below this seq")
    .addHelpText(
      "after",
      examples(
        "keyframe history credits ada",
        "keyframe history credits ada --limit 10 --before 48211",
        "keyframe history credits ada --at 2026-01-31T12:00:00Z",
        "keyframe history credits ada --json | jq -c '[.seq, .event.type, .value]'",
      ) +
        "\n\nIt reads D1 and R2, and wakes no partition. A value that can't be told for sure is unknown, and the reason is said.\nExit status: 0 there is history, 1 there is none or no such moment, 2 it couldn't be read.",
    )
    .action(async (operator: string, key: string, options: HistoryOptions) => {
      const { screen } = cli;
      const left = { most: wholeNumber(options.limit, "--limit") };
      const before = options.before === undefined ? null : wholeNumber(options.before, "--before");
      const app = new AppClient(options, cli);
      const moment = new AskedMoment(options, screen);
      let found = 0;
      for await (const page of pagesOf(app, operator, key, left.most, before, moment)) {
        for (const entry of page.items)
          await screen.print(options.json ? JSON.stringify(entry) : entryLine(entry, screen.paint));
        found += page.items.length;
        if (page.expired === true) screen.say("retention has given up older events");
        else if (page.before !== undefined && found >= left.most) screen.say(`more events: --before ${page.before}`);
      }
      if (found === 0) screen.say(`no event of ${JSON.stringify(key)} is in the log`);
      done(found === 0 ? NO : YES);
    });
};

/**
 * Pages up to `most` events. A page may be empty though older events follow: the app reads a bounded part of the log
 * for each.
 */
async function* pagesOf(
  app: AppClient,
  operator: string,
  key: string,
  most: number,
  first: number | null,
  moment: AskedMoment,
): AsyncGenerator<Page> {
  let before = first;
  for (let left = most; left > 0;) {
    // Pages behind the first one are bounded by `before`, which is cheaper than the moment.
    const asked = before === first ? moment : null;
    const query = {
      key,
      limit: String(Math.min(PAGE, left)),
      ...(before === null ? {} : { before: String(before) }),
      ...asked?.query,
    };
    const page = (await app.get(withQuery(`${operatorPath(operator)}/history`, query))) as Page;
    asked?.heard(page);
    yield page;
    left -= page.items.length;
    if (page.before === undefined) return;
    // Without this check a page that repeats would never end the loop.
    if (before !== null && page.before >= before)
      throw new CommandError(`the app returned the page before seq ${before} twice`);
    ({ before } = page);
  }
}

const COLOURS: Readonly<Record<string, "yellow" | "red">> = { refused: "yellow", quarantined: "red" };

export function entryLine({ value, unknown, ...event }: Entry, paint: Paint): string {
  const after = unknown === undefined ? JSON.stringify(value) : paint("dim", `unknown: ${unknown}`);
  return [...eventWords(event, paint), after].join("\t");
}

/** Seq, time, type and id, and outcome. */
export function eventWords({ seq, time, event, outcome }: LoggedEvent, paint: Paint): string[] {
  const { status, code, error } = outcome;
  const words = [status, code ?? (error === undefined ? "" : JSON.stringify(error))].filter((word) => word !== "");
  const colour = COLOURS[status];
  const became = colour === undefined ? words.join(" ") : paint(colour, words.join(" "));
  const named = `${JSON.stringify(event.type)} ${firingWords({ event, outcome }) ?? JSON.stringify(event.id)}`;
  return [count(seq), time, named, became];
}
