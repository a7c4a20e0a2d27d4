/**
 * One key, kept up to date by `watch`.
 *
 * LIVEKEY1. Nothing is open or asked while the tab is hidden.
 * LIVEKEY2. An older value never replaces a newer one.
 */
import { useEffect, useState } from "preact/hooks";
import { systemClock } from "../client/clock.ts";
import { Http } from "../client/http.ts";
import { Patience } from "../client/patience.ts";
import { watchStates } from "../client/watch.ts";
import type { StateAnswer } from "../client/admin-answers.ts";
import { operatorPath } from "../client/paths.ts";
import { get, errorText, ApiError } from "./api.ts";
import { token } from "./session.ts";

const RETRY = { firstMs: 500, mostMs: 15_000, overallMs: 3_600_000 };

export interface LiveKey {
  /** The way in which it is kept up to date. */
  readonly by: "asking" | "watch";
  /** Undefined until the value is known, and null if the key has no state. */
  readonly value: unknown;
  readonly seq: number | null;
  /** Its partition and last change, or null if they weren't requested since. */
  readonly state: StateAnswer | null;
  readonly error: string | null;
}

const NOTHING: LiveKey = { by: "asking", value: undefined, seq: null, state: null, error: null };

export function useLiveKey(operator: string, key: string | null): LiveKey {
  const [live, setLive] = useState<LiveKey>(NOTHING);
  const used = token.value;
  useEffect(() => {
    setLive(NOTHING);
    if (key === null) return;
    let stop = new AbortController();
    const set = (change: Partial<LiveKey>): void => setLive((before) => ({ ...before, ...change }));
    const onVisible = (): void => {
      stop.abort();
      if (document.hidden) return;
      stop = new AbortController();
      void follow(operator, key, used, stop.signal, set);
    };
    onVisible();
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      document.removeEventListener("visibilitychange", onVisible);
      stop.abort();
    };
  }, [operator, key, used]);
  return live;
}

type Set = (change: Partial<LiveKey>) => void;

async function follow(operator: string, key: string, used: string | null, stop: AbortSignal, set: Set): Promise<void> {
  const query = `?key=${encodeURIComponent(key)}`;
  const read = async (): Promise<void> => {
    try {
      const state = await get<StateAnswer>(`${operatorPath(operator)}/state${query}`, stop);
      if (!stop.aborted) set({ state, value: state.value, seq: state.seq, error: null });
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof ApiError && error.code === "no_state")
        set({ state: null, value: null, seq: null, error: null });
      else set({ error: errorText(error) });
    }
  };
  await read();
  if (stop.aborted) return;
  const target = {
    http: new Http({
      url: location.origin,
      token: used,
      fetch: (url, init) => fetch(url, init),
      clock: systemClock,
      attemptMs: 30_000,
    }),
    patience: () => new Patience(systemClock, Math.random, RETRY),
    path: `${operatorPath(operator)}/watch${query}`,
  };
  try {
    for await (const { value, seq } of watchStates(target, { signal: stop }))
      set({ by: "watch", value, seq, error: null });
  } catch (error) {
    if (!stop.aborted) set({ error: errorText(error) });
  }
}
