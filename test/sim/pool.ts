/**
 * Many seeds over all cores: threads take one after the other, results come in the order of seeds.
 *
 * POOL1. A thread's module state is that of its thread alone, and no seed leaves any behind, so which thread runs a seed
 *     doesn't matter.
 * POOL2. A seed that never ends is a broken rule too: its thread is given up and replaced.
 */
import { availableParallelism } from "node:os";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { runSeed, type Outcome } from "./run.ts";
import { noCounts } from "./trace.ts";

/** The largest worlds take two seconds. */
const ENDLESS_MS = 1_200_000;

interface Task {
  readonly seed: number;
  readonly steps: number | undefined;
}

export interface Batch {
  readonly from: number;
  readonly seeds: number;
  readonly steps: number | undefined;
  readonly threads?: number;
  /** Ends with the first seed that breaks a rule. */
  readonly first?: boolean;
}

/** Runs the seeds; `each` hears of every outcome, in order. */
export async function runSeeds(
  { from, seeds, steps, threads, first = false }: Batch,
  each: (outcome: Outcome) => void,
): Promise<void> {
  const end = from + seeds;
  const done = new Map<number, Outcome>();
  let next = from;
  let told = from;
  const state = { stop: false };
  const tell = (): void => {
    for (let outcome = done.get(told); outcome !== undefined && !state.stop; outcome = done.get(told)) {
      done.delete(told++);
      each(outcome);
      if (first && outcome.violations.length > 0) state.stop = true;
    }
  };
  const thread = async (): Promise<void> => {
    let worker = new Worker(import.meta.filename);
    try {
      while (next < end && !state.stop) {
        const seed = next++;
        const outcome = await answer(worker, { seed, steps });
        done.set(seed, outcome ?? endless(seed));
        tell();
        if (outcome !== null) continue;
        await worker.terminate();
        worker = new Worker(import.meta.filename);
      }
    } finally {
      await worker.terminate();
    }
  };
  const count = Math.min(threads ?? availableParallelism(), seeds);
  await Promise.all(Array.from({ length: count }, thread));
}

const endless = (seed: number): Outcome => ({
  seed,
  violations: [`no end after ${ENDLESS_MS} ms of real time: code that never waits, or a world that is too large`],
  counts: noCounts(),
  steps: 0,
  virtualMs: 0,
});

/** Returns null if the task never ends. A loop that never waits can't be seen from inside. */
function answer(worker: Worker, task: Task): Promise<Outcome | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), ENDLESS_MS);
    worker.removeAllListeners();
    worker.once("message", (outcome: Outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    });
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`a thread ended with ${code} at seed ${task.seed}`)));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(task);
  });
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  port.on("message", ({ seed, steps }: Task) => {
    void runSeed(seed, steps).then((outcome) => port.postMessage(outcome));
  });
}
