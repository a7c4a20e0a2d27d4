/**
 * The data of the whole page: the overview, requested every two seconds (SNAP9: a route that reads D1 alone).
 *
 * LIVE1. Nothing is asked while the tab is hidden, or while the app wants a token.
 * LIVE2. One request at a time; after a failure the pauses double, up to half a minute.
 */
import { batch, computed, effect, signal } from "@preact/signals";
import type { Overview, PartitionGlance } from "../client/admin-answers.ts";
import { get, errorText } from "./api.ts";
import { refusalOf } from "./ask-all.ts";
import { SAMPLES, sampleOf, type Sample } from "./rates.ts";
import { locked, token } from "./session.ts";

const EVERY_MS = 2_000;
const MOST_MS = 30_000;
const MOMENT_MS = 150;
/** A request that fails once, as in a deployment, greys nothing out. */
const STALE_MS = 6_000;
/** The limit for a request without an answer. */
const SILENT_MS = 12_000;

export const lastOverview = signal<Overview | null>(null);
export const samples = signal<readonly Sample[]>([]);
/**
 * Overviews so far. Tables hear of each a moment later than the rest, so that both don't have to fit into one frame.
 */
export const looks = signal(0);
/** Is the overview too old? Then no view presents it as current. */
export const stale = computed(() =>
  heardAt.value === null
    ? failure.value !== null
    : now.value - heardAt.value > (failure.value === null ? SILENT_MS : STALE_MS),
);
/** The reason why the last request failed. */
export const failure = signal<string | null>(null);
/** The app's time, each second. */
export const now = signal(Date.now());
/**
 * The time of the last overview, by the app's clock. Slow values use it, so that they aren't drawn again each second.
 */
export const heardAt = signal<number | null>(null);
export const lookedAt = (): number => heardAt.value ?? now.peek();

/** The app's clock minus this one. */
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
  // Start again with another token, and stop while one is wanted and missing.
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
      failure.value = errorText(error);
      timer = setTimeout(look, Math.min(MOST_MS, EVERY_MS * 2 ** failures));
    },
  );
}

/** The numbers of a partition of which nothing is known. */
const NOTHING = { epoch: 0, appliedSeq: 0, snapshotSeq: 0, tailEvents: 0, keys: 0, stateBytes: 0, quarantined: 0 };
const filled = ({ operators, ...rest }: Overview): Overview => ({
  ...rest,
  operators: operators.map((one) => ({
    ...one,
    partitions: one.partitions.map((partition): PartitionGlance => {
      const refused = refusalOf(one.name, partition.partition);
      return { ...NOTHING, ...partition, ...(refused === null ? {} : { refused }) };
    }),
  })),
});

function took(told: Overview): void {
  const found = filled(told);
  const sample = sampleOf(found);
  ahead = sample.at - Date.now();
  batch(() => {
    now.value = sample.at;
    heardAt.value = sample.at;
    failure.value = null;
    lastOverview.value = found;
    samples.value = [...samples.peek(), sample].slice(-SAMPLES);
  });
  setTimeout(() => (looks.value += 1), MOMENT_MS);
}
