/** The first rows of the fakes for lines and timelines. */
import { FIRST_LINE, stamp } from "../engine/base/ids.ts";
import type { Timeline } from "../engine/base/records.ts";

/** A line of one database. */
export interface MemoryLine {
  floor: number;
  open: boolean;
  /** The line takes in the rows of another one. */
  readonly replaying?: boolean;
  /** The line has no partitions before it is opened. */
  readonly unstarted?: boolean;
  readonly removed?: true;
  /** The last promotion that sealed or opened it. Missing for 0. */
  readonly promotion?: number;
}

export const FIRST_TIMELINE: Timeline = {
  line: FIRST_LINE,
  name: null,
  parent: null,
  at: stamp(0),
  createdMs: 0,
  expiresMs: null,
  state: "ready",
  replaced: 0,
};
