/**
 * The state of a key at the chosen moment, beside the present one. The answer's stamp replaces the moment in the
 * address, so a link shows the same state for ever.
 */
import { useEffect, useState } from "preact/hooks";
import type { StateAnswer } from "../client/admin-answers.ts";
import { momentOn } from "../client/moment.ts";
import { operatorPath } from "../client/paths.ts";
import { get, ApiError } from "./api.ts";
import { stateChanges } from "./changes.ts";
import { Changes } from "./key-history.tsx";
import { settledAs, timeOf } from "./moments.ts";
import { locked, token } from "./session.ts";
import { count } from "../client/amounts.ts";
import { Tree } from "./tree.tsx";
import { TimeAgo } from "./when.tsx";

export interface Past {
  /** The moment in the address that this answers. */
  readonly moment: string;
  readonly at: number;
  readonly exact: boolean;
  /** Null if the key had no state. */
  readonly state: StateAnswer | null;
}

/** A page's moment, and what its views report about it. */
export interface MomentOfPage {
  readonly moment: string | null;
  /** It can't be shown, and the page says why. */
  readonly broken: boolean;
  /** Counts the reader's requests, since an answer to the same moment may be another one later. */
  readonly round: number;
  /** An answer named the stamp that the moment means. */
  readonly settled: (moment: string) => void;
  readonly failed: (error: unknown) => void;
}

async function pastOf(operator: string, key: string, moment: string, signal: AbortSignal): Promise<Past> {
  const query = new URLSearchParams({ key, at: moment });
  const answered = (at: number, exact: boolean, state: StateAnswer | null): Past => ({
    moment: settledAs(moment, at),
    at,
    exact,
    state,
  });
  try {
    const state = await get<StateAnswer & { at: number; exact?: false }>(
      `${operatorPath(operator)}/state?${query}`,
      signal,
    );
    return answered(state.at, state.exact !== false, state);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "no_state") throw error;
    return answered(Number(error.members["at"]), error.members["exact"] !== false, null);
  }
}

/** Returns null for the present, and until the answer is there. */
export function usePast(operator: string, name: string, page: MomentOfPage): Past | null {
  const { moment, round, settled, failed } = page;
  const [past, setPast] = useState<Past | null>(null);
  const used = token.value;
  const shut = locked.value !== null;
  useEffect(() => {
    if (moment === null) setPast(null);
    if (moment === null || shut || moment === past?.moment) return;
    const mine = new AbortController();
    pastOf(operator, name, moment, mine.signal).then(
      (found) => {
        if (mine.signal.aborted) return;
        setPast(found);
        settled(found.moment);
      },
      (error: unknown) => {
        if (mine.signal.aborted) return;
        setPast(null);
        failed(error);
      },
    );
    return () => mine.abort();
  }, [moment, round, used, shut]);
  return moment === null ? null : past;
}

export const Then = ({ past: { moment, at, exact, state } }: { readonly past: Past }) => (
  <section class="then" aria-labelledby="then-title">
    <h3 id="then-title">
      As of <TimeAgo at={timeOf(at)} />
      {momentOn(moment).timeline !== null && `, on ${momentOn(moment).timeline}`}
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

/** The changes from the moment to the present of main. `value`: the present one, null if there is no state. */
export const Since = ({ past: { moment, state }, value }: { readonly past: Past; readonly value: unknown }) => (
  <section class="since" aria-labelledby="since-title">
    <h3 id="since-title">{momentOn(moment).timeline === null ? "Changed since then" : "Otherwise on main"}</h3>
    <Changes changes={stateChanges(state?.value ?? null, value)} none="nothing" />
  </section>
);
