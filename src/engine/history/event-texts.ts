/** Event texts: the events of a stretch of the log as they were sent, oldest first, one JSON text a line. */
import { type Seq, seq } from "../base/ids.ts";
import { fill } from "../event/event.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { logBelow } from "./log-reader.ts";
import { receivedMs } from "./events.ts";

const isCommand = ({ type }: Readonly<Record<string, unknown>>): boolean => String(type).startsWith("keyframe.");

/** Seqs that are in memory at a time: the log is read downwards. */
const WINDOW = 2_000;

/**
 * Yields the events above a seq, up to another one. Leaves out commands, such as edits: they can't be sent as events.
 *
 * @throws Damage, Failure
 */
export async function* eventTexts(env: LogEnvironment, above: Seq, upTo: Seq): AsyncGenerator<string> {
  for (let from = above; from < upTo;) {
    const to = seq(Math.min(upTo, from + WINDOW));
    const texts: string[] = [];
    for await (const { row, events } of logBelow(env, seq(to + 1))) {
      for (let i = events.events.length - 1; i >= 0; i--) {
        const at = row.seq + i;
        const event = events.events[i]!;
        if (at > to || at <= from || isCommand(event)) continue;
        texts.push(`${JSON.stringify(fill({ ...event }, new Date(receivedMs(events.at, i)).toISOString()))}\n`);
      }
      if (row.seq <= from + 1) break;
    }
    if (texts.length > 0) yield texts.toReversed().join("");
    from = to;
  }
}
