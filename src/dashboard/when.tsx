/** A moment: how long ago or ahead, and when exactly. */
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { now } from "./live.ts";
import { ago, clock, until } from "./text.ts";

export function TimeAgo({ at }: { readonly at: string }) {
  // A signal in the markup: the second changes a text, and renders nothing again.
  const text = useMemo(() => computed(() => `${ago(at, now.value)}, ${clock(at, now.value)}`), [at]);
  return <Moment at={at} text={text} />;
}

export function TimeUntil({ at }: { readonly at: string }) {
  const text = useMemo(() => computed(() => until(at, now.value)), [at]);
  return <Moment at={at} text={text} />;
}

function Moment({ at, text }: { readonly at: string; readonly text: ReadonlySignal<string> }) {
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  );
}
