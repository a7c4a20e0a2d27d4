// A closed-loop load: so many connections, each sends its next request when the last one is answered. Every answer must
// say that all of its events were accepted, or the measurement fails: nothing is measured that did not work.

import { type Ids, Requests, seeded, type Shape } from "./body.ts";
import { Connection } from "./connection.ts";
import { percentile } from "./stats.ts";

export interface Plan {
  url: URL;
  batch: number;
  keys: number;
  connections: number;
  warmupSeconds: number;
  seconds: number;
  ids: Ids;
  freshKeys?: boolean;
  /** Called at the first and at the last moment of the timed part. */
  onEdge?: () => void;
}

export interface Outcome {
  eventsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  requests: number;
  timedEvents: number;
  /** Of the warm-up and the requests after the timed part too: what the counters counted. */
  allEvents: number;
}

export async function load(plan: Plan): Promise<Outcome> {
  const shape: Shape = {
    batch: plan.batch,
    keys: plan.keys,
    host: plan.url.host,
    path: "/v1/events",
    freshKeys: plan.freshKeys,
  };
  const senders: { connection: Connection; requests: Requests }[] = [];
  for (let n = 0; n < plan.connections; n += 1) {
    senders.push({
      connection: await Connection.open(plan.url),
      requests: new Requests(shape, plan.ids, seeded(n + 1)),
    });
  }
  try {
    return await run(plan, senders);
  } finally {
    for (const { connection } of senders) connection.close();
  }
}

async function run(plan: Plan, senders: { connection: Connection; requests: Requests }[]): Promise<Outcome> {
  const latencies: number[] = [];
  const phase = { timing: false, stopping: false };
  let sent = 0;
  const sending = senders.map(async ({ connection, requests }) => {
    while (!phase.stopping) {
      const request = requests.next();
      const start = performance.now();
      const answer = await connection.send(request);
      check(answer, plan.batch);
      sent += 1;
      if (phase.timing) latencies.push(performance.now() - start);
    }
  });
  const all = Promise.all(sending);
  await Promise.race([all, sleep(plan.warmupSeconds)]);
  plan.onEdge?.();
  const start = performance.now();
  phase.timing = true;
  await Promise.race([all, sleep(plan.seconds)]);
  phase.timing = false;
  const seconds = (performance.now() - start) / 1000;
  plan.onEdge?.();
  phase.stopping = true;
  await all;
  const sorted = Float64Array.from(latencies).sort();
  return {
    eventsPerSecond: (latencies.length * plan.batch) / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    requests: latencies.length,
    timedEvents: latencies.length * plan.batch,
    allEvents: sent * plan.batch,
  };
}

function check(answer: { status: number; body: string }, batch: number): void {
  if (answer.status === 200) {
    const { received, accepted } = JSON.parse(answer.body) as { received: number; accepted: number };
    if (received === batch && accepted === batch) return;
  }
  throw new Error(`a request of ${batch} events was answered ${answer.status} ${answer.body.slice(0, 400)}`);
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
