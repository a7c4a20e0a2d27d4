/**
 * The moment that a page of keys shows: a slider from the oldest moment that is kept to now, with the savepoints on it,
 * and the same moment as a text. At the right end the page shows the present.
 *
 * MOMENTBAR1. The moment stands in the address. The reader's text or place goes there, and an answer replaces it by
 *     the stamp that it means (key-moment.tsx, keys.tsx).
 * MOMENTBAR2. The ends don't move while a moment is chosen, so the thumb stays where the reader put it.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { SavepointInfo } from "../client/savepoints.ts";
import { momentOn } from "../client/moment.ts";
import { SAVEPOINTS_PATH } from "../client/paths.ts";
import { useAnswer } from "./answer.ts";
import { lastOverview, lookedAt } from "./live.ts";
import { isSettled, momentMs, oldestMs, stampOf } from "./moments.ts";
import { ago, clock } from "./text.ts";

/** The pause in dragging after which the state is requested: each request reads files and the log. */
const DRAGGING_MS = 200;
/** Steps of the arrow keys over the whole slider. */
const STEPS = 500;

export interface MomentBarProps {
  readonly operator: string;
  /** As it stands in the address, or null for the present. */
  readonly moment: string | null;
  readonly problem: string | null;
  readonly choose: (moment: string | null) => void;
}

export function MomentBar({ operator, moment, problem, choose }: MomentBarProps) {
  const { value: all } = useAnswer<readonly SavepointInfo[]>(SAVEPOINTS_PATH);
  const savepoints = all ?? [];
  const ends = useEnds(operator, moment);
  const [dragged, setDragged] = useState<number | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [typed, setTyped] = useState(readable(moment));
  useEffect(() => {
    setTyped(readable(moment));
    setDragged(null);
  }, [moment]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const timeline = moment === null ? null : momentOn(moment).timeline;
  const drag = (ms: number): void => {
    setDragged(ms);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => choose(draggedTo(ms, ends.to, timeline)), DRAGGING_MS);
  };
  const pick = (next: string | null): void => {
    clearTimeout(timer.current);
    setDragged(null);
    choose(next);
  };
  const known = moment === null ? ends.to : momentMs(moment);
  const wanted = dragged ?? known;
  const at = Math.min(ends.to, Math.max(ends.from, wanted ?? ends.to));
  const isNow = dragged === null ? moment === null : dragged >= ends.to;
  const when = isNow ? "now" : wanted === null ? moment! : timeText(wanted);
  const text = timeline === null || wanted === null ? when : `${when}, on ${timeline}`;
  return (
    <section class="panel moment-bar" aria-labelledby="moment-title">
      <div class="row">
        <h2 id="moment-title">Moment</h2>
        <output class="chosen-moment" for="moment-slider">
          {text}
        </output>
        <button type="button" class="small" disabled={isNow && timeline === null} onClick={() => pick(null)}>
          Back to now
        </button>
      </div>
      <Slider ends={ends} at={at} text={text} savepoints={savepoints} drag={drag} />
      <form
        class="fields moment"
        onSubmit={(event) => {
          event.preventDefault();
          pick(typed.trim() === "" ? null : typed.trim());
        }}
      >
        <label class="field">
          As of
          <input
            type="text"
            value={typed}
            placeholder="-90m, 2026-01-31T12:00:00Z, a savepoint, a stamp, or now"
            onInput={(event) => setTyped(event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
          />
        </label>
        <label class="field">
          or a local time
          <input
            type="datetime-local"
            step="1"
            onChange={({ currentTarget: { value } }) => value !== "" && pick(new Date(value).toISOString())}
          />
        </label>
        <button type="submit">Show</button>
      </form>
      {problem !== null && (
        <p class="trouble" role="alert">
          {problem}
        </p>
      )}
      {savepoints.length > 0 && <Savepoints savepoints={savepoints} moment={moment} choose={pick} />}
    </section>
  );
}

/** The right end is the present: on main without a moment, on a timeline with its own. */
function draggedTo(ms: number, to: number, timeline: string | null): string | null {
  const when = ms >= to ? "now" : stampOf(ms);
  if (timeline === null) return when === "now" ? null : when;
  return `${timeline}@${when}`;
}

/** A stamp of main is shown as the time that it stands for. */
const readable = (moment: string | null): string =>
  moment === null
    ? ""
    : isSettled(moment) && !moment.includes("@")
      ? new Date(momentMs(moment)!).toISOString()
      : moment;

interface Ends {
  readonly from: number;
  readonly to: number;
}

/** The ends of the slider (MOMENTBAR2). A moment outside them stands at its end. */
function useEnds(operator: string, moment: string | null): Ends {
  const ends = useRef<Ends | null>(null);
  if (ends.current === null || moment === null) {
    const one = lastOverview.value?.operators.find(({ name }) => name === operator);
    const to = lookedAt();
    ends.current = { from: one === undefined ? to : oldestMs(one, to), to: Math.max(to, ends.current?.to ?? 0) };
  }
  const { from, to } = ends.current;
  return { from: Math.min(from, to - 1_000), to };
}

function timeText(ms: number): string {
  const [at, nowMs] = [new Date(ms).toISOString(), lookedAt()];
  return ms > nowMs ? clock(at, nowMs) : `${clock(at, nowMs)}, ${ago(at, nowMs)}`;
}

interface SliderProps {
  readonly ends: Ends;
  readonly at: number;
  readonly text: string;
  readonly savepoints: readonly SavepointInfo[];
  readonly drag: (ms: number) => void;
}

function Slider({ ends: { from, to }, at, text, savepoints, drag }: SliderProps) {
  const step = Math.max(1, Math.round((to - from) / STEPS));
  const share = (ms: number): number => (ms - from) / (to - from);
  const onKey = (event: KeyboardEvent): void => {
    const steps = KEYS[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    drag(Math.min(to, Math.max(from, at + steps * step)));
  };
  return (
    <div class="slider">
      <input
        id="moment-slider"
        type="range"
        aria-label="Moment, from the oldest that is kept to now"
        aria-valuetext={text}
        min={from}
        max={to}
        step="any"
        value={at}
        onInput={(event) => drag(Number(event.currentTarget.value))}
        onKeyDown={onKey}
      />
      <div class="marks" aria-hidden="true">
        {savepoints.map(({ name, time }) => {
          const place = share(Date.parse(time));
          return place < 0 || place > 1 ? null : (
            <i key={name} title={`${name}, ${clock(time)}`} style={{ left: `${(place * 100).toFixed(2)}%` }} />
          );
        })}
      </div>
      <p class="ends" aria-hidden="true">
        <span>{clock(new Date(from).toISOString(), lookedAt())}</span>
        <span>now</span>
      </p>
    </div>
  );
}

/** Steps for each key. "Any" as the step of the input would leave them to the browser, which differ. */
const KEYS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -50,
  PageUp: 50,
  Home: -1e9,
  End: 1e9,
};

interface SavepointsProps {
  readonly savepoints: readonly SavepointInfo[];
  readonly moment: string | null;
  readonly choose: (moment: string) => void;
}

const Savepoints = ({ savepoints, moment, choose }: SavepointsProps) => (
  <ul class="chips" aria-label="Savepoints">
    {savepoints.map(({ name, at, time }) => (
      <li key={name}>
        <button
          type="button"
          class="small"
          title={`savepoint, ${clock(time)}, ${ago(time, lookedAt())}`}
          aria-pressed={moment === String(at)}
          onClick={() => choose(String(at))}
        >
          <i class="mark" aria-hidden="true" /> {name}
        </button>
      </li>
    ))}
  </ul>
);
