/** A moment: how long ago, and when exactly for whoever points at it. */
import { now } from "./live.ts";
import { age, clock } from "./text.ts";

export function When({ at }: { readonly at: string }) {
  const ms = Math.max(0, now.value - Date.parse(at));
  return (
    <time dateTime={at} title={clock(at)}>
      {ms < 1_000 ? "just now" : `${age(ms)} ago`}
    </time>
  );
}
