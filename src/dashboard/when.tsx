/** A moment: how long ago, and when exactly for whoever points at it. */
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { now } from "./live.ts";
import { ago, clock } from "./text.ts";

export function When({ at }: { readonly at: string }) {
  // A signal in the markup: the second changes a text, and renders nothing anew.
  const text = useMemo(() => computed(() => ago(at, now.value)), [at]);
  // Local time is dear to format, and wanted only where somebody points.
  return (
    <time dateTime={at} title={at} onMouseEnter={(event) => (event.currentTarget.title = clock(at))}>
      {text}
    </time>
  );
}
