/** `keyframe quarantine OP`: the events whose handler threw; `… retry ID` and `… delete ID` steer them (ONE6). */
import { Argument } from "commander";
import type { QuarantinedInfo } from "./answers.ts";
import { App, codeOf, DELETE, fine, online, operatorPath, POST, saidBy, type Options } from "./app.ts";
import { examples, NO, Trouble, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { pages } from "./pages.ts";
import { table } from "./text.ts";

type Action = "retry" | "delete";

interface Steered {
  readonly status: string;
  readonly value?: unknown;
  readonly error?: string;
  readonly code?: string;
}

export const quarantine: AddCommand = (program, cli, done) => {
  online(program.command("quarantine"))
    .description("List the events whose handler threw, retry one, or delete one")
    .argument("<operator>")
    .addArgument(new Argument("[action]").choices(["retry", "delete"] satisfies Action[]))
    .argument("[id]", "as the list gives it")
    .addHelpText(
      "after",
      examples(
        "keyframe quarantine usage",
        "keyframe quarantine usage retry 0-48211",
        "keyframe quarantine usage delete 0-48211",
      ) +
        "\n\nA list is read from the partitions and wakes them. Retry and delete are logged.\nExit status: 0 done, 1 the retried event is refused or throws again, or there is no such event, 2 it couldn't be done.",
    )
    .action(async (operator: string, action: Action | undefined, id: string | undefined, options: Options) => {
      const app = new App(options, cli);
      if (action === undefined) return done(await list(app, operator, options, cli));
      if (id === undefined) throw new Trouble(`say which event: keyframe quarantine ${operator} ${action} ID`);
      done(await steer(app, operator, action, id, options, cli));
    });
};

async function list(app: App, operator: string, { json }: Options, { screen }: Cli): Promise<Status> {
  const rows: string[][] = [];
  // Bounded by the app: 10,000 events a partition.
  for await (const entry of pages<QuarantinedInfo>(app, `${operatorPath(operator)}/quarantine`, {}, Infinity)) {
    if (json) await screen.print(JSON.stringify(entry));
    else rows.push([entry.id, JSON.stringify(entry.key), entry.time, JSON.stringify(entry.error)]);
  }
  if (json) return YES;
  if (rows.length === 0) screen.say("nothing is set aside");
  else for (const line of table(["ID", "KEY", "TIME", "ERROR"], rows, screen.paint)) await screen.print(line);
  return YES;
}

/** Sent once: a second one would find the event gone and say so, though the first one did it. */
async function steer(
  app: App,
  operator: string,
  action: Action,
  id: string,
  { json }: Options,
  { screen }: Cli,
): Promise<Status> {
  const path = `${operatorPath(operator)}/quarantine/${encodeURIComponent(id)}`;
  const answer = await (action === "retry" ? app.ask(`${path}/retry`, POST) : app.ask(path, DELETE));
  const missing = codeOf(answer) === "not_quarantined";
  const body = (missing ? answer.body : fine(answer)) as Steered;
  if (json) await screen.print(JSON.stringify(body));
  else if (missing) screen.say(saidBy(answer));
  else await screen.print(`${id} ${body.status}${explained(body)}`);
  return !missing && body.status === "applied" ? YES : NO;
}

function explained({ status, value, error, code }: Steered): string {
  if (status === "applied") return value === null || value === undefined ? "" : `, ${JSON.stringify(value)}`;
  return `: ${error ?? code ?? "no reason was given"}`;
}
