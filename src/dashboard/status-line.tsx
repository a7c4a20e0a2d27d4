/** The troubles, above everything else, and whether the page is up to date. */
import { replies, askAll, round } from "./ask-all.ts";
import { failure, heardAt, lookedAt, now, lastOverview, stale } from "./live.ts";
import { problemsOf } from "./problems.ts";
import { locked } from "./session.ts";
import { age, many } from "../client/amounts.ts";
import { clock } from "./text.ts";

/** Problems that are shown at once. The rest is counted. */
const SHOWN = 6;

export function StatusLine() {
  const found = lastOverview.value;
  const heard = heardAt.value;
  if (locked.value !== null) return null;
  if (stale.value) {
    const since =
      heard === null ? "" : ` The values below are of ${clock(new Date(heard).toISOString())}, and greyed out.`;
    return (
      <section class="state bad" role="status" aria-label="Status">
        <p>
          <b>The app doesn't answer</b>
          {heard === null ? "" : ` for ${age(now.value - heard)}`}: {failure.value ?? "no answer in time"}.{since}
        </p>
      </section>
    );
  }
  if (found === null) return null;
  const problems = problemsOf(found, lookedAt());
  const level = problems.some((one) => one.level === "bad") ? "bad" : problems.length > 0 ? "note" : "ok";
  return (
    <section class={`state ${level}`} aria-label="Status">
      {problems.length === 0 ? (
        <p>
          <b>Healthy</b> <Rounds />
        </p>
      ) : (
        <>
          <p>
            <b>{many(problems.length, "problem")}</b> <Rounds />
          </p>
          <ul>
            {problems.slice(0, SHOWN).map(({ level, text, href }) => (
              <li key={text} class={level}>
                <a href={href}>{text}</a>
              </li>
            ))}
            {problems.length > SHOWN && <li>and {problems.length - SHOWN} more</li>}
          </ul>
        </>
      )}
    </section>
  );
}

/** D1 knows most troubles. Whether a partition answers, only the partition can show. */
function Rounds() {
  const last = round.value;
  const bad = replies.value.filter(({ refusal }) => refusal !== null).length;
  const busy = last !== null && last.left > 0;
  const words = busy
    ? `asking, ${last.all - last.left} of ${last.all}`
    : last === null
      ? "from D1"
      : bad === 0
        ? `from D1, and all ${last.all} partitions answered at ${clock(new Date(last.at).toISOString())}`
        : `${bad} of ${last.all} partitions refused at ${clock(new Date(last.at).toISOString())}`;
  return (
    <>
      <span class="dim" role="status">
        {words}
      </span>{" "}
      <button
        type="button"
        class="small"
        disabled={busy}
        title="Asks each partition itself, and wakes sleeping ones"
        onClick={() => lastOverview.value !== null && void askAll(lastOverview.value)}
      >
        Ask every partition
      </button>
    </>
  );
}
