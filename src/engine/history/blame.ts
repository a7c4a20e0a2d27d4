/**
 * Blame: the newest event of a key that changed a member of its state.
 *
 * BLAME1. An event changed the member if the member's text before the event differs from that after it. Refused and
 *     quarantined events change nothing.
 * BLAME2. An event whose effect isn't known ends the search: an older event may not be the newest that changed the
 *     member.
 * BLAME3. One call reads some pages of the history. If none of them has the event, the answer says where to go on.
 */
import type { Seq } from "../base/ids.ts";
import { memberAt, type Pointer } from "./json-pointer.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { history, type HistoryItem } from "./history.ts";
import type { Bottom } from "./log-reader.ts";
import { changes } from "./values.ts";

export type Blame =
  /** JSON texts of the member before and after the event. Null if the state had no such member. */
  | { readonly tag: "changed"; readonly item: HistoryItem; readonly from: string | null; readonly to: string | null }
  /** Whether this event changed the member isn't known. */
  | { readonly tag: "unknown"; readonly item: HistoryItem; readonly why: string }
  /** No event from `before` on changed the member. `before` is null if there is no older one, for the reason given. */
  | { readonly tag: "unchanged"; readonly before: Seq | null; readonly bottom: Bottom };

/** Events of the pages of one call. A member that changed lately needs the first page alone. */
const PAGES = [10, 100, 1_000];

/** Looks below `before`. If `before` is null, starts from the newest event. @throws Damage, Failure */
export async function blame(env: LogEnvironment, key: string, member: Pointer, before: Seq | null): Promise<Blame> {
  let next = before;
  for (const items of PAGES) {
    const page = await history(env, key, next, { items });
    for (const item of page.items) {
      if (!changes(item)) continue;
      const { value, valueBefore } = item;
      if (value.tag === "unknown") return { tag: "unknown", item, why: value.why };
      if (valueBefore.tag === "unknown") return { tag: "unknown", item, why: valueBefore.why };
      const [from, to] = [textAt(valueBefore.text, member), textAt(value.text, member)];
      if (from !== to) return { tag: "changed", item, from, to };
    }
    if (page.before === null) return { tag: "unchanged", before: null, bottom: page.bottom };
    next = page.before;
  }
  return { tag: "unchanged", before: next, bottom: "beginning" };
}

function textAt(text: string | null, member: Pointer): string | null {
  if (text === null || member.length === 0) return text;
  return JSON.stringify(memberAt(JSON.parse(text), member)) ?? null;
}
