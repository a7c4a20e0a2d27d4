/** A line of history with its past, as a request reads it. */
import { stamp, type Stamp } from "../engine/base/ids.ts";
import type { Ancestors, Replay, Split } from "../engine/base/records.ts";
import { ancestorsOf, type Timelines } from "../engine/history/timelines.ts";

/** A line, and where it starts. */
export interface Lineage {
  readonly line: number;
  readonly ancestors: Ancestors;
  /** Missing if the line takes events of its own. */
  readonly replay?: Replay;
}

export const lineageOf = (timelines: Timelines, line: number): Lineage => ({
  line,
  ancestors: ancestorsOf(timelines, line),
});

/** No stamp is above it. */
export const LAST_STAMP = stamp(Number.MAX_SAFE_INTEGER);

/** A line whose log is a part of another line's past, up to that stamp. */
export interface LogPart {
  readonly line: number;
  readonly upTo: Stamp;
  /** From that line to the other one. */
  readonly split?: Split;
}

/** Returns the lines whose logs make up the log of a line, the oldest first. */
export function partsOf({ line, ancestors }: Lineage): readonly LogPart[] {
  let upTo = LAST_STAMP;
  const parts: LogPart[] = [{ line, upTo }];
  for (const { line: earlier, at, split } of ancestors) {
    upTo = stamp(Math.min(upTo, at));
    parts.unshift({ line: earlier, upTo, ...(split === undefined ? {} : { split }) });
  }
  return parts;
}
