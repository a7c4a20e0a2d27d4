/** `keyframe doctor`: is the app there, may this token use it, how far is it, and is each partition well? */
import { randomUUID } from "node:crypto";
import about from "../../package.json" with { type: "json" };
import { isObject } from "../engine/json.ts";
import { App, codeOf, fine, online, operatorPath, postJson, saidBy, type Answer, type Options } from "./app.ts";
import type { OperatorStatus } from "./answers.ts";
import {
  check,
  checkLines,
  judgeAccess,
  judgeCommits,
  judgeOperators,
  judgeTimes,
  ROLES,
  type Check,
  type Role,
} from "./checks.ts";
import { examples, NO, Trouble, wholeNumber, YES, type AddCommand } from "./command.ts";
import { pages } from "./pages.ts";
import { readStatus } from "./status.ts";
import { count, milliseconds } from "./text.ts";

interface DoctorOptions extends Options {
  readonly promise: string;
  readonly wake: boolean;
  readonly write?: string;
  readonly samples: string;
}

/** Round trips that a median is taken of. */
const ROUNDS = 5;
const MOST_SAMPLES = 1_000;
/** Entries of a quarantine that are counted; more is told as "so many or more". */
const COUNTED = 1_000;

export const doctor: AddCommand = (program, cli, done) => {
  online(program.command("doctor"))
    .description("Check the app: reachable, tokens, round trips, health of each partition")
    .option(
      "--promise <time>",
      "how soon a partition must be back; the app doesn't tell what its operators promise",
      "1s",
    )
    .option("--no-wake", "leave the quarantine out, which is read from the partitions and wakes them")
    .option("--write <event>", "measure commits by sending this event, as JSON, again and again with new ids")
    .option("--samples <n>", "how often --write sends it", "20")
    .addHelpText(
      "after",
      examples(
        "keyframe doctor --no-wake",
        `keyframe doctor --write '{"type":"credits.take","data":{"account":"nobody","n":1}}'`,
      ) +
        "\n\nWithout --write nothing is changed. With it the event counts as often as it is sent; one that its handler refuses is logged\nand measured as well, and changes no state.\nExit status: 0 nothing is bad, 1 something is, 2 the app can't be reached.",
    )
    .action(async (options: DoctorOptions) => {
      const app = new App(options, cli);
      const checks = await examine(app, options);
      const lines = options.json ? checks.map((one) => JSON.stringify(one)) : checkLines(checks, cli.screen.paint);
      for (const line of lines) await cli.screen.print(line);
      done(checks.some(({ state }) => state === "bad") ? NO : YES);
    });
};

async function examine(app: App, options: DoctorOptions): Promise<Check[]> {
  const promiseMs = milliseconds(options.promise);
  if (promiseMs === null) throw new Trouble(`--promise ${options.promise} is no time; say 500ms, 1s or 2m`);
  const samples = Math.min(wholeNumber(options.samples, "--samples"), MOST_SAMPLES);
  const here = check("ok", "command line", `version ${about.version} on Node ${process.versions.node}`);
  const checks = [here, await reach(app)];
  const probes = new Map<Role, Answer>();
  for (const role of ROLES) probes.set(role, await probe(app, role));
  for (const [role, { status, ...answer }] of probes)
    checks.push(judgeAccess(role, { status, code: codeOf({ status, ...answer }) }, app.hasToken));
  const may = (role: Role): boolean => ![401, 403, 503].includes(probes.get(role)!.status);
  if (may("read") && may("admin")) {
    const all = await readStatus(app);
    checks.push(...(await database(app, all)), ...judgeOperators(all, Date.now(), promiseMs));
    if (options.wake) checks.push(...(await quarantines(app, all)));
  } else checks.push(check("note", "partitions", "not looked at: that needs the admin token"));
  if (options.write !== undefined) checks.push(await commits(app, options.write, samples));
  return checks;
}

/** @throws Trouble where nothing answers */
async function reach(app: App): Promise<Check> {
  const ms: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const answer = await app.ask("/healthz");
    const ok = answer.status === 200 && isObject(answer.body) && answer.body["ok"] === true;
    if (!ok) throw new Trouble(`what answers at ${app.url} is no Keyframe: ${answer.status} ${saidBy(answer)}`);
    ms.push(answer.ms);
  }
  return judgeTimes("app", `${app.url} answers`, ms);
}

/** A request that each role may make and that changes nothing: no events, and an operator that can't be. */
function probe(app: App, role: Role): Promise<Answer> {
  switch (role) {
    case "ingest":
      return app.ask("/v1/events", postJson("[]"));
    case "read":
      return app.ask("/v1/operators");
    case "admin":
      return app.ask(`${operatorPath("-")}/partitions`);
  }
}

/** A read of D1 through the app. */
async function database(app: App, all: readonly OperatorStatus[]): Promise<Check[]> {
  const known = all.find(({ operator }) => operator.lost === undefined);
  if (known === undefined) return [];
  const ms: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const answer = await app.ask(`${operatorPath(known.operator.name)}/partitions`);
    fine(answer);
    ms.push(answer.ms);
  }
  return [judgeTimes("D1", "read through the app", ms)];
}

async function quarantines(app: App, all: readonly OperatorStatus[]): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { operator } of all) {
    if (operator.lost !== undefined) continue;
    let found = 0;
    for await (const _ of pages(app, `${operatorPath(operator.name)}/quarantine`, {}, COUNTED)) found += 1;
    if (found > 0)
      checks.push(
        check(
          "bad",
          operator.name,
          `${count(found)}${found === COUNTED ? " or more" : ""} events are set aside: keyframe quarantine ${operator.name}`,
        ),
      );
  }
  return checks.length > 0 ? checks : [check("ok", "quarantine", "empty")];
}

async function commits(app: App, text: string, samples: number): Promise<Check> {
  const event = eventOf(text);
  const ms: number[] = [];
  for (let i = 0; i < samples; i++) {
    const answer = await app.ask("/v1/events", postJson(JSON.stringify({ ...event, id: `doctor-${randomUUID()}` })));
    // Refused by its handler, it is in the log all the same.
    const refused = answer.status === 409 && isObject(answer.body) && answer.body["refused"] === 1;
    if (answer.status !== 200 && !refused)
      return check("bad", "commit", `after ${i} events: ${answer.status} ${saidBy(answer)}`);
    ms.push(answer.ms);
  }
  return ms.length === 0 ? check("note", "commit", "no event was sent") : judgeCommits(ms);
}

function eventOf(text: string): Record<string, unknown> {
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    event = null;
  }
  if (!isObject(event) || typeof event["type"] !== "string")
    throw new Trouble("--write takes one event, a JSON object with a type");
  return event;
}
