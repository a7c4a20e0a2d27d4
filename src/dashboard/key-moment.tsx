/**
 * The state of a key at a moment of the past, below the present one. The answer's stamp replaces the moment in the
 * address, so a link shows the same state for ever.
 */
import { useEffect, useState } from "preact/hooks";
import type { StateAnswer } from "../client/admin-answers.ts";
import { operatorPath } from "../client/paths.ts";
import { get, errorText, ApiError } from "./api.ts";
import { hrefOf, place, replace } from "./place.ts";
import { locked, token } from "./session.ts";
import { count } from "../client/amounts.ts";
import { Tree } from "./tree.tsx";
import { TimeAgo } from "./when.tsx";

interface Past {
  readonly at: number;
  readonly exact: boolean;
  /** Null if the key had no state. */
  readonly state: StateAnswer | null;
}

async function pastOf(operator: string, key: string, at: string, signal: AbortSignal): Promise<Past> {
  const query = new URLSearchParams({ key, at });
  try {
    const state = await get<StateAnswer & { at: number; exact?: false }>(
      `${operatorPath(operator)}/state?${query}`,
      signal,
    );
    return { at: state.at, exact: state.exact !== false, state };
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "no_state") throw error;
    return { at: Number(error.members["at"]), exact: error.members["exact"] !== false, state: null };
  }
}

export function KeyMoment({ operator, name }: { readonly operator: string; readonly name: string }) {
  const asked = place.value.query.get("at");
  const [typed, setTyped] = useState(asked ?? "");
  const [past, setPast] = useState<Past | null>(null);
  const [error, setError] = useState<string | null>(null);
  /** Counts the reader's requests, since an answer to the same moment may be another one later. */
  const [round, setRound] = useState(0);
  const used = token.value;
  const shut = locked.value !== null;
  const go = (at: string | null): void => {
    const { at: _, ...rest } = Object.fromEntries(place.value.query);
    replace(hrefOf(operator, "keys", { ...rest, ...(at === null ? {} : { at }) }));
  };
  useEffect(() => {
    setError(null);
    if (asked === null) setPast(null);
    if (asked === null || shut || asked === String(past?.at)) return;
    const mine = new AbortController();
    pastOf(operator, name, asked, mine.signal).then(
      (found) => {
        if (mine.signal.aborted) return;
        setPast(found);
        go(String(found.at));
      },
      (error: unknown) => {
        if (mine.signal.aborted) return;
        setPast(null);
        setError(errorText(error));
      },
    );
    return () => mine.abort();
  }, [asked, round, used, shut]);
  return (
    <>
      <form
        class="fields moment"
        onSubmit={(event) => {
          event.preventDefault();
          go(typed.trim() === "" ? null : typed.trim());
          setRound((n) => n + 1);
        }}
      >
        <label class="field">
          As of
          <input
            type="text"
            value={typed}
            placeholder="-90m, 2026-01-31T12:00:00Z, a stamp, or now"
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
            onChange={(event) => {
              const { value } = event.currentTarget;
              if (value === "") return;
              const time = new Date(value).toISOString();
              setTyped(time);
              go(time);
            }}
          />
        </label>
        <button type="submit">Show</button>
      </form>
      {error !== null && <p class="trouble">{error}</p>}
      {past !== null && asked !== null && <Then past={past} />}
    </>
  );
}

/** A stamp is milliseconds times 1024, plus a counter. */
const timeOf = (stamp: number): string => new Date(Math.floor(stamp / 1_024)).toISOString();

const Then = ({ past: { at, exact, state } }: { readonly past: Past }) => (
  <section class="then" aria-labelledby="then-title">
    <h3 id="then-title">
      As of <TimeAgo at={timeOf(at)} />
    </h3>
    <p class="dim">
      stamp {at}
      {state !== null && `, seq ${count(state.seq)}`}
    </p>
    {!exact && (
      <p class="hint">
        Another version of the operator applied some of these events. This is what the present version makes of them.
      </p>
    )}
    {state === null ? <p class="empty">This key had no state.</p> : <Tree value={state.value} />}
  </section>
);
