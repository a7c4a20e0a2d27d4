/** The lanes of the page of timelines. */
import { describe, expect, it } from "vitest";
import type { TimelineInfo } from "../../src/client/timelines.ts";
import { lanesOf, rowOfMain } from "../../src/dashboard/branches.ts";

let lines = 0;
const line = (name: string, state: TimelineInfo["state"], from?: string, at?: number): TimelineInfo => ({
  name,
  line: ++lines,
  state,
  ...(from === undefined ? {} : { from }),
  ...(at === undefined ? {} : { at: at * 1_024 }),
});
const shown = (all: readonly TimelineInfo[]): unknown[] =>
  lanesOf(all).map(({ timeline, row, from, startMs }) => [timeline.name, row, from, startMs]);

describe("lanes", () => {
  it("stand below the one that they start from, the later start higher", () => {
    const all = [
      line("main", "main"),
      line("early", "ready", "main", 100),
      line("late", "ready", "main", 300),
      line("deep", "ready", "early", 200),
    ];
    expect(shown(all)).toEqual([
      ["main", 0, null, null],
      ["late", 1, 0, 300],
      ["early", 2, 0, 100],
      ["deep", 3, 2, 200],
    ]);
  });

  it("no start crosses a lane: above it, each lane from its parent down begins later", () => {
    const all = [line("main", "main")];
    for (let i = 1; i < 40; i++) {
      const parent = all[(i * 7) % i]!;
      all.push(line(`t${i}`, "ready", parent.name, (parent.at ?? 0) / 1_024 + ((i * 13) % 29) + 1));
    }
    const lanes = lanesOf(all);
    expect(lanes).toHaveLength(40);
    for (const { row, from, startMs } of lanes)
      for (let between = (from ?? row) + 1; between < row; between++)
        expect(lanes[between]!.startMs!).toBeGreaterThanOrEqual(startMs!);
  });

  it("show a timeline whose parent isn't there", () => {
    expect(shown([line("main", "main"), line("orphan", "ready", "gone", 5)])).toEqual([
      ["main", 0, null, null],
      ["orphan", 1, null, 5],
    ]);
  });
});

describe("main's past", () => {
  it("is that of the former main before main's start, and nothing without main", () => {
    const lanes = lanesOf([line("main~1", "sealed"), line("main", "main", "main~1", 200)]);
    expect([201, 200, 1].map((ms) => rowOfMain(lanes, ms * 1_024))).toEqual([1, 0, 0]);
    expect(rowOfMain(lanesOf([line("other", "ready")]), 1)).toBeNull();
  });
});
