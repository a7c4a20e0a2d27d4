/**
 * `keyframe doctor`: is the app there, may this token use it, how far are it and its stores, and is each partition
 * healthy?
 */
import { randomUUID } from "node:crypto";
import about from "../../package.json" with { type: "json" };
import { isObject } from "../engine/base/json.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, problemCode, fine, online, postJson, saidBy, type TimedAnswer, type AppOptions } from "./app.ts";
import type { DoctorInfo, OperatorStatus } from "../client/admin-answers.ts";
import {
  check,
  checkLines,
  judgeAccess,
  judgeCommits,
  judgeOperators,
  judgeStores,
  judgeTimes,
  ROLES,
  type Check,
  type CheckedRole,
} from "./checks.ts";
import { coldOpen } from "./cold-open.ts";
import { dollars } from "./dollars.ts";
import { examples, NO, CommandError, wholeNumber, YES, type AddCommand } from "./command.ts";
import { pages } from "./pages.ts";
import { readStatus } from "./status.ts";
import { count } from "../client/amounts.ts";
import { durationMs } from "../engine/operator/settings.ts";

interface DoctorOptions extends AppOptions {
  readonly target: string;
  readonly wake: boolean;
  readonly write?: readonly string[];
  readonly evict?: readonly string[];
  readonly samples: string;
  readonly rate: string;
}

/** Round trips for a median. */
const ROUNDS = 5;
const MOST_SAMPLES = 1_000;
/** Entries of a quarantine that are counted. A larger number prints as "so many or more". */
const COUNTED = 1_000;

export const doctorCommand: AddCommand = (program, cli, done) => {
  online(program.command("doctor"))
    .description("Check the app: reachable, tokens, round trips, health of each partition")
    .option("--target <time>", "target of a recovery, for every partition", "1s")
    .option("--no-wake", "skip the quarantine, since reading it wakes the partitions")
    .option(
      "--write <operator event...>",
      "measure commits: send this event to this operator many times, each with a new id",
    )
    .option(
      "--evict <operator partition key...>",
      "drop this partition from memory, and compare the key and the counts after its recovery",
    )
    .option("--samples <n>", "number of events that --write sends", "20")
    .option("--rate <time>", "how long to measure what the app costs; 0s skips that", "5s")
    .addHelpText(
      "after",
      examples(
        "keyframe doctor --no-wake",
        `keyframe doctor --write credits '{"type":"credits.take","data":{"account":"nobody","n":1}}'`,
        "keyframe doctor --evict usage 0 customer-1",
      ) +
        "\n\nWithout --write and --evict, doctor changes nothing. With --write each event counts; a refused event is logged and\nmeasured too, and changes no state. An eviction ends the partition as a crash would; callers may get 503 for a moment.\nExit status: 0 nothing is bad, 1 something is bad, 2 the app can't be reached.",
    )
    .action(async (options: DoctorOptions) => {
      const app = new AppClient(options, cli);
      const checks = await examine(app, options);
      const lines = options.json ? checks.map((one) => JSON.stringify(one)) : checkLines(checks, cli.screen.paint);
      for (const line of lines) await cli.screen.print(line);
      done(checks.some(({ state }) => state === "bad") ? NO : YES);
    });
};

async function examine(app: AppClient, options: DoctorOptions): Promise<Check[]> {
  const fail = (why: string): never => {
    throw new CommandError(why);
  };
  const targetMs = durationMs(options.target, "--target", fail);
  const rateMs = options.rate === "0s" ? 0 : durationMs(options.rate, "--rate", fail);
  const samples = Math.min(wholeNumber(options.samples, "--samples"), MOST_SAMPLES);
  const write = options.write === undefined ? null : writeOf(options.write);
  const evict = options.evict === undefined ? null : evictOf(options.evict);
  const here = check("ok", "command line", `version ${about.version} on Node ${process.versions.node}`);
  const checks = [here, await reach(app)];
  const probes = new Map<CheckedRole, TimedAnswer>();
  for (const role of ROLES) probes.set(role, await probe(app, role));
  for (const [role, { status, ...answer }] of probes)
    checks.push(judgeAccess(role, { status, code: problemCode({ status, ...answer }) }, app.hasToken));
  const may = (role: CheckedRole): boolean => ![401, 403, 503].includes(probes.get(role)!.status);
  if (may("read") && may("admin")) {
    const all = await readStatus(app);
    checks.push(...(await stores(app)), ...judgeOperators(all, Date.now(), targetMs));
    if (options.wake) checks.push(...(await quarantines(app, all)));
    // Measured before --write and --evict, which would add their own cost to the app's.
    if (rateMs > 0) checks.push(await dollars(app, rateMs));
  } else {
    const undecided = [...probes.values()].some(({ status }) => status === 503);
    const why = undecided ? "the app can't check the token now" : "that needs the admin token";
    checks.push(check("note", "partitions", `not checked: ${why}`));
  }
  if (write !== null) checks.push(await commits(app, write, samples));
  if (evict !== null) checks.push(await coldOpen(app, ...evict));
  return checks;
}

/** @throws Trouble if nothing answers */
async function reach(app: AppClient): Promise<Check> {
  const ms: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const answer = await app.ask("/healthz");
    if (answer.tag !== "good") throw new CommandError(`the server at ${app.url} isn't Keyframe: ${saidBy(answer)}`);
    ms.push(answer.ms);
  }
  return judgeTimes("app", `${app.url} answers`, ms);
}

/**
 * A request that each role may make and that changes nothing: no events, and the name of an operator that can't exist.
 */
function probe(app: AppClient, role: CheckedRole): Promise<TimedAnswer> {
  switch (role) {
    case "ingest":
      return app.ask("/v1/events", postJson("[]"));
    case "read":
      return app.ask("/v1/operators");
    case "admin":
      return app.ask(`${operatorPath("-")}/partitions`);
  }
}

/** Judges the app's report about itself and its stores. */
async function stores(app: AppClient): Promise<Check[]> {
  const answer = await app.askAgain("/v1/doctor");
  if (problemCode(answer) === "no_route") return [check("note", "stores", "the app is older and can't measure them")];
  return judgeStores(fine(answer) as DoctorInfo);
}

async function quarantines(app: AppClient, all: readonly OperatorStatus[]): Promise<Check[]> {
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
          `${count(found)}${found === COUNTED ? " or more" : ""} events are quarantined: keyframe quarantine ${operator.name}`,
        ),
      );
  }
  return checks.length > 0 ? checks : [check("ok", "quarantine", "empty")];
}

interface Write {
  readonly operator: string;
  readonly event: Record<string, unknown>;
}

async function commits(app: AppClient, { operator, event }: Write, samples: number): Promise<Check> {
  const ms: number[] = [];
  for (let i = 0; i < samples; i++) {
    const id = `doctor-${randomUUID()}`;
    const answer = await app.ask(`${operatorPath(operator)}/ask`, postJson(JSON.stringify({ ...event, id })));
    // An event that its handler refuses is in the log, too.
    const refused = answer.tag === "problem" && answer.status === 409 && answer.body["duplicate"] === false;
    if (answer.tag !== "good" && !refused)
      return check("bad", "commit", `after ${i} events: ${answer.status} ${saidBy(answer)}`);
    ms.push(answer.ms);
  }
  return ms.length === 0 ? check("note", "commit", "no event was sent") : judgeCommits(operator, ms);
}

/** @throws Trouble, before anything is sent */
function writeOf(given: readonly string[]): Write {
  const [operator, text] = given;
  let event: unknown;
  try {
    event = given.length === 2 ? JSON.parse(text!) : null;
  } catch {
    event = null;
  }
  if (operator === undefined || !isObject(event) || typeof event["type"] !== "string")
    throw new CommandError("--write takes an operator and one event for it, a JSON object with a type");
  return { operator, event };
}

/** @throws Trouble, before anything is sent */
function evictOf(given: readonly string[]): readonly [operator: string, partition: string, key: string] {
  const [operator, partition, key] = given;
  if (given.length !== 3 || !/^\d{1,9}$/.test(partition!))
    throw new CommandError("--evict takes an operator, the number of a partition and a key that belongs to it");
  return [operator!, partition!, key!];
}
