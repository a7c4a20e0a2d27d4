/** The history of a key, page by page: the events that touched it, newest first, each with what became of it and the value after it. */
import type { Seq } from "./ids.ts";
import { touches, type Bounds, type Touch, type TouchPage } from "./touches.ts";
import { valuesAfter, type Value, type Valuing } from "./value-after.ts";

export interface HistoryItem extends Touch {
  /** The value after it. */
  readonly value: Value;
}

export interface HistoryPage extends Omit<TouchPage, "items"> {
  readonly items: readonly HistoryItem[];
}

/** The events below `before`; null: from the newest on. @throws Damage, Failure */
export async function history(around: Valuing, key: string, before: Seq | null, bounds: Bounds): Promise<HistoryPage> {
  const page = await touches(around, key, before, bounds);
  const values = await valuesAfter(around, key, page.items, before);
  const items = values.map((value, i) => ({ ...page.items[i]!, value }));
  // The page has no room for the values of the older ones: these come with the next one.
  return items.length < page.items.length
    ? { items, before: items.at(-1)!.seq, bottom: "beginning" }
    : { ...page, items };
}
