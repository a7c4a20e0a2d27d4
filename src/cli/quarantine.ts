/**
 * `keyframe quarantine OP`: the events whose handler threw. `groups` counts them by type and error, and `show ID`
 * prints one in full.
 * `retry` and `delete` end the quarantine of one event, or of many by type or error (ONE6).
 */
import { Argument } from "commander";
import type { Page, QuarantinedInfo, QuarantineGroupInfo, SteeredPage } from "../client/admin-answers.ts";
import { operatorPath } from "../client/paths.ts";
import {
  AppClient,
  problemCode,
  DELETE_REQUEST,
  fine,
  online,
  POST_REQUEST,
  saidBy,
  timelineOption,
  type TimedAnswer,
  type AppOptions,
} from "./app.ts";
import { examples, NO, CommandError, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { pages } from "./pages.ts";
import { table } from "./text.ts";

type Action = "groups" | "show" | "retry" | "delete";

interface Steered {
  readonly status: string;
  readonly duplicate?: boolean;
  readonly value?: unknown;
  readonly error?: string;
  readonly code?: string;
}

interface Wanted extends AppOptions {
  readonly type?: string;
  readonly errorName?: string;
  readonly error?: string;
  readonly all?: boolean;
}

export const quarantineCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("quarantine")))
    .description("List the events whose handler threw, count them by error, show, retry or delete one or many")
    .argument("<operator>")
    .addArgument(new Argument("[action]").choices(["groups", "show", "retry", "delete"] satisfies Action[]))
    .argument("[id]", "id from the list; without it, --type, --error-name, --error or --all select events")
    .option("--type <type>", "only events of this type")
    .option("--error-name <class>", "only errors of this class")
    .option("--error <message>", "only this message; a * at its end matches any continuation")
    .option("--all", "with retry and delete: every event")
    .addHelpText(
      "after",
      examples(
        "keyframe quarantine usage",
        "keyframe quarantine usage groups",
        "keyframe quarantine usage show 0-48211",
        "keyframe quarantine usage retry 0-48211",
        "keyframe quarantine usage retry --error-name TypeError",
        "keyframe quarantine usage delete --type usage.recorded --error 'no such model*'",
      ) +
        "\n\nA list wakes the partitions. Retry and delete are logged, and count once: a second run prints the first result.\nExit status: 0 done, 1 an event was refused or quarantined again, or isn't there, 2 the request failed.",
    )
    .action(async (operator: string, action: Action | undefined, id: string | undefined, options: Wanted) => {
      const app = new AppClient(options, cli);
      if (action === undefined) return done(await list(app, operator, options, cli));
      if (action === "groups") return done(await groups(app, operator, options, cli));
      if (id !== undefined)
        return done(
          await (action === "show"
            ? show(app, operator, id, options, cli)
            : steer(app, operator, action, id, options, cli)),
        );
      if (action === "show" || (Object.keys(filterOf(options)).length === 0 && options.all !== true))
        throw new CommandError(`say which event: keyframe quarantine ${operator} ${action} ID`);
      done(await many(app, operator, action, options, cli));
    });
};

function filterOf({ type, errorName, error }: Wanted): Record<string, string> {
  return {
    ...(type !== undefined && { type }),
    ...(errorName !== undefined && { errorName }),
    ...(error !== undefined && { error }),
  };
}

const errorText = ({ error, errorName }: { readonly error: string; readonly errorName?: string }): string =>
  errorName === undefined ? error : `${errorName}: ${error}`;

async function list(app: AppClient, operator: string, options: Wanted, { screen }: Cli): Promise<Status> {
  const rows: string[][] = [];
  const path = `${operatorPath(operator)}/quarantine`;
  // The app bounds the list: 10,000 events a partition.
  for await (const entry of pages<QuarantinedInfo>(app, path, filterOf(options), Infinity)) {
    if (options.json) await screen.print(JSON.stringify(entry));
    else rows.push([entry.id, entry.type, JSON.stringify(entry.key), entry.time, JSON.stringify(errorText(entry))]);
  }
  if (options.json) return YES;
  if (rows.length === 0) screen.say("no event is quarantined");
  else for (const line of table(["ID", "TYPE", "KEY", "TIME", "ERROR"], rows, screen.paint)) await screen.print(line);
  return YES;
}

async function groups(app: AppClient, operator: string, { json }: AppOptions, { screen }: Cli): Promise<Status> {
  const found = (await app.get(`${operatorPath(operator)}/quarantine/groups`)) as Page<QuarantineGroupInfo>;
  if (json) for (const group of found.items) await screen.print(JSON.stringify(group));
  if (json) return YES;
  if (found.items.length === 0) screen.say("no event is quarantined");
  const rows = found.items.map((group) => [
    String(group.events),
    group.type,
    JSON.stringify(errorText(group)),
    group.since,
    group.first,
  ]);
  const heads = ["EVENTS", "TYPE", "ERROR", "SINCE", "FIRST"];
  if (rows.length > 0) for (const line of table(heads, rows, screen.paint)) await screen.print(line);
  return YES;
}

/** Prints all that is known of one event: its text, the error, and the place. */
async function show(
  app: AppClient,
  operator: string,
  id: string,
  { json }: AppOptions,
  { screen }: Cli,
): Promise<Status> {
  const [, partition, at] = /^(\d{1,9})-([1-9]\d{0,14})$/.exec(id) ?? [];
  if (partition === undefined)
    throw new CommandError(`${JSON.stringify(id)} isn't the id of a quarantined event, such as 0-48211`);
  const before = `${partition}-${Number(at) - 1}`;
  const path = `${operatorPath(operator)}/quarantine?limit=1&cursor=${before}`;
  const entry = ((await app.get(path)) as Page<QuarantinedInfo>).items.find((one) => one.id === id);
  if (entry === undefined) {
    screen.say(`there is no quarantined event ${id}`);
    return NO;
  }
  if (json) await screen.print(JSON.stringify(entry));
  else {
    const { type, key, time, operatorVersion, code, stack = "", event } = entry;
    const facts = { id, type, key: JSON.stringify(key), received: time, code: `version ${operatorVersion}, ${code}` };
    for (const [name, value] of Object.entries(facts)) await screen.print(`${name.padEnd(10)}${value}`);
    await screen.print(`error     ${JSON.stringify(errorText(entry))}`);
    for (const frame of stack.split("\n").filter((line) => line !== ""))
      await screen.print(`          ${JSON.stringify(frame).slice(1, -1)}`);
    await screen.print(`event     ${JSON.stringify(event)}`);
  }
  return YES;
}

/** A second command hears the outcome of the first one. */
async function steer(
  app: AppClient,
  operator: string,
  action: "retry" | "delete",
  id: string,
  { json }: AppOptions,
  { screen }: Cli,
): Promise<Status> {
  const path = `${operatorPath(operator)}/quarantine/${encodeURIComponent(id)}`;
  const answer = await (action === "retry"
    ? app.askAgain(`${path}/retry`, POST_REQUEST)
    : app.askAgain(path, DELETE_REQUEST));
  const missing = isMissing(answer);
  const body = (missing ? answer.body : fine(answer)) as Steered;
  if (json) await screen.print(JSON.stringify(body));
  else if (missing) screen.say(saidBy(answer));
  else await screen.print(`${id} ${body.status}${body.duplicate === true ? " before" : ""}${explained(body)}`);
  return !missing && body.status === "applied" ? YES : NO;
}

const isMissing = (answer: TimedAnswer): boolean =>
  problemCode(answer) === "not_quarantined" || problemCode(answer) === "settled";

/** Page by page, in the order of partition and seq. */
async function many(
  app: AppClient,
  operator: string,
  action: "retry" | "delete",
  options: Wanted,
  { screen }: Cli,
): Promise<Status> {
  const counts = { applied: 0, refused: 0, quarantined: 0, gone: 0 };
  const path = `${operatorPath(operator)}/quarantine/${action}`;
  let cursor: string | undefined;
  for (;;) {
    const query = new URLSearchParams({
      ...filterOf(options),
      ...(action === "delete" && options.all === true && { all: "true" }),
      ...(cursor !== undefined && { cursor }),
    });
    const page = fine(await app.askAgain(`${path}?${query.toString()}`, POST_REQUEST)) as SteeredPage;
    for (const name of ["applied", "refused", "quarantined", "gone"] as const) counts[name] += page[name];
    if (options.json) for (const item of page.items) await screen.print(JSON.stringify(item));
    if (page.cursor === undefined) break;
    // Without this check a page that repeats would never end the loop.
    if (page.cursor === cursor) throw new CommandError(`${path} returned the same page twice`);
    ({ cursor } = page);
  }
  const { applied, refused, quarantined, gone } = counts;
  const said =
    action === "delete"
      ? [`${applied} deleted`]
      : [`${applied} applied`, `${refused} refused`, `${quarantined} threw again`];
  if (!options.json) await screen.print([...said, ...(gone > 0 ? [`${gone} gone meanwhile`] : [])].join(", "));
  return refused + quarantined === 0 ? YES : NO;
}

function explained({ status, value, error, code }: Steered): string {
  if (status === "applied") return value === null || value === undefined ? "" : `, ${JSON.stringify(value)}`;
  return `: ${error ?? code ?? "no reason was given"}`;
}
