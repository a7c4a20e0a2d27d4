/** `keyframe ask OP EVENT`: one event to one operator, and its reply. */
import { randomUUID } from "node:crypto";
import { App, codeOf, fine, online, operatorPath, postJson, saidBy, type Options } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";

export const ask: AddCommand = (program, cli, done) => {
  online(program.command("ask"))
    .description("Send one event to one operator and print its reply")
    .argument("<operator>")
    .argument("<event>", "JSON, or - for standard input")
    .addHelpText(
      "after",
      examples(
        `keyframe ask credits '{"type":"credits.take","data":{"account":"ada","n":1}}'`,
        "keyframe ask credits - < event.json",
      ) +
        "\n\nExit status: 0 it was applied, 1 it was refused or its handler threw, 2 it is no event, or couldn't be sent.",
    )
    .action(async (operator: string, event: string, options: Options) => {
      const app = new App(options, cli);
      const text = event === "-" ? await cli.stdin() : event;
      // An event without an id gets one from this, so that sending it again after a 503 counts once.
      const init = postJson(text, { "idempotency-key": randomUUID() });
      const answer = await app.askAgain(`${operatorPath(operator)}/ask`, init);
      const refused = answer.status === 409 && codeOf(answer) !== "id_reused";
      const no = refused || (answer.status === 422 && codeOf(answer) === "quarantined");
      const body = no ? answer.body : fine(answer);
      if (options.json) await cli.screen.print(JSON.stringify(body));
      else if (no)
        cli.screen.say(`${cli.screen.paintError("yellow", refused ? "refused" : "set aside")} ${saidBy(answer)}`);
      else await cli.screen.print(JSON.stringify((body as { readonly value: unknown }).value));
      done(no ? NO : YES);
    });
};
