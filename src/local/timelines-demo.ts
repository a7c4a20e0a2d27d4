/*
 * `npm run demo -- timelines`: a release with a bug counts a part of the bundled flights wrong. A timeline from before the
 * release gets the same flights under fixed code, is compared with main, and becomes main. Then that is undone, and
 * done again.
 *
 * 1. The demo starts from an empty store and a copy of the app in a temporary directory, and removes both.
 * 2. After each step plain arithmetic says what every airport must show, with and without the bug (flights.ts).
 * 3. The exit status is 0 only if all counts agree. It needs nobody, and ends all its processes.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { count } from "../client/amounts.ts";
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
/** Shares of the flights that were in when the release went wrong, and when it was fixed. */
const RELEASED_AT = 0.5;
const FIXED_AT = 0.8;
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
    const { before, wrong, after } = this.#parts();
    const right = countByAirport(this.#flights);
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
    const bad = miscounted(before, wrong, after);
    await this.#agrees("main", bad, WRONG);

    await this.#fork("fix", SAVEPOINT);
    const { lines } = await this.#givenUp("fix");
    this.#expect("give up", lines.length, wrong.length + after.length, "flights that main would give up");
    await this.#sendLines(lines, "fix");
    await this.#agrees("fix", right, RIGHT);
    await this.#differs("main@now", "fix@now", differing(bad, right));
    await this.#promote("fix");
    await this.#agrees("main", right, RIGHT);
    await this.#agrees("main~1", bad, WRONG);

    await this.#fork("undo", "main~1@now");
    await this.#promote("undo");
    await this.#agrees("main", bad, WRONG);
    await this.#fork("redo", "main~1@now");
    await this.#promote("redo");
    await this.#agrees("main", right, RIGHT);
    return this.#agreed;
  }

  /** Ends all processes, and removes all files. */
  async end(): Promise<void> {
    // A runtime that is starting when Ctrl-C comes gives up by itself. Files that it writes later would stay.
    await (await this.#starting?.catch(() => null))?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #parts(): { readonly before: Flight[]; readonly wrong: Flight[]; readonly after: Flight[] } {
    const [released, fixed] = [RELEASED_AT, FIXED_AT].map((share) => Math.round(this.#flights.length * share));
    return {
      before: this.#flights.slice(0, released),
      wrong: this.#flights.slice(released, fixed),
      after: this.#flights.slice(fixed),
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
    await this.#sendLines(
      flights.map(({ line }) => line),
      timeline,
    );
  }

  async #sendLines(lines: readonly string[], timeline: string): Promise<void> {
    await sendAll({
      url: () => this.#runtime!.url,
      query: `?timeline=${timeline}`,
      chunks: splitInto([...lines], CHUNK),
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

  async #fork(name: string, from: string): Promise<void> {
    const { time } = (await this.#put(`timelines/${name}`, { from })) as { time: string };
    this.#screen.line("fork", `${name} starts from ${from}, ${time}`);
  }

  /** Returns the events that main would give up, as they were sent. */
  async #givenUp(name: string): Promise<{ readonly etag: string; readonly lines: string[] }> {
    const headers = { accept: "application/x-ndjson" };
    const response = await fetch(`${this.#url}/timelines/${name}/promotion`, { headers });
    if (!response.ok) throw new Error(`the preview of ${name} was answered ${response.status}`);
    const lines = (await response.text()).trimEnd().split("\n");
    const { complete } = JSON.parse(lines.pop()!) as { complete?: boolean };
    if (complete !== true) throw new Error(`the preview of ${name} broke off`);
    return { etag: response.headers.get("etag") ?? "", lines };
  }

  /** Gives up nothing else than the preview says. */
  async #promote(name: string): Promise<void> {
    const { etag } = await this.#givenUp(name);
    const promoted = (await this.#asked(`timelines/${name}/promotion`, {
      method: "POST",
      headers: { "if-match": etag },
    })) as { givesUp: { events: number }; takes: { events: number } };
    const { givesUp, takes } = promoted;
    this.#screen.line(
      "promote",
      `${name} is main: ${count(givesUp.events)} events given up, ${count(takes.events)} in their place`,
    );
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
