// A partition with very many pending timers, in this process: what it holds when it is open, what it takes to fire some
// of them, and beside it what a replay of as many events takes. Prints one line of JSON.

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { operator } from "../../../src/engine/operator/operator.ts";
import { DiskStore } from "../snapshots/disk-store.ts";
import { LocalPartition, type Sent } from "../snapshots/local-partition.ts";
import { heldBytes, Peak } from "./peak.ts";

const PENDING = Number(process.argv[2] ?? "1000000");
const DUE = 10_000;
const FAR_MS = 30 * 86_400_000;
/** Pending timers are saved this often. */
const SAVED_EVERY = 50_000;
const ROUNDS = 5;
/** Long enough to set them all, and to save them. */
const SOON_MS = 15_000;

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) },
};

const reminders = operator("reminders", {
  version: 1,
  events: { remind: anything, note: anything },
  initial: () => ({ n: 0 }),
  on: {
    remind(state, event, ctx) {
      state.n += 1;
      ctx.timers.set("due", { at: event.data as number });
    },
    note: (state) => void (state.n += 1),
  },
  timers: { due: (state) => void (state.n += 1) },
});

const folder = path.join(tmpdir(), `keyframe-timers-${randomUUID()}`);
try {
  const before = heldBytes();
  const partition = new LocalPartition(reminders, new DiskStore(folder));
  const peak = new Peak(5_000);
  for (let from = 0; from < PENDING; from += SAVED_EVERY) {
    await partition.sendAll(set(from, Math.min(PENDING, from + SAVED_EVERY), Date.now() + FAR_MS));
    await partition.snapshotBytes();
  }
  await partition.snapshotBytes();
  peak.stop();
  const rounds: { fireMs: number; replayMs: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const dueAt = Date.now() + SOON_MS;
    await partition.sendAll(set(0, DUE, dueAt, `round ${round}`));
    await partition.snapshotBytes();
    await partition.crash();
    await partition.engine.facts();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueAt - Date.now())));
    const { appliedSeq } = await partition.engine.facts();
    const begun = performance.now();
    await partition.engine.wake();
    const fireMs = performance.now() - begun;
    const after = (await partition.engine.facts()).appliedSeq;
    if (after !== appliedSeq + DUE) throw new Error(`${after - appliedSeq} timers fired, not ${DUE}`);
    await partition.snapshotBytes();
    await partition.sendAll(notes(round));
    await partition.crash();
    const { lastRecovery } = await partition.engine.facts();
    rounds.push({ fireMs, replayMs: lastRecovery.phases!.replayMs });
  }
  await partition.crash();
  await partition.engine.facts();
  const heldBytesOpen = heldBytes() - before;
  console.log(JSON.stringify({ pending: PENDING, due: DUE, peakBytes: peak.bytes - before, heldBytesOpen, rounds }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function* set(from: number, to: number, dueAt: number, name = "first"): Generator<Sent> {
  for (let i = from; i < to; i++) yield { id: `${name} ${i}`, type: "remind", key: `key-${i}`, data: dueAt };
}

function* notes(round: number): Generator<Sent> {
  for (let i = 0; i < DUE; i++) yield { id: `note ${round} ${i}`, type: "note", key: `key-${i}`, data: null };
}
