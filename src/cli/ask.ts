/** `keyframe ask OP EVENT`: one event to one operator, and its reply. */
import { randomUUID } from "node:crypto";
import { lacking } from "../client/answer.ts";
import { DECIDED } from "../client/holds.ts";
import { operatorPath } from "../client/paths.ts";
import {
  afterOption,
  AppClient,
  problemCode,
  fine,
  online,
  postJson,
  saidBy,
  stampToTell,
  timelineOption,
  NoAnswerError,
  type TimedAnswer,
  type AppOptions,
} from "./app.ts";
import { examples, NO, CommandError, YES, type AddCommand } from "./command.ts";
import { idOf, lacksId, putId } from "./event-id.ts";

export const askCommand: AddCommand = (program, cli, done) => {
  afterOption(timelineOption(online(program.command("ask"))))
    .description("Send one event to one operator and print its reply")
    .argument("<operator>")
    .argument("<event>", "JSON, or - for standard input")
    .addHelpText(
      "after",
      examples(
        `keyframe ask credits '{"type":"credits.take","data":{"account":"ada","n":1}}'`,
        "keyframe ask credits - < event.json",
      ) +
        "\n\nAn event without an id gets one, so that a retry counts once.\nExit status: 0 applied, 1 refused or quarantined, 2 the event is invalid or couldn't be sent; if the outcome is unknown,\nthe message names the id to send again.",
    )
    .action(async (operator: string, event: string, options: AppOptions) => {
      const app = new AppClient(options, cli);
      const given = event === "-" ? await cli.stdin() : event;
      const text = lacksId(given) ? putId(given, randomUUID()) : given;
      const answer = await decided(app, `${operatorPath(operator)}/ask`, text);
      const no = isDecided(answer);
      const body = no ? answer.body : fine(answer);
      const refused = problemCode(answer) !== "quarantined";
      if (options.json) await cli.screen.print(JSON.stringify(body));
      else if (no)
        cli.screen.say(refused ? `${cli.screen.paintError("yellow", "refused")} ${saidBy(answer)}` : saidBy(answer));
      else await cli.screen.print(JSON.stringify((body as { readonly value: unknown }).value));
      const next = stampToTell(app.after, app.heard);
      if (next !== null) cli.screen.say(next);
      done(no ? NO : YES);
    });
};

/** @throws Trouble with the id to send again, if no answer gave the event's outcome and an attempt may have counted */
async function decided(app: AppClient, path: string, text: string): Promise<TimedAnswer> {
  try {
    const { answer, unknown } = await app.askUntilKnown(path, postJson(text));
    if (answer.tag !== "good" && !isDecided(answer) && unknown) fine(answer);
    return answer;
  } catch (error) {
    if (!(error instanceof CommandError) || (error instanceof NoAnswerError && !error.unknown)) throw error;
    const id = idOf(text);
    // A text without an id isn't JSON, and counts nowhere.
    if (id === null) throw error;
    throw new CommandError(
      `${error.message}\nThe outcome is unknown: send the event again with the same id, "id":${JSON.stringify(id)}`,
    );
  }
}

/** Did the operator decide against the event? The operator's code may equal one of the app's. */
const isDecided = (answer: TimedAnswer): boolean =>
  answer.tag === "problem" &&
  (answer.status === 409 || (answer.status === 422 && answer.code === "quarantined")) &&
  lacking(DECIDED, answer.body, "") === null;
