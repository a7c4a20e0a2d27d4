/**
 * The pending timers of a key, and when it expires. They are asked for again at each change of the key, and a key without
 * any shows nothing.
 */
import { Fragment } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { TimersOfKey } from "../client/operator-reads.ts";
import { operatorPath } from "../client/paths.ts";
import { ApiError, errorText, get } from "./api.ts";
import { TimeUntil } from "./when.tsx";

/** `seq`: of the last change. */
export function PendingTimers({
  operator,
  name,
  seq,
}: {
  readonly operator: string;
  readonly name: string;
  readonly seq: number | null;
}) {
  const [found, setFound] = useState<TimersOfKey | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const mine = new AbortController();
    get<TimersOfKey>(`${operatorPath(operator)}/timers?key=${encodeURIComponent(name)}`, mine.signal).then(
      (answer) => {
        if (mine.signal.aborted) return;
        setError(null);
        setFound(answer);
      },
      (error: unknown) => {
        if (mine.signal.aborted) return;
        setFound(null);
        setError(error instanceof ApiError && error.code === "no_state" ? null : errorText(error));
      },
    );
    return () => mine.abort();
  }, [operator, name, seq]);
  if (error !== null) return <p class="trouble">{error}</p>;
  if (found === null || (found.timers.length === 0 && found.expires === null)) return null;
  return (
    <dl class="line" aria-label="Pending timers">
      {found.timers.map(({ name: timer, due }) => (
        <Fragment key={timer}>
          <dt>timer {timer}</dt>
          <dd>
            <TimeUntil at={due} />
          </dd>
        </Fragment>
      ))}
      {found.expires !== null && (
        <>
          <dt>expires</dt>
          <dd>
            <TimeUntil at={found.expires} />
          </dd>
        </>
      )}
    </dl>
  );
}
