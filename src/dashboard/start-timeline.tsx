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

interface StartTimelineProps {
  readonly from: string;
  readonly setFrom: (from: string) => void;
  readonly say: (said: Said, choose?: string | null) => void;
}

export function StartTimeline({ from, setFrom, say }: StartTimelineProps) {
  const [name, setName] = useState("");
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
    });
    say({ tone: "good", text: `${made.name} starts from ${made.from}, ${clock(made.time!)}.` }, made.name);
    setName("");
    setFrom("");
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
        <label class="field">
          Expires
          <select value={expires} onChange={(event) => setExpires(event.currentTarget.value)}>
            {EXPIRES.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <p class="actions">
          <button type="submit" class="strong" disabled={busy}>
            Start it
          </button>
        </p>
      </form>
    </section>
  );
}
