/** The contents of the golden files of a version, as plain JSON: the same for the script that wrote them and the test. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { brotli } from "../../src/adapters/brotli.ts";
import { readArchive, readManifestObject } from "../../src/engine/snapshot/manifest-object.ts";
import type { ReadSegment } from "../../src/engine/log/archive.ts";
import { StateMachine } from "../../src/engine/state/state-machine.ts";
import { seq, type PartitionId } from "../../src/engine/base/ids.ts";
import type { Operator } from "../../src/engine/operator/operator.ts";
import { readSegment } from "../../src/engine/log/segment.ts";
import type { Segment } from "../../src/engine/base/records.ts";
import { capture } from "../engine/fakes/capture.ts";
import { sum } from "../engine/fakes/sum.ts";
import { readSnapshot } from "../engine/snapshot/whole-file.ts";

export const GOLDEN = path.join(import.meta.dirname, "../data/golden");

/** The files of a version: a full snapshot, a delta on it, the delta's manifest with its archive, and a row of the log. */
export const FILES = ["full.kfs", "delta.kfs", "manifest.kfm", "segment.json"] as const;
export type Files = Readonly<Record<(typeof FILES)[number], Uint8Array>>;

export const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };
/** Seed of the partition, which its prints were made with. */
export const SEED = 42;

/** The tests' operator, which also forgets a key, and sets a timer. */
export const golden: Operator = sum({
  on: {
    add(state, event, ctx) {
      // With a stack that is the same wherever the files are made.
      if (event.data === "boom")
        throw Object.assign(new Error("boom"), { stack: "Error: boom\n    at add (sum.ts:1:1)" });
      if (event.data === "gone") return ctx.remove();
      if (event.data === 0) return ctx.refuse("zero", { total: state.total });
      if (event.data === 6) ctx.timers.set("remind", { after: "1h" });
      state.total += event.data as number;
      state.times += 1;
      return { total: state.total };
    },
  },
  timers: { remind: () => undefined },
});

export function readFiles(version: string): Files {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(GOLDEN, version, name)));
  return Object.fromEntries(FILES.map((name) => [name, read(name)])) as unknown as Files;
}

/** Everything that the reader makes of them. */
export function decode(files: Files): unknown {
  const machine = new StateMachine(golden, SEED);
  readSnapshot(files["full.kfs"], machine, ID, brotli);
  const full = stateOf(machine);
  readSnapshot(files["delta.kfs"], machine, ID, brotli);
  const row = JSON.parse(new TextDecoder().decode(files["segment.json"])) as Segment;
  return plain({
    full,
    delta: stateOf(machine),
    manifest: readManifestObject(files["manifest.kfm"], brotli).manifest,
    archive: [...readArchive(files["manifest.kfm"], brotli, seq(0))].map(segmentOf),
    segment: segmentOf({ row, events: readSegment(row, brotli) }),
  });
}

function stateOf(machine: StateMachine): unknown {
  const { dedup, totals, over: _, under: __, ...captured } = capture(machine);
  return {
    ...captured,
    keys: totals.keys,
    dedup: { ...dedup, prints: [...dedup.prints], answers: [...dedup.answers] },
  };
}

const segmentOf = ({ row, events }: ReadSegment): unknown => ({
  row,
  events: { ...events, outcomes: [...events.outcomes] },
});

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;
