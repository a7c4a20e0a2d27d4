/** The chosen timeline: its facts, its differences from main, its promotion, and its end. */
import { Fragment } from "preact";
import type { TimelineInfo } from "../client/timelines.ts";
import { timelinePath } from "../client/paths.ts";
import { count } from "../client/amounts.ts";
import { useActing } from "./acting.ts";
import { useAnswer } from "./answer.ts";
import { errorText, remove } from "./api.ts";
import { lookedAt } from "./live.ts";
import { PromotionPanel } from "./promotion.tsx";
import { Sure } from "./sure.tsx";
import { TimelineDiff } from "./timeline-diff.tsx";
import { until } from "./text.ts";
import type { Said } from "./said.ts";
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
        {state === "unstarted" && (
          <>
            <dt>starts</dt>
            <dd>where {from} ends, once it is promoted</dd>
          </>
        )}
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
      {!isMain && state !== "removing" && state !== "unstarted" && <TimelineDiff name={name} />}
      {!isMain && state !== "sealed" && state !== "removing" && (
        <PromotionPanel name={name} waits={state !== "ready" && state !== "unstarted"} say={say} />
      )}
    </section>
  );
}

/** A timeline of these states takes in nothing but its own events. */
const OWN: ReadonlySet<string> = new Set(["main", "sealed", "making", "ready", "unstarted", "removing"]);

/** A timeline that takes in what another one logs says which one, and how far it has come. The app counts that anew. */
function Following({ one }: { readonly one: TimelineInfo }) {
  const told = useAnswer<TimelineInfo>(OWN.has(one.state) ? null : timelinePath(one.name)).value ?? one;
  return (
    <>
      {followed(told).map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === "number" ? count(value) : value}</dd>
        </Fragment>
      ))}
    </>
  );
}

function followed(told: TimelineInfo): (readonly [name: string, value: string | number])[] {
  const { follows, lag, replay } = told as TimelineInfo & Readonly<Record<"follows" | "lag" | "replay", unknown>>;
  const { of, ...rest } = (replay ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries({ follows, lag, replays: of, ...rest }).flatMap(([name, value]) =>
    typeof value === "string" || typeof value === "number" ? [[name, value] as const] : [],
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
  const [busy, act] = useActing(say, errorText);
  const removeAll = async (): Promise<void> => {
    for (let requests = 0; requests < MOST_REQUESTS; requests++)
      if ((await remove<{ readonly removed: boolean }>(timelinePath(name))).removed)
        return say({ tone: "good", text: `Timeline ${name} is deleted.` }, null);
    say({ tone: "bad", text: `Timeline ${name} isn't gone yet: delete it again.` });
  };
  return (
    <Sure
      label="Delete"
      title={`Delete timeline ${name}?`}
      yes="Delete it"
      no="Keep it"
      disabled={busy}
      act={() => act(removeAll)}
    >
      All that was logged on it alone goes with it. This can't be undone.
    </Sure>
  );
}
