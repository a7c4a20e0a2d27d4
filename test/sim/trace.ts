/**
 * The trace: one line for each step, and how often each thing that matters was seen.
 *
 * TRACE1. Times and names in it are the world's own, so the same seed gives the same bytes.
 */
export const COUNTED = [
  "requests",
  "events acknowledged",
  "events given up",
  "reads",
  "scans",
  "asks",
  "retries by clients",
  "duplicates",
  "duplicates in flight",
  "ids reused",
  "numbered requests",
  "epochs raised",
  "events rejected for a while",
  "known by number alone",
  "producers refused",
  "refusals",
  "quarantined",
  "settled since",
  "duplicates of what was settled",
  "edits",
  "edits refused",
  "edits by tag",
  "erasures",
  "erasures beside other commands",
  "retries applied",
  "retries that threw again",
  "quarantined events deleted",
  "commands on nothing",
  "commands repeated",
  "commands of many",
  "too many keys",
  "quotas exceeded",
  "commits",
  "commits refused",
  "claims",
  "claims refused",
  "zombie writes refused",
  "stamps made anew",
  "ambiguous commits",
  "ambiguous promotions",
  "late executions",
  "errors before",
  "errors after",
  "silences",
  "puts refused",
  "outages of D1",
  "outages of R2",
  "calls lost on their way",
  "answers lost",
  "openings",
  "openings to read",
  "catch-ups",
  "replays",
  "replays of several pages",
  "replays of the archive",
  "fallbacks",
  "crashes",
  "crashes at a call",
  "evictions",
  "instances superseded",
  "rivals at a call",
  "calls to superseded instances",
  "fences",
  "busy answers",
  "full queues",
  "deploys",
  "rollbacks",
  "older code on newer state",
  "migrations",
  "states shown that can't be migrated",
  "events whose key can't be migrated",
  "snapshots with what can't be migrated",
  "fixed migrations",
  "stepped aside",
  "callers told that the object is older",
  "callers of a newer wire version",
  "snapshots",
  "deltas",
  "promotions refused",
  "objects displaced",
  "files collected",
  "collections skipped",
  "restore points given up",
  "restore points read",
  "archives expired",
  "pins",
  "pins refused",
  "unpins",
  "moments read",
  "moments compared",
  "events decided anew",
  "states compared with a snapshot",
  "moments not exact",
  "moments gone",
  "moments not settled",
  "savepoints taken",
  "savepoints in doubt",
  "savepoints refused",
  "savepoints removed",
  "savepoints read",
  "savepoints rebuilt",
  "savepoints that only D1 has whole",
  "verifications",
  "damaged objects",
  "damaged objects read",
  "reads of objects that can't be read",
  "fallbacks from what can't be read",
  "missing objects read",
  "alarms",
  "alarms lost",
  "alarms late",
  "damage found while reading",
  "parts of snapshots",
  "ranges from the cache",
  "ranges read",
  "ranges read ahead",
  "ranges wrong in the cache",
  "alarms twice",
  "crons that woke",
  "crons that woke for a timer",
  "clocks forward",
  "clocks back",
  "clocks standing still",
  "marks undone",
  "floors raised",
  "workers died",
  "lulls",
  "full replays compared",
  "logs read downwards",
  "logs read past given-up archives",
  "databases restored to an older point",
  "databases restored to a later point",
  "databases lost",
  "refused, since D1 was restored to an older point",
  "adoptions of D1",
  "adoptions of R2",
  "adoptions that came second",
  "recoveries from R2",
  "recoveries of nothing",
] as const;
export type Counted = (typeof COUNTED)[number];
export type Counts = Record<Counted, number>;

export const noCounts = (): Counts => Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counts;

export class Trace {
  readonly counts: Counts = noCounts();
  readonly #nowMs: () => number;
  readonly #write: ((line: string) => void) | null;
  readonly #beganMs: number;

  /** `write` null: only counts are kept, which is what many seeds want. */
  constructor(nowMs: () => number, write: ((line: string) => void) | null) {
    this.#nowMs = nowMs;
    this.#write = write;
    this.#beganMs = nowMs();
  }

  get on(): boolean {
    return this.#write !== null;
  }

  count(name: Counted, by = 1): void {
    this.counts[name] += by;
  }

  /** The text is made only where somebody reads it. */
  say(who: string, what: () => string): void {
    if (this.#write === null) return;
    const at = ((this.#nowMs() - this.#beganMs) / 1_000).toFixed(3).padStart(10);
    this.#write(`${at}  ${who.padEnd(14)} ${what()}`);
  }
}
