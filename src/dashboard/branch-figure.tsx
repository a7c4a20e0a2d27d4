/** The timelines as branches, over time. The table below has the same in words, for readers who don't see it. */
import type { SavepointInfo } from "../client/savepoints.ts";
import { many } from "../client/amounts.ts";
import { type Lane, rowOfMain } from "./branches.ts";
import { lookedAt } from "./live.ts";
import { timelinesHref } from "./place.ts";
import { clock } from "./text.ts";

/** Height of a lane, in pixels. Its line is near the bottom, below its name. */
const LANE = 44;
const LINE = 32;
/** The share of the width before the first start, for the line that has none, and behind now. */
const LEAD = 0.06;
const TAIL = 0.02;

export interface BranchFigureProps {
  readonly lanes: readonly Lane[];
  readonly savepoints: readonly SavepointInfo[];
  readonly chosen: string | null;
  /** Milliseconds since 1970: nothing was logged before. */
  readonly sinceMs: number;
}

export function BranchFigure({ lanes, savepoints, chosen, sinceMs }: BranchFigureProps) {
  const to = lookedAt();
  const starts = lanes.flatMap(({ startMs }) => (startMs === null ? [] : [startMs]));
  const from = Math.min(sinceMs, to - 1_000, ...starts);
  const x = (ms: number): number => LEAD + ((ms - from) / (to - from)) * (1 - LEAD - TAIL);
  const startOf = ({ startMs, timeline }: Lane): number =>
    timeline.state === "unstarted" ? 1 - TAIL : startMs === null ? 0 : x(startMs);
  const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;
  const lineY = (row: number): number => row * LANE + LINE;
  return (
    <figure class="branches">
      <div class="lanes" style={{ height: `${lanes.length * LANE + 8}px` }}>
        <svg aria-hidden="true" width="100%" height="100%">
          {lanes.map((lane) => {
            const left = percent(startOf(lane));
            const y = lineY(lane.row);
            return (
              <g key={lane.timeline.line} class={kindOf(lane)}>
                {lane.from !== null && <line x1={left} x2={left} y1={lineY(lane.from)} y2={y} />}
                <line class="way" x1={left} x2={percent(1 - TAIL)} y1={y} y2={y} />
                {lane.from !== null && <circle cx={left} cy={lineY(lane.from)} r="4" />}
                {lane.timeline.state !== "sealed" && <circle class="head" cx={percent(1 - TAIL)} cy={y} r="5" />}
              </g>
            );
          })}
        </svg>
        {savepoints.map(({ name, at, time }) => {
          const row = rowOfMain(lanes, at);
          if (row === null) return null;
          const place = { left: percent(x(Date.parse(time))), top: `${lineY(row)}px` };
          return <i key={name} class="mark" style={place} title={`savepoint ${name}, ${clock(time, to)}`} />;
        })}
        {lanes.map((lane) => (
          <Name key={lane.timeline.line} lane={lane} left={startOf(lane)} chosen={chosen} />
        ))}
      </div>
      <figcaption>
        <span>{clock(new Date(from).toISOString(), to)}</span>
        <span class="keys">
          {many(lanes.length, "timeline")}
          {savepoints.length > 0 && (
            <>
              , <i class="mark" /> {many(savepoints.length, "savepoint")}
            </>
          )}
        </span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}

const kindOf = ({ timeline: { state } }: Lane): string =>
  state === "main" ? "main" : state === "sealed" ? "sealed" : "own";

/** A name that starts far right would leave the figure, so it ends at the right edge. */
function Name({ lane, left, chosen }: { readonly lane: Lane; readonly left: number; readonly chosen: string | null }) {
  const { name, state } = lane.timeline;
  const place = left > 0.6 ? { right: `${TAIL * 100}%` } : { left: `${(left * 100).toFixed(2)}%` };
  return (
    <a
      class={`name ${kindOf(lane)}`}
      href={timelinesHref(name)}
      aria-current={name === chosen ? "true" : undefined}
      style={{ ...place, top: `${lane.row * LANE + 6}px` }}
    >
      {name}
      {state !== "main" && state !== "ready" && <small> {state}</small>}
    </a>
  );
}
