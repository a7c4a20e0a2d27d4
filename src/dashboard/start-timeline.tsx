/** Starts a timeline at a moment. */
import { useEffect, useState } from "preact/hooks";
import type { TimelineInfo } from "../client/timelines.ts";
import { timelinePath } from "../client/paths.ts";
import { put } from "./api.ts";
import { momentProblem } from "./moment-problem.ts";
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
  const [busy, setBusy] = useState(false);
  // A button of the page proposed a moment, so the name is next.
  useEffect(() => {
    if (from !== "") document.getElementById("timeline-name")?.focus();
  }, [from !== "" && from.endsWith("@now")]);
  const start = async (): Promise<void> => {
    setBusy(true);
    try {
      const made = await put<TimelineInfo>(timelinePath(name.trim()), {
        ...(from.trim() === "" ? {} : { from: from.trim() }),
        expires: expires === "never" ? null : expires,
      });
      say({ tone: "good", text: `${made.name} starts from ${made.from}, ${clock(made.time!)}.` }, made.name);
      setName("");
      setFrom("");
    } catch (error) {
      say({ tone: "bad", text: momentProblem(error) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="panel" aria-labelledby="start-title">
      <h2 id="start-title">Start a timeline</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
      >
        <label class="field">
          Name of the timeline
          <input
            id="timeline-name"
            type="text"
            required
            pattern="[a-z][a-z0-9\-]{0,62}"
            title="a-z, 0-9 and '-', beginning with a letter"
            value={name}
            placeholder="fix"
            onInput={(event) => setName(event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
          />
        </label>
        <label class="field">
          From the moment
          <input
            type="text"
            value={from}
            placeholder="now, -90m, a savepoint, main~1@now"
            onInput={(event) => setFrom(event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
          />
        </label>
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
