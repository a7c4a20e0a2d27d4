/*
 * `npm run demo`: streams the bundled flights in, kills the whole runtime with SIGKILL on the way, and shows that plain
 * arithmetic agrees with the state afterwards.
 *
 * 1. The demo starts from an empty store in a temporary directory, and removes it.
 * 2. The kill comes while requests are under way, some thousand events after the last snapshot.
 * 3. The exit status is 0 only if every airport agrees in every member.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { splitInto, getUntilAnswered, postEmpty, readAllStates, sendAll } from "./client.ts";
import { allEqual, compareCounts, type CountComparison, countByAirport, readFlights } from "./flights.ts";
import { portIsFree, type Runtime, startRuntime } from "./runtime.ts";
import { bytes, count, span } from "../client/amounts.ts";
import { DemoScreen } from "./screen.ts";

const OPERATOR = "airport-delays";
const FAVOURITE_PORT = 8787;
const CHUNK = 250;
const LANES = 4;
/** Shares of the stream: the snapshot is taken at the first, the kill comes at the second. */
const SNAPSHOT_AT = 0.4;
const KILL_AT = 0.65;
/** This share of the stream is sent a second time at the end. */
const RETRIED = 0.25;
const SHOWN_AIRPORT = "ATL";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());

const stateDir = mkdtempSync(join(tmpdir(), "keyframe-demo-"));
const flights = readFlights();
const lines = flights.map((flight) => flight.line);
const screen = new DemoScreen(process.stdout, lines.length);
let runtime: Runtime | null = null;
let starting: Promise<Runtime> | null = null;
process.exit(await main());

async function main(): Promise<number> {
  try {
    const demo = handled(run());
    const stopped = new Promise<null>((resolve) => stop.signal.addEventListener("abort", () => resolve(null)));
    const agreed = await Promise.race([demo, stopped]);
    if (agreed === null) return 130;
    if (!process.argv.includes("--once")) await stayUp();
    return agreed ? 0 : 1;
  } catch (error) {
    screen.plain(`\n${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    // A runtime that is starting when Ctrl-C comes gives up by itself. Wait for it: files that it writes later would
    // stay.
    const last = await starting?.catch(() => null);
    await last?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function run(): Promise<boolean> {
  screen.plain(`\nKeyframe: ${count(lines.length)} flights in, kill -9 on the way, and a count at the end.\n`);
  await start();
  const firstAnswerMs = await streamWithCrash();
  screen.finishBar();
  await sendAgain();
  const result = compareCounts(countByAirport(flights), await readAllStates(address(), OPERATOR));
  screen.plain(`\n${verdict(result, firstAnswerMs)}`);
  return allEqual(result);
}

async function start(): Promise<void> {
  runtime = await launch(await demoPort());
  screen.line("start", `an empty store, the app on ${runtime.url} after ${span(runtime.startMs)}`);
}

async function launch(port: number): Promise<Runtime> {
  // No variables: a developer's tokens in .dev.vars would close the routes that the demo uses.
  starting = handled(startRuntime({ port, stateDir, vars: {}, signal: stop.signal }));
  return starting;
}

/** Resolves with the time from ready to the first answer after the crash. */
async function streamWithCrash(): Promise<number> {
  const chunks = splitInto(lines, CHUNK);
  let acknowledged = 0;
  const midway: { snapshot?: Promise<void>; crash?: Promise<number> } = {};
  await sendAll({
    url: address,
    chunks,
    lanes: LANES,
    onAnswer: async (answer, chunk) => {
      if (answer.accepted + answer.duplicates !== chunk.length) throw new Error(JSON.stringify(answer));
      acknowledged += chunk.length;
      screen.progress(acknowledged);
      const share = acknowledged / lines.length;
      if (share >= SNAPSHOT_AT) midway.snapshot ??= handled(takeSnapshot());
      // The other lanes have requests under way at this moment.
      if (share >= KILL_AT) await (midway.crash ??= crashAndRestart(acknowledged));
    },
    beforeRetry: async () => {
      await midway.crash;
    },
  });
  await midway.snapshot;
  if (midway.crash === undefined) throw new Error("the stream ended before the kill");
  return midway.crash;
}

async function takeSnapshot(): Promise<void> {
  const startedAt = performance.now();
  const base = `${address()}/v1/operators/${OPERATOR}/partitions`;
  const partitions = (await getUntilAnswered(base)) as PartitionStatus[];
  let written = 0;
  for (const { partition } of partitions) {
    await postEmpty(`${base}/${partition}/snapshot`);
    const { lastSnapshot } = (await getUntilAnswered(`${base}/${partition}?live=true`)) as PartitionStatus;
    written += lastSnapshot?.bytes ?? 0;
  }
  screen.line("snapshot", `taken while the stream runs: ${bytes(written)} in ${span(performance.now() - startedAt)}`);
}

async function crashAndRestart(acknowledged: number): Promise<number> {
  if (runtime === null) throw new Error("the runtime is not up");
  screen.pause();
  const { port } = runtime;
  const killed = await runtime.kill();
  screen.line("kill -9", `${killed} processes, with ${count(acknowledged)} events acknowledged and more on the way`);
  runtime = await launch(port);
  screen.line("restart", `the app is up again after ${span(runtime.startMs)}`);

  const readyAt = performance.now();
  const state = (await getUntilAnswered(stateUrl(SHOWN_AIRPORT))) as { value: { flights: number }; seq: number };
  const firstAnswerMs = performance.now() - readyAt;
  const found = `${SHOWN_AIRPORT} has ${count(state.value.flights)} flights`;
  screen.line("recover", `first answer ${span(firstAnswerMs)} later: ${found}`);
  await showRecovery();
  screen.resume();
  return firstAnswerMs;
}

async function showRecovery(): Promise<void> {
  const url = `${address()}/v1/operators/${OPERATOR}/partitions?live=true`;
  for (const status of (await getUntilAnswered(url)) as PartitionStatus[]) {
    const { partition, appliedSeq, snapshotSeq, lastRecovery } = status;
    if (!lastRecovery) continue;
    const from = lastRecovery.manifest === null ? "no snapshot" : `a snapshot of the first ${count(snapshotSeq)}`;
    const replayed = `${count(lastRecovery.replayedEvents)} replayed from the log`;
    const ms = span(lastRecovery.ms);
    screen.line("from", `partition ${partition}: ${from} and ${replayed} make ${count(appliedSeq)} events, in ${ms}`);
  }
}

/** Sends events again, like a sender that never got its answers. */
async function sendAgain(): Promise<void> {
  const again = lines.slice(0, Math.round(lines.length * RETRIED));
  let duplicates = 0;
  let accepted = 0;
  await sendAll({
    url: address,
    chunks: splitInto(again, CHUNK),
    lanes: LANES,
    onAnswer: (answer) => {
      duplicates += answer.duplicates;
      accepted += answer.accepted;
    },
    beforeRetry: async () => undefined,
  });
  const outcome = `${count(duplicates)} recognised, ${count(accepted)} taken`;
  screen.line("retry", `${count(again.length)} events sent a second time: ${outcome}`);
}

function verdict(result: CountComparison, firstAnswerMs: number): string {
  const counts = `${result.equal} of ${result.airports} airports equal, ${result.lost} lost, ${result.doubled} doubled`;
  const summary = `${counts}, first answer after ${span(firstAnswerMs)}`;
  return [...result.differences, summary].join("\n");
}

async function stayUp(): Promise<void> {
  screen.plain(`\nThe app stays up on ${address()}. Ctrl-C ends it.\n\n  curl '${stateUrl(SHOWN_AIRPORT)}'\n`);
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  await Promise.race([stopped, runtime?.exited]);
}

/** For promises that are awaited later, or not at all after Ctrl-C: a failure is thrown only at the await. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function demoPort(): Promise<number> {
  const wanted = process.env["PORT"];
  if (wanted !== undefined && wanted !== "") return Number(wanted);
  return (await portIsFree(FAVOURITE_PORT)) ? FAVOURITE_PORT : 0;
}

function address(): string {
  if (runtime === null) throw new Error("the runtime is not up");
  return runtime.url;
}

function stateUrl(key: string): string {
  return `${address()}/v1/operators/${OPERATOR}/state?key=${key}`;
}

/** The members of a partition's status that are shown. */
interface PartitionStatus {
  partition: number;
  appliedSeq: number;
  snapshotSeq: number;
  lastSnapshot: { bytes: number } | null;
  lastRecovery: { ms: number; manifest: number | null; replayedEvents: number } | null;
}
