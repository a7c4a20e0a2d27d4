/**
 * What the whole page lives on: the overview, asked for every two seconds (SNAP9: a route that reads D1 alone).
 *
 * L1. Nothing is asked while the tab is hidden, or while the app wants a token.
 * L2. One request at a time; after a failure the pauses double, up to half a minute.
 */
import { batch, effect, signal } from "@preact/signals";
import type { Overview } from "./answers.ts";
import { get, messageOf } from "./api.ts";
import { SAMPLES, sampleOf, type Sample } from "./rates.ts";
import { locked, token } from "./session.ts";

const EVERY_MS = 2_000;
const MOST_MS = 30_000;
const MOMENT_MS = 150;

export const overview = signal<Overview | null>(null);
export const samples = signal<readonly Sample[]>([]);
/** Overviews so far. Tables hear of each a moment later than all else, so that both don't have to fit into one frame. */
export const looks = signal(0);
/** Why the last look failed. */
export const failure = signal<string | null>(null);
/** The app's time, each second. */
export const now = signal(Date.now());
/** When the last overview came, by the app's time. What changes slowly is told by it, and not drawn anew with each second. */
export const heardAt = signal<number | null>(null);
export const lookedAt = (): number => heardAt.value ?? now.peek();

/** What the app's clock is ahead of this one. */
let ahead = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
let under: AbortController | null = null;

export function start(): void {
  const tick = (): void => {
    if (!document.hidden) now.value = Date.now() + ahead;
  };
  setInterval(tick, 1_000);
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : look()));
  // Again with another token, and not without one that is wanted.
  effect(() => {
    void token.value;
    if (locked.value === null) look();
    else pause();
  });
}

function pause(): void {
  clearTimeout(timer);
  under?.abort();
  under = null;
}

function look(): void {
  pause();
  if (document.hidden || locked.peek() !== null) return;
  const mine = new AbortController();
  under = mine;
  void get<Overview>("/v1/overview", mine.signal).then(
    (found) => {
      if (under !== mine) return;
      failures = 0;
      took(found);
      timer = setTimeout(look, EVERY_MS);
    },
    (error: unknown) => {
      if (under !== mine) return;
      failures += 1;
      failure.value = messageOf(error);
      timer = setTimeout(look, Math.min(MOST_MS, EVERY_MS * 2 ** failures));
    },
  );
}

function took(found: Overview): void {
  const sample = sampleOf(found);
  ahead = sample.at - Date.now();
  batch(() => {
    now.value = sample.at;
    heardAt.value = sample.at;
    failure.value = null;
    overview.value = found;
    samples.value = [...samples.peek(), sample].slice(-SAMPLES);
  });
  setTimeout(() => (looks.value += 1), MOMENT_MS);
}
