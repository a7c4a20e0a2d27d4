/*
 * `npm run nexmark -- --query 3`: generates the events, runs the query on the app with `wrangler dev`, and prints the rows
 * as NDJSON on standard output. Progress and times are on standard error.
 *
 * 1. The rows come sorted, so two runs print the same text. With several queries each row has its query's number.
 * 2. With `--check` plain code computes the rows too. The exit status is 1 if they differ, with the first lines that do.
 * 3. Nothing is left behind, neither processes nor files.
 */
import { count, span } from "../../src/client/amounts.ts";
import { DemoScreen } from "../../src/local/screen.ts";
import { folds } from "./folds.ts";
import { NexmarkGenerator } from "./generator.ts";
import { type NexmarkOptions, parseOptions, USAGE } from "./options.ts";
import type { Query } from "./query.ts";
import { differences, linesOf } from "./result.ts";
import { NexmarkRun } from "./run.ts";

const DIFFERENCES_SHOWN = 10;
/** Exit statuses. */
const [OK, FAILED, MISUSED, STOPPED] = [0, 1, 2, 130];

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
// The reader of the output went away.
process.stdout.on("error", () => stop.abort());

async function main(args: string[]): Promise<number> {
  let options: NexmarkOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}\n`);
    return MISUSED;
  }
  const generator = new NexmarkGenerator(options.generator);
  const lines = generator.arrivals().map((number) => JSON.stringify(generator.event(number)));
  if (options.printEvents) {
    await print(lines);
    return OK;
  }
  const screen = new DemoScreen(process.stderr, lines.length);
  const run = new NexmarkRun(options, {
    acknowledged: (events) => screen.progress(events),
    killed: () => {
      screen.pause();
      screen.line("kill -9", "all processes of the runtime, with requests under way");
    },
    restarted: () => {
      screen.line("restart", "the app is up again on the same store");
      screen.resume();
    },
  });
  const stopped = new Promise<number>((resolve) => stop.signal.addEventListener("abort", () => resolve(STOPPED)));
  try {
    return await Promise.race([results(run, generator, lines, options, screen), stopped]);
  } catch (error) {
    screen.plain(messageOf(error));
    return FAILED;
  } finally {
    await run.end();
  }
}

async function results(
  run: NexmarkRun,
  generator: NexmarkGenerator,
  events: string[],
  options: NexmarkOptions,
  screen: DemoScreen,
): Promise<number> {
  const names = options.queries.map(({ number, title }) => `${number} (${title})`).join(", ");
  await timed(screen, "start", `the app with query ${names}`, () => run.start());
  await timed(screen, "send", `${count(events.length)} events`, () => run.send(events));
  let status = OK;
  for (const query of options.queries) {
    const what = `the rows of query ${query.number}`;
    const lines = linesOf(await timed(screen, "read", what, () => run.rows(query)));
    const many = options.queries.length > 1;
    await print(many ? lines.map((line) => `{"query":${query.number},${line.slice(1)}`) : lines);
    if (options.check && !equal(query, lines, generator, screen)) status = FAILED;
  }
  return status;
}

/** Compares with the rows by plain code, and shows the first differences. */
function equal(query: Query, lines: readonly string[], generator: NexmarkGenerator, screen: DemoScreen): boolean {
  const expected = linesOf(folds[query.number]!(generator.events()));
  const { surplus, missing } = differences(lines, expected, DIFFERENCES_SHOWN);
  const isEqual = surplus.length + missing.length === 0;
  const verdict = isEqual ? "all equal to those of plain code" : `plain code has ${count(expected.length)}, and others`;
  screen.line("check", `query ${query.number}: ${count(lines.length)} rows, ${verdict}`);
  for (const line of surplus) screen.plain(`surplus ${line}`);
  for (const line of missing) screen.plain(`missing ${line}`);
  return isEqual;
}

async function timed<T>(screen: DemoScreen, label: string, what: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const done = await work();
  screen.finishBar();
  screen.line(label, `${what}, ${span(performance.now() - startedAt)}`);
  return done;
}

/** Resolves when the lines have left the process. */
function print(lines: readonly string[]): Promise<void> {
  const text = lines.map((line) => `${line}\n`).join("");
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

process.exit(await main(process.argv.slice(2)));
