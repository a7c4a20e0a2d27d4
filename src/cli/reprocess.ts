/** `keyframe reprocess`: replays main's log from a moment with the code that is deployed, and makes the result main. */
import { count } from "../client/amounts.ts";
import { replayPath } from "../client/paths.ts";
import type { TimelineInfo } from "../client/timelines.ts";
import { AppClient, fine, online, problemCode, saidBy } from "./app.ts";
import { CommandError, examples, No, NO, YES, type AddCommand } from "./command.ts";
import { promoted, promotedOrStays, type PromoteOptions } from "./promote.ts";
import { nowDigits, startTimeline } from "./timelines.ts";

interface ReprocessOptions extends Omit<PromoteOptions, "giveUpTo"> {
  readonly from: string;
  readonly decide?: boolean;
}

export const reprocessCommand: AddCommand = (program, cli, done) => {
  online(program.command("reprocess"))
    .description("Replay main's log from a moment with the code that is deployed, then make the result main")
    .requiredOption("--from <moment>", "a moment from before the bug")
    .option("--decide", "let the code decide each outcome anew; else what was refused stays refused")
    .option("--yes", "without a question, for scripts")
    .addHelpText(
      "after",
      examples(
        "keyframe reprocess --from before-deploy",
        "keyframe reprocess --from 2026-11-24T09:00:00Z --decide --yes",
      ) +
        "\n\nDeploy the fixed code first. Main takes events meanwhile, and the replay takes them in. The preview says how many\noutcomes change; keyframe rollback --undo takes it back.\nExit status: 0 done, 1 not: the answer was no, an outcome changed since the preview, or the moment can't be had, 2 the\nrequest failed.",
    )
    .action(async ({ from, decide, ...options }: ReprocessOptions) => {
      const app = new AppClient(options, cli);
      const replay = decide === true ? "decide" : "logged";
      const line = await startTimeline(app, `reprocess-${nowDigits()}`, { from, replay });
      const is = await promotedOrStays(line, cli, async () => {
        await replayed(app, line.name, (events) => cli.screen.say(`${count(events)} events are left`));
        return promoted(app, line.name, options, cli);
      });
      done(is ? YES : NO);
    });
};

/** So few that a promotion takes them in at once. */
const FEW_EVENTS = 1_000;

/** Requests that find the same trouble, one after the other, before the command gives up. */
const MOST_TROUBLES = 6;

/** Lets a timeline replay up to the end of main's log. `left` hears how many events are to come. @throws CommandError */
export async function replayed(app: AppClient, name: string, left: (events: number) => void): Promise<void> {
  for (let troubles = 0; ;) {
    const answer = await app.askAgain(replayPath(name), { method: "POST" });
    if (problemCode(answer) === "no_timeline") throw new No(saidBy(answer));
    const { replay } = fine(answer) as TimelineInfo;
    if (replay === undefined) throw new CommandError(`timeline ${name} replays nothing`);
    // Main takes events meanwhile. The promotion takes in the last ones.
    if (replay.behind === 0 || (replay.trouble === undefined && replay.lag > 0 && replay.lag <= FEW_EVENTS)) return;
    troubles = replay.trouble === undefined ? 0 : troubles + 1;
    if (troubles === MOST_TROUBLES) throw new CommandError(`timeline ${name} doesn't go on: ${replay.trouble}`);
    left(replay.lag);
  }
}
