/**
 * The history of a key, page by page: the events that touched it, newest first, each with its outcome and the value
 * after it.
 */
import type { LogEnvironment } from "../operator/environment.ts";
import type { Seq } from "../base/ids.ts";
import { eventsOf, type Bounds, type KeyEvent, type KeyEvents } from "./events.ts";
import { valuesOf, type KeyValue } from "./values.ts";

export interface HistoryItem extends KeyEvent {
  /** The value after the event. */
  readonly value: KeyValue;
  readonly valueBefore: KeyValue;
}

export interface HistoryPage extends Omit<KeyEvents, "items"> {
  readonly items: readonly HistoryItem[];
}

/** Returns the events below `before`. If `before` is null, starts from the newest. @throws Damage, Failure */
export async function history(
  env: LogEnvironment,
  key: string,
  before: Seq | null,
  bounds: Bounds,
): Promise<HistoryPage> {
  const page = await eventsOf(env, key, before, bounds);
  const values = await valuesOf(env, key, page.items, before);
  const items = values.map(({ before: valueBefore, after: value }, i) => ({ ...page.items[i]!, value, valueBefore }));
  // The page has no room for the values of the older events, which come with the next page.
  return items.length < page.items.length
    ? { items, before: items.at(-1)!.seq, bottom: "beginning" }
    : { ...page, items };
}
