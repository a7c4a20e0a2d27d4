// `keyframe send` of real flights: is it the app that limits it, and is every flight counted once however often it is
// killed?
//
// The app and the sender are processes of their own, as a user starts them. Rates are the sender's own seconds, from
// the first byte of the file to the last answer; its processor time is that of its whole life, the start of Node and
// the loading of modules included.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { readAllStates } from "../../src/local/client.ts";
import { allEqual, compareCounts, countByAirport, type Flight, readFlights } from "../../src/local/flights.ts";
import { sendSignal } from "../../src/local/processes.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import { Command, until } from "../e2e/command.ts";
import { seeded } from "./body.ts";
import { atEnd } from "./ending.ts";
import type { Options } from "./options.ts";
import { cpuSecondsOf } from "./process.ts";
import { median } from "./stats.ts";
import { short, whole } from "./table.ts";

/** The bundled flights are one batch; several are needed to be killed between them. */
const TIMES = 10;
/** About what one takes. */
const BATCH_MS = 300;
/** Longer than any of the parts takes; one that hangs ends the run. */
const PATIENCE_MS = 600_000;

export async function send({ flights: given, rounds, kills }: Options): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "keyframe-bench-"));
  const cleanUp = atEnd(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
  try {
    const flights = given === undefined ? timesOver(readFlights(), TIMES) : readFlights(Infinity, given);
    const file = path.join(folder, "flights.ndjson.gz");
    writeFileSync(file, gzipSync(flights.map(({ line }) => `${line}\n`).join("")));
    const plan: Plan = { flights, file, folder };
    console.log(`${whole(flights.length)} flights`);
    await rates(plan, rounds);
    await killed(plan, kills);
  } finally {
    await cleanUp();
  }
}

interface Plan {
  flights: Flight[];
  file: string;
  folder: string;
}

/** Each time with other ids. */
function timesOver(flights: Flight[], times: number): Flight[] {
  return Array.from({ length: times }, (_, n) =>
    flights.map((flight) => ({ ...flight, line: flight.line.replace('{"id":"', `{"id":"${n}-`) })),
  ).flat();
}

/** Into nothing, in one request, and as users send: in turns, so that what else the machine does falls on all three. */
async function rates(plan: Plan, rounds: number): Promise<void> {
  const rate = { sink: [] as number[], raw: [] as number[], app: [] as number[], busy: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    rate.sink.push((await intoSink(plan)).eventsPerSecond);
    rate.raw.push(await withApp(plan, (app) => inOneRequest(plan, app.url)));
    const sent = await withApp(plan, (app) => sendFile(plan, app.url));
    rate.app.push(sent.eventsPerSecond);
    rate.busy.push(sent.cpuShare);
  }
  const row = (what: string, values: number[]): string =>
    `${what.padEnd(44)}${whole(median(values)).padStart(10)} a second (${values.map(whole).join(", ")})`;
  console.log(row("keyframe send, to a server that only answers", rate.sink));
  console.log(row("one request of all lines, to the app", rate.raw));
  console.log(row("keyframe send, to the app", rate.app));
  console.log(`keyframe send by one request: ${short(median(rate.app) / median(rate.raw))}`);
  console.log(`what it could send by what the app takes: ${short(median(rate.sink) / median(rate.app))}`);
  console.log(`its processor time by the time it took: ${short(median(rate.busy))}`);
}

interface Sent {
  eventsPerSecond: number;
  cpuShare: number;
}

async function intoSink(plan: Plan): Promise<Sent> {
  const server = createServer((incoming, response) => {
    let lines = 0;
    incoming.on("data", (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1;
    });
    incoming.on("end", () => {
      const none = { duplicates: 0, refused: 0, rejected: 0, quarantined: 0, unrouted: 0, errors: [] };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ received: lines, accepted: lines, through: lines, ...none }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await sendFile(plan, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The same bytes without a client: what the app takes when nobody asks for an answer on the way. */
async function inOneRequest({ flights }: Plan, url: string): Promise<number> {
  const body = Buffer.from(flights.map(({ line }) => `${line}\n`).join(""));
  const start = performance.now();
  const headers = { "content-type": "application/x-ndjson" };
  const response = await fetch(`${url}/v1/events`, { method: "POST", headers, body });
  const text = await response.text();
  const seconds = (performance.now() - start) / 1_000;
  const accepted = response.ok ? (JSON.parse(text) as { accepted: number }).accepted : 0;
  if (accepted !== flights.length) throw new Error(`one request was answered ${response.status} ${text.slice(0, 400)}`);
  return flights.length / seconds;
}

async function sendFile(plan: Plan, url: string): Promise<Sent> {
  const command = sending(plan, url);
  let cpuSeconds = Number.NaN;
  const watching = setInterval(() => (cpuSeconds = cpuSecondsOf(command.pid) ?? cpuSeconds), 20);
  const summary = await finished(command).finally(() => clearInterval(watching));
  if (summary.accepted !== plan.flights.length) throw new Error(`it sent ${command.stdout}`);
  return { eventsPerSecond: plan.flights.length / summary.seconds, cpuShare: cpuSeconds / summary.seconds };
}

/**
 * Kills the sender at places that a seed draws, and the app once, and compares the state of every airport with a plain
 * count.
 */
async function killed(plan: Plan, kills: number): Promise<void> {
  const stateDir = path.join(plan.folder, "killed");
  let app = await started(stateDir, 0);
  const random = seeded(kills);
  try {
    const places = Array.from({ length: kills }, () => Math.floor(random() * 0.8 * plan.flights.length));
    for (const place of places.sort((a, b) => a - b)) {
      const command = sending(plan, app.url);
      await goneOn(plan, command, place);
      // Somewhere in the batch that follows, not always at its beginning.
      await sleep(random() * BATCH_MS);
      sendSignal(command.pid, "SIGKILL");
      await command.exited;
    }
    const last = sending(plan, app.url);
    await goneOn(plan, last, decided(plan) + 1);
    const processes = await app.kill();
    const at = decided(plan);
    app = await started(stateDir, app.port);
    const summary = await finished(last);
    console.log(`sender killed ${kills} times, the app (${processes} processes) once, at ${whole(at)} decided:`);
    console.log(`  accepted ${whole(summary.accepted)}, duplicates ${whole(summary.duplicates)}`);
    const found = compareCounts(countByAirport(plan.flights), await readAllStates(app.url, "airport-delays"));
    console.log(`  ${found.equal} of ${found.airports} airports equal, ${found.lost} lost, ${found.doubled} doubled`);
    if (!allEqual(found)) throw new Error(found.differences.join("\n"));
  } finally {
    await app.stop();
  }
}

interface Summary {
  accepted: number;
  duplicates: number;
  seconds: number;
}

function sending({ file }: Plan, url: string): Command {
  const command = new Command(projectNode(), ["src/cli/main.ts", "send", file, "--url", url, "--json"], {});
  const end = atEnd(() => Promise.resolve(command.killGroup()));
  void command.exited.then(end);
  return command;
}

/** Until so many events are decided. */
async function goneOn(plan: Plan, command: Command, events: number): Promise<void> {
  let status: number | null | undefined;
  void command.exited.then((ended) => (status = ended));
  await until(() => {
    if (status !== undefined) throw new Error(`it ended with ${status} before ${events} events: ${command.stderr}`);
    return decided(plan) >= events;
  }, PATIENCE_MS);
}

async function finished(command: Command): Promise<Summary> {
  const status = await command.exited;
  if (status !== 0) throw new Error(`keyframe send ended with ${status}: ${command.stderr}`);
  return JSON.parse(command.stdout) as Summary;
}

/** Events that the sender's own progress file says are decided. */
function decided({ file }: Plan): number {
  const progress = `${file}.keyframe-progress`;
  if (!existsSync(progress)) return 0;
  return (JSON.parse(readFileSync(progress, "utf8")) as { position: { events: number } }).position.events;
}

async function withApp<T>({ folder }: Plan, use: (app: Runtime) => Promise<T>): Promise<T> {
  const stateDir = path.join(folder, "state");
  const app = await started(stateDir, 0);
  try {
    return await use(app);
  } finally {
    await app.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function started(stateDir: string, port: number): Promise<Runtime> {
  const app = await startRuntime({ port, stateDir, vars: {} });
  const end = atEnd(() => app.stop());
  void app.exited.then(end);
  return app;
}
