/** The meaning of a refused append, as a table over the facts that one read gives (LOG3). */
import { describe, expect, it } from "vitest";
import { judgeAppend } from "../../../src/engine/log/fence.ts";
import { stamped } from "../../../src/engine/log/append.ts";
import { epoch, seq, stamp } from "../../../src/engine/base/ids.ts";
import type { Explanation } from "../../../src/engine/base/records.ts";
import type { Segment } from "../../../src/engine/base/records.ts";

const row = (first: number, last: number, at: number): Segment => ({
  format: 1,
  seq: seq(first),
  last: seq(last),
  stamp: stamp(at),
  epoch: epoch(3),
  group: "ours",
  operatorVersion: 1,
  code: "c",
  codec: "json",
  checksum: 0,
  bytes: 1,
  stats: "",
  payload: "",
});
const group = [row(11, 15, 100), row(16, 20, 101)];
const facts = (more: Partial<Explanation>): Explanation => ({
  epoch: epoch(3),
  writer: "them",
  version: 1,
  head: seq(10),
  headStamp: stamp(90),
  floor: stamp(0),
  open: true,
  replaying: false,
  group: null,
  stamp: null,
  ...more,
});

describe("a refused append", () => {
  it.each<[string, Partial<Explanation>, object]>([
    [
      "our own nonce at our seq: committed",
      { group: "ours", stamp: stamp(100), head: seq(20) },
      { tag: "committed", stamp: 100, superseded: null },
    ],
    [
      "committed with the stamp of the row, also where the epoch was lost since",
      { group: "ours", stamp: stamp(77), head: seq(30), epoch: epoch(4) },
      { tag: "committed", stamp: 77, superseded: "epoch 3 was superseded by epoch 4 of writer them" },
    ],
    ["another epoch", { epoch: epoch(4) }, { tag: "fenced" }],
    ["E1: an older epoch", { epoch: epoch(2) }, { tag: "rewound" }],
    ["another group at our seq", { group: "theirs", stamp: stamp(95), head: seq(12) }, { tag: "fenced" }],
    ["a head that moved on", { head: seq(12) }, { tag: "fenced" }],
    ["E1: a head that went back", { head: seq(9) }, { tag: "rewound" }],
    ["E1: a head that went back, and another writer", { head: seq(9), epoch: epoch(4) }, { tag: "rewound" }],
    ["E4: a head that went back, by somebody's decision", { head: seq(9), epoch: epoch(2_000_001) }, { tag: "fenced" }],
    [
      "our own group, though the head went back behind it since",
      { group: "ours", stamp: stamp(100), head: seq(15) },
      { tag: "committed", stamp: 100, superseded: null },
    ],
    ["a line that isn't open", { open: false }, { tag: "fenced" }],
    ["TIME2: the floor at our stamp", { floor: stamp(100) }, { tag: "restamp", above: 100 }],
    ["TIME1: the head's stamp above ours", { headStamp: stamp(500) }, { tag: "restamp", above: 500 }],
    ["nothing in the way any more", {}, { tag: "again" }],
  ])("%s", (_, more, verdict) => {
    expect(judgeAppend(group, epoch(3), facts(more))).toMatchObject(verdict);
  });

  it.each<[string, Partial<Explanation>, object]>([
    ["nothing in the way any more", { epoch: epoch(2) }, { tag: "again" }],
    [
      "it is in the log, and with that the epoch is ours",
      { group: "ours", stamp: stamp(100), head: seq(20) },
      { tag: "committed", superseded: null },
    ],
    [
      "in the log, and lost since",
      { group: "ours", stamp: stamp(100), epoch: epoch(4) },
      { tag: "committed", superseded: "epoch 3 was superseded by epoch 4 of writer them" },
    ],
    [
      "another one took the same epoch, and hasn't logged yet",
      {},
      { tag: "fenced", why: "epoch 2 was superseded by epoch 3 of writer them" },
    ],
    ["another one's first append took it", { group: "theirs", stamp: stamp(95), head: seq(12) }, { tag: "fenced" }],
    [
      "the writer before has logged meanwhile",
      { epoch: epoch(2), group: "theirs", stamp: stamp(95), head: seq(12) },
      { tag: "fenced" },
    ],
    ["E1: an older epoch", { epoch: epoch(1) }, { tag: "rewound" }],
  ])("LOG2: a group that takes the epoch: %s", (_, more, verdict) => {
    expect(judgeAppend(group, epoch(2), facts(more))).toMatchObject(verdict);
  });

  it("rows are stamped anew with rising stamps, and change nothing else", () => {
    expect(stamped(group, stamp(600)).map((one) => [one.stamp, one.seq, one.group])).toEqual([
      [600, 11, "ours"],
      [601, 16, "ours"],
    ]);
  });
});
