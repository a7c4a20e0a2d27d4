/** A moment: how long ago, and when exactly. */
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { now } from "./live.ts";
import { ago, clock } from "./text.ts";

export function TimeAgo({ at }: { readonly at: string }) {
  // A signal in the markup: the second changes a text, and renders nothing again.
  const text = useMemo(() => computed(() => `${ago(at, now.value)}, ${clock(at, now.value)}`), [at]);
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  );
}
