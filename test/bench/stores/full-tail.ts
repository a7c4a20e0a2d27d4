// A tail of as much log as a partition takes (TAIL_BYTES), as an outage of R2 leaves it: opened, and taken through a
// snapshot, in a process whose heap is an isolate's. The log is the D1 adapter on a SQLite file and the objects are
// files, so nothing of either is in memory.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { brotli } from "../../../src/adapters/brotli.ts";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { seq, stamp, type Epoch } from "../../../src/engine/base/ids.ts";
import { ROW_BYTES, TAIL_BYTES } from "../../../src/engine/base/limits.ts";
import { operator } from "../../../src/engine/operator/operator.ts";
import type { ObjectStore } from "../../../src/engine/base/ports.ts";
import { sealPayload, SEGMENT_FORMAT, SegmentWriter } from "../../../src/engine/log/segment.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { DiskStore } from "../snapshots/disk-store.ts";
import { LocalPartition } from "../snapshots/local-partition.ts";
import { heldBytes, Peak } from "../held/peak.ts";
import { LocalSqlite } from "./local-sqlite.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

const MIGRATION = path.join(import.meta.dirname, "../../../src/adapters/migrations/0001_log.sql");
const KEYS = 10;
const PATIENCE = 60;
/** The figures that test/engine/checkpoint/full-tail.test.ts asserts. */
const BOUND_BYTES = 64_000_000;
/** As little compressible as events get: hexadecimal digits at random. */
const BLOB_CHARS = 700;

const counting = operator("full", {
  version: 1,
  events: { add: z.object({ blob: z.string() }) },
  initial: () => ({ n: 0 }),
  on: {
    add(state) {
      state.n += 1;
    },
  },
});

/** One row of a group, of about ROW_BYTES. */
function row(first: number, by: Epoch): Segment {
  const writer = new SegmentWriter(seq(first));
  while (writer.bytes < ROW_BYTES - 2_000) {
    const n = first + writer.count;
    const body = JSON.stringify({
      source: "bench",
      type: "add",
      id: `e${n}`,
      key: `k${n % KEYS}`,
      data: { blob: randomBytes(BLOB_CHARS / 2).toString("hex") },
    });
    writer.event(`k${n % KEYS}`, 1_700_000_000_000 + n);
    writer.body(body, body.length + 1);
  }
  return {
    format: SEGMENT_FORMAT,
    seq: writer.first,
    last: writer.last,
    stamp: stamp((1_700_000_000_000 + first) * 1_024),
    epoch: by,
    group: `g${first}`,
    operatorVersion: 1,
    code: "bench",
    stats: "{}",
    ...sealPayload(writer.payload(), writer.bytes, brotli),
  };
}

async function fill(log: D1Log): Promise<number> {
  await log.create(42, LOG_BEGIN);
  const by = (await log.open("filler", "bench"))!.row.epoch;
  let [bytes, next] = [0, 1];
  while (bytes < TAIL_BYTES) {
    const one = row(next, by);
    if ((await log.append([one], by)) !== "appended") throw new Error(`the row at ${next} was refused`);
    bytes += one.bytes;
    next = one.last + 1;
  }
  return next - 1;
}

const directory = mkdtempSync(path.join(tmpdir(), "keyframe-tail-"));
try {
  const sqlite = new LocalSqlite(path.join(directory, "log.sqlite"));
  sqlite.db.exec(readFileSync(MIGRATION, "utf8"));
  const log = new D1Log(sqlite.d1(), { line: 1, operator: "full", partition: 0 });
  const events = await fill(log);
  const base = heldBytes();
  const peak = new Peak();
  const disk = new DiskStore(path.join(directory, "objects"));
  const objects: ObjectStore = {
    put: (name, bytes) => (peak.look(), disk.put(name, bytes)),
    get: (name) => disk.get(name),
    range: (name, offset, length) => disk.range(name, offset, length),
    list: (prefix, after) => disk.list(prefix, after),
    delete: (names) => disk.delete(names),
  };
  const partition = new LocalPartition(counting, objects, undefined, log, PATIENCE);
  await partition.engine.read(["k0"]);
  const opened = peak.look();
  const { state, archive } = await partition.snapshotBytes();
  peak.stop();
  const again = new LocalPartition(counting, objects, undefined, log, PATIENCE);
  const entries = await again.engine.read(Array.from({ length: KEYS }, (_, i) => `k${i}`));
  const counted = entries.reduce((sum, one) => sum + (JSON.parse(one!.text) as { n: number }).n, 0);
  if (counted !== events) throw new Error(`${events} events were logged, and the state counts ${counted}`);
  console.log(
    JSON.stringify({
      what: "a full tail of 256 MB, opened and archived",
      peakBytes: peak.bytes - base,
      boundBytes: BOUND_BYTES,
      opened: opened - base,
      buffers: peak.buffers,
      state,
      archive,
    }),
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
// The engine's timers, PATIENCE times as long as in reality, would keep the process for a minute.
process.exit();
