/** Starts a timeline at a moment. */
import { useEffect, useState } from "preact/hooks";
import type { TimelineInfo } from "../client/timelines.ts";
import { timelinePath } from "../client/paths.ts";
import { useActing } from "./acting.ts";
import { put } from "./api.ts";
import { momentProblem } from "./moment-problem.ts";
import { NameField, TextField } from "./text-field.tsx";
import { clock } from "./text.ts";
import type { Said } from "./said.ts";

/** `null` as the app takes it: until somebody deletes it. */
const EXPIRES: readonly (readonly [value: string, words: string])[] = [
  ["12h", "after 12 hours"],
  ["1d", "after a day"],
  ["7d", "after 7 days"],
  ["30d", "after 30 days"],
  ["never", "never"],
];

/** `own`: no replay. The others are as the app takes them. */
const TAKES: readonly (readonly [value: string, words: string])[] = [
  ["own", "its own events"],
  ["logged", "main's events, outcomes kept"],
  ["decide", "main's events, decided anew"],
];

interface StartTimelineProps {
  readonly from: string;
  readonly setFrom: (from: string) => void;
  readonly say: (said: Said, choose?: string | null) => void;
}

export function StartTimeline({ from, setFrom, say }: StartTimelineProps) {
  const [name, setName] = useState("");
  const [takes, setTakes] = useState("own");
  const [expires, setExpires] = useState("7d");
  const [busy, act] = useActing(say, momentProblem);
  // A button of the page proposed a moment, so the name is next.
  useEffect(() => {
    if (from !== "") document.getElementById("timeline-name")?.focus();
  }, [from !== "" && from.endsWith("@now")]);
  const start = async (): Promise<void> => {
    const made = await put<TimelineInfo>(timelinePath(name.trim()), {
      ...(from.trim() === "" ? {} : { from: from.trim() }),
      expires: expires === "never" ? null : expires,
      ...(takes === "own" ? {} : { replay: takes }),
    });
    const replays = takes === "own" ? "" : ", and replays main's log from there";
    say({ tone: "good", text: `${made.name} starts from ${made.from}, ${clock(made.time!)}${replays}.` }, made.name);
    setName("");
    setFrom("");
    setTakes("own");
  };
  return (
    <section class="panel" aria-labelledby="start-title">
      <h2 id="start-title">Start a timeline</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          act(start);
        }}
      >
        <NameField id="timeline-name" label="Name of the timeline" value={name} placeholder="fix" change={setName} />
        <TextField
          label="From the moment"
          value={from}
          placeholder="now, -90m, a savepoint, main~1@now"
          change={setFrom}
        />
        <Choice label="Takes" value={takes} set={setTakes} options={TAKES} />
        {takes !== "own" && (
          <p class="hint">
            It runs main's log from there with the code that is deployed, and follows main until it is promoted.
          </p>
        )}
        <Choice label="Expires" value={expires} set={setExpires} options={EXPIRES} />
        <p class="actions">
          <button type="submit" class="strong" disabled={busy}>
            Start it
          </button>
        </p>
      </form>
    </section>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly set: (value: string) => void;
  readonly options: readonly (readonly [value: string, words: string])[];
}

const Choice = ({ label, value, set, options }: ChoiceProps) => (
  <label class="field">
    {label}
    <select value={value} onChange={(event) => set(event.currentTarget.value)}>
      {options.map(([option, words]) => (
        <option key={option} value={option}>
          {words}
        </option>
      ))}
    </select>
  </label>
);
