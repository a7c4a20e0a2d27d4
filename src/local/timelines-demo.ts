/*
 * `npm run demo -- timelines`: a release with a bug counts a part of the bundled flights wrong. The fixed release replays
 * all flights from before the bug on a timeline, which is compared with main, and becomes main. Then that is undone, and
 * done again. Flights come in meanwhile.
 *
 * 1. The demo starts from an empty store and a copy of the app in a temporary directory, and removes both.
 * 2. After each step plain arithmetic says what every airport must show, with and without the bug (flights.ts).
 * 3. The demo runs the command line as a person does, and shows what it prints.
 * 4. The exit status is 0 only if all counts agree. It needs nobody, and ends all its processes.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { count } from "../client/amounts.ts";
import { type Ran, runCommandLine } from "./cli.ts";
import { exchange, getUntilAnswered, readAllStates, sendAll, splitInto } from "./client.ts";
import {
  allEqual,
  type AirportCount,
  canonical,
  compareCounts,
  countByAirport,
  type Flight,
  readFlights,
} from "./flights.ts";
import { Releases } from "./release.ts";
import { type Runtime, startRuntime } from "./runtime.ts";
import { DemoScreen } from "./screen.ts";

const OPERATOR = "airport-delays";
const CHUNK = 250;
const LANES = 4;
const SAVEPOINT = "before-release";
/** Shares of the flights that were in when the release went wrong, when it was fixed, and when the replay was done. */
const RELEASED_AT = 0.5;
const FIXED_AT = 0.8;
const REPLAYED_AT = 0.9;
/** Exit statuses of the command line. Without `--yes` and without a terminal, nothing is promoted. */
const [YES, NO] = [0, 1];
/** A flight that left early takes minutes away. The release lost the sign. */
const BUG = { find: "state.delaySum += delay;", replace: "state.delaySum += Math.abs(delay);" };

/** How the independent count counts. */
const RIGHT = "by hand";
const WRONG = "by hand with the bug";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());

type Counts = Map<string, AirportCount>;

class TimelinesDemo {
  readonly #folder = mkdtempSync(join(tmpdir(), "keyframe-demo-"));
  readonly #releases: Releases;
  readonly #flights = readFlights();
  readonly #screen = new DemoScreen(process.stdout, 0);
  #runtime: Runtime | null = null;
  #starting: Promise<Runtime> | null = null;
  #agreed = true;

  constructor() {
    const app = join(this.#folder, "app");
    mkdirSync(app);
    this.#releases = new Releases(app);
  }

  /** Returns false if a count disagrees. */
  async run(): Promise<boolean> {
    const { before, wrong, after, last } = this.#parts();
    const right = countByAirport(this.#flights);
    const bad = miscounted(before, wrong, [...after, ...last]);
    this.#screen.plain(`\nKeyframe: a bug in ${count(this.#flights.length)} flights, and the way back.\n`);

    await this.#deploy(1, false);
    await this.#send(before, "main");
    await this.#agrees("main", countByAirport(before), RIGHT);
    await this.#snapshot();
    await this.#put(`savepoints/${SAVEPOINT}`, {});
    this.#screen.line("save", `${SAVEPOINT}, in case the next release is wrong`);

    await this.#deploy(2, true);
    await this.#send(wrong, "main");
    await this.#agrees("main", miscounted(before, wrong, []), WRONG);
    await this.#snapshot();
    await this.#deploy(3, false);
    await this.#send(after, "main");
    const [badNow, rightNow] = [miscounted(before, wrong, after), countByAirport([...before, ...wrong, ...after])];
    await this.#agrees("main", badNow, WRONG);

    const { said } = await this.#type(NO, "reprocess", "--from", SAVEPOINT);
    const fix = /^(reprocess-\S+) starts at stamp /m.exec(said.join("\n"))?.[1];
    if (fix === undefined) throw new Error(`reprocess named no timeline: ${said.join("; ")}`);
    await this.#agrees(fix, rightNow, RIGHT);
    await this.#differs("main@now", `${fix}@now`, differing(badNow, rightNow));
    await this.#send(last, "main");
    await this.#type(YES, "promote", fix, "--yes");
    await this.#agrees("main", right, RIGHT);
    await this.#agrees("main~1", bad, WRONG);

    await this.#type(YES, "rollback", "--undo", "--yes");
    await this.#agrees("main", bad, WRONG);
    await this.#type(YES, "rollback", "--undo", "--yes");
    await this.#agrees("main", right, RIGHT);
    return this.#agreed;
  }

  /** Ends all processes, and removes all files. */
  async end(): Promise<void> {
    // A runtime that is starting when Ctrl-C comes gives up by itself. Files that it writes later would stay.
    await (await this.#starting?.catch(() => null))?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #parts(): Record<"before" | "wrong" | "after" | "last", Flight[]> {
    const at = (share: number): number => Math.round(this.#flights.length * share);
    return {
      before: this.#flights.slice(0, at(RELEASED_AT)),
      wrong: this.#flights.slice(at(RELEASED_AT), at(FIXED_AT)),
      after: this.#flights.slice(at(FIXED_AT), at(REPLAYED_AT)),
      last: this.#flights.slice(at(REPLAYED_AT)),
    };
  }

  get #url(): string {
    return `${this.#runtime!.url}/v1`;
  }

  async #deploy(version: number, hasBug: boolean): Promise<void> {
    await this.#runtime?.stop();
    this.#releases.write(version, hasBug ? BUG : null);
    const stateDir = join(this.#folder, "state");
    const { configPath } = this.#releases;
    const port = this.#runtime?.port ?? 0;
    this.#starting = startRuntime({ port, stateDir, configPath, vars: {}, signal: stop.signal });
    this.#runtime = await this.#starting;
    const what = hasBug ? ` with a bug: ${BUG.replace}` : version === 1 ? "" : ", fixed";
    this.#screen.line("deploy", `version ${version} of ${OPERATOR}${what}`);
  }

  async #send(flights: readonly Flight[], timeline: string): Promise<void> {
    const lines = flights.map(({ line }) => line);
    await sendAll({
      url: () => this.#runtime!.url,
      query: `?timeline=${timeline}`,
      chunks: splitInto(lines, CHUNK),
      lanes: LANES,
      onAnswer: (answer, chunk) => {
        if (answer.accepted + answer.duplicates !== chunk.length) throw new Error(JSON.stringify(answer));
      },
      beforeRetry: async () => undefined,
    });
    this.#screen.line("send", `${count(lines.length)} flights to ${timeline}`);
  }

  /** Code replays what no snapshot covers. So each release keeps what it made, whatever code comes next. */
  async #snapshot(): Promise<void> {
    const partitions = (await getUntilAnswered(`${this.#url}/operators/${OPERATOR}/partitions`)) as {
      partition: number;
    }[];
    for (const { partition } of partitions)
      await this.#asked(`operators/${OPERATOR}/partitions/${partition}/snapshot`, { method: "POST" });
  }

  async #put(path: string, body: unknown): Promise<unknown> {
    return this.#asked(path, { method: "PUT", body: JSON.stringify(body) });
  }

  /** Runs a command as a person types it, and shows what it prints. */
  async #type(status: number, ...args: string[]): Promise<Ran> {
    this.#screen.line("$", `keyframe ${args.join(" ")}`);
    const ran = await runCommandLine(args, this.#runtime!.url, stop.signal);
    for (const line of [...ran.printed, ...ran.said]) this.#screen.line("", line);
    if (ran.status !== status) throw new Error(`keyframe ${args[0]} ended with status ${ran.status}, not ${status}`);
    return ran;
  }

  async #differs(from: string, to: string, expected: number): Promise<void> {
    const query = new URLSearchParams({ from, to, operator: OPERATOR });
    const answer = await exchange(`${this.#url}/diff?${query.toString()}`, {});
    const lines = (answer?.text ?? "").trimEnd().split("\n");
    const { complete, keys } = JSON.parse(lines.at(-1) ?? "{}") as { complete?: boolean; keys?: number };
    if (complete !== true) throw new Error(`the diff was answered ${answer?.status} ${lines.at(-1)}`);
    this.#expect("diff", keys ?? -1, expected, `airports differ from ${from} to ${to}`);
  }

  async #agrees(timeline: string, expected: Counts, how: string): Promise<void> {
    const result = compareCounts(expected, await readAllStates(this.#runtime!.url, OPERATOR, timeline));
    const equal = allEqual(result);
    this.#screen.line("count", `${timeline}: ${result.equal} of ${result.airports} airports as counted ${how}`);
    for (const difference of result.differences) this.#screen.plain(difference);
    this.#agreed &&= equal;
  }

  #expect(label: string, found: number, expected: number, what: string): void {
    const isRight = found === expected;
    this.#screen.line(label, `${count(found)} ${what}${isRight ? ", as counted by hand" : `; by hand ${expected}`}`);
    this.#agreed &&= isRight;
  }

  async #asked(path: string, init: RequestInit): Promise<unknown> {
    const headers = { "content-type": "application/json", ...(init.headers as Record<string, string> | undefined) };
    const answer = await exchange(`${this.#url}/${path}`, { ...init, headers });
    if (answer === null || !answer.ok) throw new Error(`${path} was answered ${answer?.status} ${answer?.text}`);
    return JSON.parse(answer.text) as unknown;
  }
}

/** The counts if the sum of the flights in the middle lost its signs. */
function miscounted(before: Flight[], wrong: Flight[], after: Flight[]): Counts {
  const counts = countByAirport([...before, ...wrong, ...after]);
  for (const { origin, delay } of wrong) counts.get(origin)!.delaySum += Math.abs(delay) - delay;
  return counts;
}

const differing = (one: Counts, other: Counts): number =>
  [...one].filter(([airport, counted]) => canonical(counted) !== canonical(other.get(airport))).length;

async function main(): Promise<number> {
  const demo = new TimelinesDemo();
  try {
    const run = demo.run();
    run.catch(() => undefined); // After Ctrl-C it fails one way or another.
    const stopped = new Promise<null>((resolve) => stop.signal.addEventListener("abort", () => resolve(null)));
    const agreed = await Promise.race([run, stopped]);
    if (agreed === null) return 130;
    process.stdout.write(agreed ? "\nAll counts agree.\n" : "\nA count disagrees.\n");
    return agreed ? 0 : 1;
  } catch (error) {
    process.stdout.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await demo.end();
  }
}

process.exit(await main());
