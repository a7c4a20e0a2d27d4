/**
 * Timelines as branches: the lane of each, and where it starts. A lane stands below the one that it starts from, and of
 * two that start from the same one the later stands higher. So no start crosses another lane.
 */
import type { TimelineInfo } from "../client/timelines.ts";
import { timeMsOf } from "./moments.ts";

export interface Lane {
  readonly timeline: TimelineInfo;
  /** From the top. */
  readonly row: number;
  /** The row that it starts from. Null if it starts from none that is there. */
  readonly from: number | null;
  /** Milliseconds since 1970 of its start. Null for the first line, which has none. */
  readonly startMs: number | null;
}

export function lanesOf(all: readonly TimelineInfo[]): Lane[] {
  const names = new Set(all.map(({ name }) => name));
  const lanes: Lane[] = [];
  const place = (timeline: TimelineInfo, from: number | null): void => {
    const row = lanes.length;
    lanes.push({ timeline, row, from, startMs: timeline.at === undefined ? null : timeMsOf(timeline.at) });
    const children = all.filter((one) => one.from === timeline.name && one !== timeline);
    for (const child of children.sort((a, b) => (b.at ?? 0) - (a.at ?? 0) || a.line - b.line)) place(child, row);
  };
  for (const root of all.filter(({ from }) => from === undefined || !names.has(from))) place(root, null);
  return lanes;
}

/** Returns the row of main's past at a stamp: the line that main had there. */
export function rowOfMain(lanes: readonly Lane[], at: number): number | null {
  let lane = lanes.find(({ timeline }) => timeline.state === "main");
  while (lane !== undefined && at <= (lane.timeline.at ?? 0)) {
    const { from } = lane;
    lane = from === null ? undefined : lanes[from];
  }
  return lane?.row ?? null;
}
