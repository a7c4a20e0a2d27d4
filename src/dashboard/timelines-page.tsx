/** All timelines: where each starts, its state and when it expires; the chosen one; and the savepoints of main. */
import { useState } from "preact/hooks";
import type { SavepointInfo } from "../client/savepoints.ts";
import type { TimelineInfo } from "../client/timelines.ts";
import { SAVEPOINTS_PATH, TIMELINES_PATH } from "../client/paths.ts";
import { useAnswer } from "./answer.ts";
import { BranchFigure } from "./branch-figure.tsx";
import { lanesOf, type Lane } from "./branches.ts";
import { lastOverview, lookedAt } from "./live.ts";
import { place, replace, timelinesHref } from "./place.ts";
import type { Said } from "./said.ts";
import { Savepoints } from "./savepoints.tsx";
import { StartTimeline } from "./start-timeline.tsx";
import { ChosenTimeline } from "./timeline-chosen.tsx";
import { until } from "./text.ts";
import { TimeAgo } from "./when.tsx";

export function TimelinesPage() {
  const chosen = place.value.query.get("timeline");
  const timelines = useAnswer<readonly TimelineInfo[]>(TIMELINES_PATH);
  const savepoints = useAnswer<readonly SavepointInfo[]>(SAVEPOINTS_PATH);
  const [said, setSaid] = useState<Said | null>(null);
  /** Where the next timeline starts, if a button proposes it. */
  const [from, setFrom] = useState("");
  const again = (): void => {
    timelines.again();
    savepoints.again();
  };
  const say = (next: Said, choose?: string | null): void => {
    setSaid(next);
    if (choose !== undefined) replace(timelinesHref(choose ?? undefined));
    again();
  };
  const all = timelines.value ?? [];
  const lanes = lanesOf(all);
  const one = all.find(({ name }) => name === chosen);
  return (
    <>
      <section class="panel" aria-labelledby="branches-title">
        <div class="row">
          <h2 id="branches-title">Branches</h2>
          <button type="button" onClick={again}>
            Look again
          </button>
        </div>
        <p role="status" class={`said ${said?.tone ?? ""}`}>
          {said?.text}
        </p>
        {timelines.error !== null && <p class="trouble">{timelines.error}</p>}
        {timelines.value === null && timelines.error === null && <p class="empty">One moment.</p>}
        {lanes.length > 0 && (
          <>
            <BranchFigure lanes={lanes} savepoints={savepoints.value ?? []} chosen={chosen} sinceMs={sinceMs()} />
            <Table lanes={lanes} chosen={chosen} />
          </>
        )}
        <p class="hint">
          A timeline starts with the state that another one had at a moment, and takes events of its own. This page
          reads D1 and R2, and wakes no partition.
        </p>
      </section>
      {one !== undefined && <ChosenTimeline key={one.line} one={one} say={say} propose={setFrom} />}
      {chosen !== null && one === undefined && timelines.value !== null && (
        <section class="panel">
          <p class="empty">There is no timeline {chosen}. Choose another one.</p>
        </section>
      )}
      <div class="halves">
        <StartTimeline from={from} setFrom={setFrom} say={say} />
        <Savepoints found={savepoints} say={say} />
      </div>
    </>
  );
}

/** The time at which the first operator was placed. */
function sinceMs(): number {
  const times = (lastOverview.value?.operators ?? []).flatMap(({ since }) =>
    since === undefined ? [] : [Date.parse(since)],
  );
  return Math.min(lookedAt(), ...times);
}

const Table = ({ lanes, chosen }: { readonly lanes: readonly Lane[]; readonly chosen: string | null }) => (
  <div class="scroll" tabIndex={0} role="region" aria-label="Table of the timelines">
    <table>
      <thead>
        <tr>
          <th scope="col">Timeline</th>
          <th scope="col">State</th>
          <th scope="col">Starts</th>
          <th scope="col">Expires</th>
        </tr>
      </thead>
      <tbody>
        {lanes.map(({ timeline: { name, line, state, from, time, expires } }) => (
          <tr key={line} class={name === chosen ? "chosen" : ""}>
            <th scope="row">
              <a href={timelinesHref(name)} aria-current={name === chosen ? "true" : undefined}>
                {name}
              </a>
            </th>
            <td>{state}</td>
            <td>
              {state === "unstarted" ? (
                `where ${from} ends`
              ) : time === undefined ? (
                "with the first event"
              ) : (
                <>
                  from {from}, <TimeAgo at={time} />
                </>
              )}
            </td>
            <td>{expires === undefined ? "never" : until(expires, lookedAt())}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);
