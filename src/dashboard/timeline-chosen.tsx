/** The chosen timeline: its facts, its differences from main, its promotion, and its end. */
import { useState } from "preact/hooks";
import type { TimelineInfo } from "../client/timelines.ts";
import { timelinePath } from "../client/paths.ts";
import { count } from "../client/amounts.ts";
import { errorText, remove } from "./api.ts";
import { lookedAt } from "./live.ts";
import { Promotion } from "./promotion.tsx";
import { Sure } from "./sure.tsx";
import { TimelineDiff } from "./timeline-diff.tsx";
import { until } from "./text.ts";
import type { Said } from "./timelines-page.tsx";
import { TimeAgo } from "./when.tsx";

interface ChosenProps {
  readonly one: TimelineInfo;
  /** `choose`: the timeline that is chosen next, or null for none. */
  readonly say: (said: Said, choose?: string | null) => void;
  /** Fills in where the next timeline starts. */
  readonly propose: (from: string) => void;
}

export function ChosenTimeline({ one, say, propose }: ChosenProps) {
  const { name, line, state, from, at, time, created, expires } = one;
  const isMain = state === "main";
  return (
    <section class="panel" aria-labelledby="timeline-title">
      <div class="row">
        <h2 id="timeline-title">
          Timeline <span class="mono">{name}</span>
        </h2>
        {!isMain && <Delete name={name} say={say} />}
      </div>
      <dl class="line">
        <dt>state</dt>
        <dd>{state}</dd>
        <Following one={one} />
        {time !== undefined && (
          <>
            <dt>starts from</dt>
            <dd>
              {from}, <TimeAgo at={time} />, stamp {at}
            </dd>
          </>
        )}
        {created !== undefined && (
          <>
            <dt>made</dt>
            <dd>
              <TimeAgo at={created} />
            </dd>
          </>
        )}
        <dt>expires</dt>
        <dd>{expires === undefined ? "never" : until(expires, lookedAt())}</dd>
        <dt>line</dt>
        <dd>{line}</dd>
      </dl>
      {state === "sealed" && <Undo name={name} propose={propose} />}
      {!isMain && state !== "removing" && <TimelineDiff name={name} />}
      {!isMain && state !== "sealed" && state !== "removing" && <Promotion name={name} say={say} />}
    </section>
  );
}

/** A timeline that takes in what another one logs says which one, and how far behind it is. */
function Following({ one }: { readonly one: TimelineInfo }) {
  const { follows, lag } = one as { readonly follows?: unknown; readonly lag?: unknown };
  if (typeof follows !== "string" && typeof lag !== "number") return null;
  return (
    <>
      {typeof follows === "string" && (
        <>
          <dt>follows</dt>
          <dd>{follows}</dd>
        </>
      )}
      {typeof lag === "number" && (
        <>
          <dt>lag</dt>
          <dd>{count(lag)}</dd>
        </>
      )}
    </>
  );
}

const Undo = ({ name, propose }: { readonly name: string; readonly propose: (from: string) => void }) => (
  <div class="undo">
    <p class="hint">
      {name} was main, takes no more events, and never changes. To go back to it, start a timeline where it ends, and
      promote that.
    </p>
    <button type="button" onClick={() => propose(`${name}@now`)}>
      Start one where it ends
    </button>
  </div>
);

/** Each request deletes a part of what was logged on it. */
const MOST_REQUESTS = 1_000;

function Delete({ name, say }: { readonly name: string; readonly say: ChosenProps["say"] }) {
  const [busy, setBusy] = useState(false);
  const act = async (): Promise<void> => {
    setBusy(true);
    try {
      for (let requests = 0; requests < MOST_REQUESTS; requests++)
        if ((await remove<{ readonly removed: boolean }>(timelinePath(name))).removed)
          return say({ tone: "good", text: `Timeline ${name} is deleted.` }, null);
      say({ tone: "bad", text: `Timeline ${name} isn't gone yet: delete it again.` });
    } catch (error) {
      say({ tone: "bad", text: errorText(error) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <Sure
      label="Delete"
      title={`Delete timeline ${name}?`}
      yes="Delete it"
      no="Keep it"
      disabled={busy}
      act={() => void act()}
    >
      All that was logged on it alone goes with it. This can't be undone.
    </Sure>
  );
}
