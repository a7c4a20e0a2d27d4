/**
 * The history of a key, newest first, if the app has that route. A history reads the log, so the page doesn't request a
 * history at each change of the key. A button says that there are newer events.
 */
import { useEffect, useState } from "preact/hooks";
import { operatorPath } from "../client/paths.ts";
import { get, errorText } from "./api.ts";
import { stateChanges, type MemberChange } from "./changes.ts";
import { count } from "../client/amounts.ts";
import { firingWords, isCleared } from "../client/firing.ts";
import type { EntriesPage, HistoryEntry } from "../client/history.ts";
import { Tree } from "./tree.tsx";
import { TimeAgo } from "./when.tsx";

type Page = EntriesPage<unknown>;

const LIMIT = 20;

/** `seq`: of the last change. */
export function KeyHistory({
  operator,
  name,
  seq,
}: {
  readonly operator: string;
  readonly name: string;
  readonly seq: number | null;
}) {
  const [page, setPage] = useState<Page | null>(null);
  const [error, setError] = useState<string | null>(null);
  const load = async (before: number | null, signal?: AbortSignal): Promise<void> => {
    const query = new URLSearchParams({
      key: name,
      limit: String(LIMIT),
      ...(before === null ? {} : { before: String(before) }),
    });
    try {
      const next = await get<Page>(`${operatorPath(operator)}/history?${query}`, signal);
      if (signal?.aborted) return;
      setError(null);
      setPage((had) => (before === null || had === null ? next : { ...next, items: [...had.items, ...next.items] }));
    } catch (error) {
      if (signal?.aborted) return;
      setError(errorText(error));
    }
  };
  useEffect(() => {
    const mine = new AbortController();
    void load(null, mine.signal);
    return () => mine.abort();
  }, [operator, name]);
  if (page === null && error === null) return null;
  const newer = page !== null && seq !== null && seq > (page.items[0]?.seq ?? 0);
  return (
    <>
      <div class="row">
        <h3>History</h3>
        {newer && (
          <button type="button" onClick={() => void load(null)}>
            Show newer events
          </button>
        )}
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      {page !== null && page.items.length === 0 && <p class="empty">The kept log has no event of this key.</p>}
      <ol class="history">
        {page?.items.map((touch, i) => (
          <Happened key={touch.seq} touch={touch} before={stateBefore(page, i)} />
        ))}
      </ol>
      {page?.expired === true && <p class="hint">The operator's retention has given up older events.</p>}
      {page?.before !== undefined && (
        <button type="button" class="quiet" onClick={() => void load(page.before!)}>
          Older
        </button>
      )}
    </>
  );
}

/** The state that an event found, or undefined if it isn't known here. */
function stateBefore({ items, before, expired }: Page, i: number): unknown {
  const older = items[i + 1];
  if (older !== undefined) return older.unknown === undefined ? older.value : undefined;
  return before === undefined && expired !== true ? null : undefined;
}

function Happened({ touch, before }: { readonly touch: HistoryEntry<unknown>; readonly before: unknown }) {
  const { seq, time, event, outcome, value, unknown } = touch;
  const fired = firingWords(touch);
  return (
    <li>
      <p>
        <b>{event.type}</b> <Outcome outcome={outcome} />{" "}
        <span class="dim">
          seq {count(seq)}, <TimeAgo at={time} />
        </span>
      </p>
      {fired !== null ? (
        <p class="data">
          {fired}
          {isCleared(outcome) && ", for a timer that had been cleared or set to another time"}
        </p>
      ) : (
        event["data"] !== undefined && <p class="data">{JSON.stringify(event["data"])}</p>
      )}
      {unknown !== undefined ? (
        <p class="dim">state unknown: {unknown}</p>
      ) : before === undefined ? (
        <p class="dim">its change shows with older events</p>
      ) : (
        <Changes changes={stateChanges(before, value)} />
      )}
      <Tree name="event" value={event} depth={3} />
      {unknown === undefined && <Tree name="state after it" value={value} depth={3} />}
    </li>
  );
}

/** Changes that are shown; the tree below has all. */
const CHANGES = 8;

export const Changes = ({
  changes,
  none = "changed nothing",
}: {
  readonly changes: readonly MemberChange[];
  readonly none?: string;
}) =>
  changes.length === 0 ? (
    <p class="dim">{none}</p>
  ) : (
    <ul class="changes">
      {changes.slice(0, CHANGES).map(({ path, before, after }) => (
        <li key={path}>
          {path !== "" && <span class="name">{path}</span>} <del>{before ?? "none"}</del> → <ins>{after ?? "none"}</ins>
        </li>
      ))}
      {changes.length > CHANGES && <li class="dim">and {changes.length - CHANGES} more</li>}
    </ul>
  );

const Outcome = ({ outcome }: { readonly outcome: HistoryEntry<unknown>["outcome"] }) => (
  <span class={`status ${outcome.status}`}>
    {outcome.status}
    {outcome.status === "refused" && `: ${outcome.code}`}
    {outcome.status === "quarantined" && `: ${outcome.error}`}
  </span>
);
