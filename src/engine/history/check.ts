/**
 * Check: would this code decide as the log says, and make the states that snapshots hold? The deploy gate asks that
 * before code goes live.
 *
 * CHECK1. Only D1 and R2 are read. Nothing is written, and no partition notices (PAST1).
 * CHECK2. The check begins at the newest kept snapshot at or before its first moment. Every event above the snapshot is
 *     decided anew by this code, from the states that this code made (MACHINE5).
 * CHECK3. Only what is known is compared: outcomes and replies with the log (decisions.ts), and states with the newest
 *     later snapshot, as the code that ran then left them. Both sides are migrated to this code's version. The rest
 *     is named as a gap, and never counts as equal.
 * CHECK4. A migration runs on every state of the newest snapshot, since each of them will be migrated after the deploy.
 * CHECK5. Memory doesn't grow with the log (PAST3). Each step is bounded, and says where the next one begins.
 */
import { Damage, isUnreadable } from "../base/errors.ts";
import { hashGroup } from "../base/hash.ts";
import { type Seq, seq, type Stamp, stamp } from "../base/ids.ts";
import { jsonDifference } from "../base/json-difference.ts";
import { compareUtf8 } from "../base/json.ts";
import { PASS, QUARANTINE_EVENTS, READ_BYTES } from "../base/limits.ts";
import type { Roots } from "../base/records.ts";
import { persistent, sleep } from "../base/retry.ts";
import type { Event } from "../event/event.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { migrationFailed } from "../operator/migration.ts";
import type { Keyed } from "../operator/routing.ts";
import { type KeptSnapshot, keptSnapshots, passesOver } from "../recovery/kept-snapshots.ts";
import { type Gone, load, openKept, replayWithin, unlessRemoved } from "../recovery/past-state.ts";
import type { Loaded } from "../snapshot/key-loader.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { read } from "../snapshot/reads.ts";
import { StoredState } from "../snapshot/stored-state.ts";
import { keptIds } from "../state/dedup.ts";
import { Decisions, short } from "./decisions.ts";
import {
  type CheckedLog,
  type CheckGap,
  type CheckPlace,
  type CheckStep,
  type DedupFinding,
  type Finding,
  NO_COUNTS,
  type StateFinding,
} from "./findings.ts";
import { KeyRange, type Order, type Pass } from "./key-range.ts";

/** The partition, the code, and what of the partition is checked. */
export interface CheckRequest {
  readonly env: LogEnvironment;
  /** Returns the key of an event by this code, or why this code rejects the event. */
  readonly keyOf: (event: Event) => Keyed;
  readonly from: Stamp;
  /** Events and snapshots above it don't count. */
  readonly to: Stamp;
  /** Number of keys whose events are decided, the same ones at each check. Null for all keys. */
  readonly sample: number | null;
}

export const CHECK_START: CheckPlace = { part: "states", after: "", sampled: 0 };

const step = (next: CheckPlace | null, given: Partial<CheckStep> = {}): CheckStep => ({
  findings: [],
  counts: NO_COUNTS,
  gaps: [],
  log: null,
  ...given,
  next,
});

/** Yields the steps of a check of one partition. @throws Damage, Failure */
export async function* checkPartition(
  request: CheckRequest,
  from: CheckPlace = CHECK_START,
  pass: Pass = PASS,
): AsyncGenerator<CheckStep, void> {
  let place: CheckPlace | null = from;
  if (place.part === "states") {
    place = yield* checkStates(request, place.after, pass);
    if (place === null) return;
  }
  while (place !== null) {
    const done = await decideEvents(request, place, pass);
    yield done;
    place = done.next;
  }
}

const EVENTS: CheckPlace = { part: "events", after: "", sampled: 0 };

/** Migrates the states of the newest snapshot (CHECK4), and compares the ids that it knows. */
async function* checkStates(
  { env, to }: CheckRequest,
  after: string,
  pass: Pass,
): AsyncGenerator<CheckStep, CheckPlace | null> {
  const newest = await newestStates(env, to);
  if (newest.tag === "unused") {
    yield step(null, { gaps: ["unused"] });
    return null;
  }
  if (newest.tag !== "found") return EVENTS;
  const { manifest, stored } = newest;
  let findings: Finding[] = after === "" ? forgottenIds(env, stored) : [];
  const { operator } = env;
  if (manifest.operatorVersion === operator.version && (manifest.unmigrated?.keys ?? 0) === 0) {
    yield step(EVENTS, { findings });
    return EVENTS;
  }
  let [keys, failed] = [0, 0];
  for await (const chunk of stored.entries(after, [], false)) {
    for (const [key, entry] of chunk) {
      if (key === after || entry === null) continue;
      keys += 1;
      if (entry.version === undefined) continue;
      failed += 1;
      const detail = migrationFailed(operator, key, entry.version, entry.text);
      if (findings.length < LISTED)
        findings.push({ finding: "migration", key, seq: entry.seq, version: entry.version, detail });
    }
    if (keys < pass.keys) continue;
    const counts = { ...NO_COUNTS, migrated: keys, unmigrated: failed };
    yield step({ part: "states", after: chunk.at(-1)![0], sampled: 0 }, { findings, counts });
    [findings, keys, failed] = [[], 0, 0];
  }
  yield step(EVENTS, { findings, counts: { ...NO_COUNTS, migrated: keys, unmigrated: failed } });
  return EVENTS;
}

/** Findings of a step that are listed. All are counted. */
const LISTED = 1_000;

function forgottenIds({ operator: { dedup } }: LogEnvironment, stored: StoredState): DedupFinding[] {
  const { dedup: known, clock } = stored.files.at(-1)!.footer;
  const { keepFrom } = keptIds(dedup, known, Math.floor(clock / 60_000));
  return keepFrom <= known.first ? [] : [{ finding: "dedup", from: known.first, to: keepFrom - 1 }];
}

type Newest =
  | { readonly tag: "found"; readonly manifest: Manifest; readonly stored: StoredState }
  | { readonly tag: "none" | "unreadable" };

/** Returns the newest kept snapshot above a seq that this code can read. */
async function newestOf(env: LogEnvironment, roots: Roots, to: Stamp, above: Seq): Promise<Newest> {
  const fits = ({ seq: at, stamp }: KeptSnapshot): boolean => at > above && stamp <= to;
  const kept = keptSnapshots(env, roots).filter(fits);
  for (const one of kept.toReversed().slice(0, TRIED)) {
    try {
      const manifest = await one.manifest();
      return { tag: "found", manifest, stored: await StoredState.states(env, manifest, env.operator) };
    } catch (error) {
      if (!passesOver(error)) throw error;
    }
  }
  return { tag: kept.length === 0 ? "none" : "unreadable" };
}

/** Snapshots that are tried. */
const TRIED = 6;

/** Returns the newest snapshot whose states a partition has, which may be of the line that its own starts from. */
async function newestStates(env: LogEnvironment, to: Stamp): Promise<Newest | { readonly tag: "unused" }> {
  const roots = await persistent(env.clock, "D1", () => env.log.roots());
  const own = roots === null ? ({ tag: "unused" } as const) : await newestOf(env, roots, to, seq(0));
  const { origin } = env;
  if (origin === undefined || own.tag === "found" || own.tag === "unreadable") return own;
  const earlier = await unlessRemoved(() => newestStates(origin.env, stamp(Math.min(to, origin.at))));
  return earlier === null || earlier.tag === "unused" ? own : earlier;
}

async function decideEvents(request: CheckRequest, place: CheckPlace, pass: Pass): Promise<CheckStep> {
  const { env, from } = request;
  const done = await openKept(env, from, async (base, roots): Promise<CheckStep | Gone> => {
    if (roots === null) return step(null, { gaps: [env.origin === undefined ? "unused" : "no_events"] });
    // A savepoint keeps its moment alone, and not the log above it.
    if (from < roots.retainFrom) return { tag: "gone", oldest: roots.retainFrom };
    return new EventCheck(request, place, pass).run(base, roots);
  });
  return "tag" in done ? step(null, { gaps: ["moment_gone"] }) : done;
}

/** Keys whose states were compared. */
type ComparedStates = Map<string, StateFinding | "equal" | "different">;

/** One pass over the log of a partition. */
class EventCheck {
  readonly #request: CheckRequest;
  readonly #place: CheckPlace;
  readonly #decisions: Decisions;
  readonly #range: KeyRange;
  #held = (): number => 0;

  constructor(request: CheckRequest, place: CheckPlace, pass: Pass) {
    const { env, keyOf, sample } = request;
    this.#request = request;
    this.#place = place;
    this.#decisions = new Decisions(env.id.partition, keyOf);
    const order = sample === null ? compareUtf8 : byHash;
    const within = (key: string): boolean => place.after === "" || order(key, place.after) > 0;
    const keys = sample === null ? pass.keys : Math.min(pass.keys, 2 * (sample - place.sampled));
    this.#range = new KeyRange(within, { ...pass, keys }, () => this.#held(), order);
  }

  async run(base: Manifest | null, roots: Roots): Promise<CheckStep> {
    const { env, from, to } = this.#request;
    const loaded = await load(env, roots.row, base, true, (held) => {
      this.#held = held;
      return (key) => this.#admits(key);
    });
    const { machine } = loaded;
    machine.anew = this.#decisions.anew;
    const [after, afterStamp] = [machine.seq, machine.stamp];
    const later = await newestOf(env, roots, to, after);
    const gaps: CheckGap[] = later.tag === "unreadable" ? ["snapshot_unreadable"] : [];
    if (env.origin !== undefined && from < env.origin.at) gaps.push("line_start");
    let states: ComparedStates | null = null;
    if (later.tag === "found") {
      const { manifest, stored } = later;
      await replayWithin(env, base, loaded, ({ last }) => last <= manifest.seq && !machine.quarantine.full);
      if (machine.seq === manifest.seq) states = await this.#compare(loaded, stored);
      else if (!machine.quarantine.full) throw new Damage(`no segment ends at seq ${manifest.seq} of the snapshot`);
      if (states === null && !machine.quarantine.full) gaps.push("snapshot_unreadable");
    }
    await replayWithin(env, base, loaded, ({ stamp }) => stamp <= to && !machine.quarantine.full);
    if (machine.seq === after) gaps.push("no_events");
    else if (later.tag === "none") gaps.push("one_snapshot");
    const snapshot = states === null || later.tag !== "found" ? null : later.manifest.seq;
    const codes = [...machine.replayedFrom].sort();
    const log = { after, afterStamp, upTo: machine.seq, snapshot, codes };
    return this.#step(log, gaps, states, machine.quarantine.full);
  }

  /** A key that the log touches. */
  #admits(key: string): boolean {
    if (this.#decisions.size >= 2 * Math.max(this.#range.size, 1))
      this.#decisions.keepOnly((one) => this.#range.has(one));
    return this.#range.admits(key);
  }

  /** Compares the states of all keys so far with those of a snapshot at the same seq. Returns null if it can't be read. */
  async #compare(loaded: Loaded, stored: StoredState): Promise<ComparedStates | null> {
    const { clock } = this.#request.env;
    const { state, seq: at } = loaded.machine;
    const compared: ComparedStates = new Map();
    let listed = 0;
    const keys = this.#range.keys.sort(compareUtf8);
    const some = state.keysIn(READ_BYTES);
    for (let from = 0; from < keys.length; from += some) {
      const wanted = keys.slice(from, from + some);
      const entries = await read(loaded, wanted, Number.POSITIVE_INFINITY);
      let found: Awaited<ReturnType<StoredState["find"]>>;
      try {
        found = await stored.find(wanted, () => sleep(clock, 0));
      } catch (error) {
        if (isUnreadable(error)) return null;
        throw error;
      }
      for (const [i, key] of wanted.entries()) {
        const [logged, now] = [found.get(key) ?? null, entries[i] ?? null];
        // The migration that failed is a finding by itself.
        if (logged?.version !== undefined || now?.version !== undefined) continue;
        const finding = stateFinding(key, at, logged?.text ?? null, now?.text ?? null);
        compared.set(key, finding === null ? "equal" : listed < LISTED ? finding : "different");
        if (finding !== null) listed += 1;
      }
    }
    return compared;
  }

  #step(log: CheckedLog, gaps: readonly CheckGap[], states: ComparedStates | null, full: boolean): CheckStep {
    const { sample } = this.#request;
    const left = sample === null ? Number.POSITIVE_INFINITY : sample - this.#place.sampled;
    const keys = this.#range.keys.slice(0, left);
    const findings: Finding[] = full ? [{ finding: "quarantine_full", seq: log.upTo, events: QUARANTINE_EVENTS }] : [];
    const counts = { ...NO_COUNTS, keys: keys.length };
    for (const key of keys) {
      const decisions = this.#decisions.of(key);
      const state = states?.get(key);
      counts.events += decisions?.events ?? 0;
      counts.replies += decisions?.replies ?? 0;
      counts.eventsDiffering += decisions?.differing ?? 0;
      counts.states += state === undefined ? 0 : 1;
      counts.statesDiffering += state === undefined || state === "equal" ? 0 : 1;
      counts.open += (decisions?.last ?? 0) > (log.snapshot ?? 0) ? 1 : 0;
      counts.differing += (state ?? "equal") !== "equal" || (decisions?.differing ?? 0) > 0 ? 1 : 0;
      const found = [decisions?.first, state].filter((one) => typeof one === "object" && one !== null);
      if (findings.length < LISTED) findings.push(...found);
    }
    const more = this.#range.end !== null && keys.length < left && !full;
    const next = more
      ? ({ part: "events", after: this.#range.end!, sampled: this.#place.sampled + keys.length } as const)
      : null;
    return { findings, counts, gaps, log, next };
  }
}

/** A fixed order of the keys that has nothing to do with their names. */
const byHash: Order = (a, b) => hashGroup(a, 0) - hashGroup(b, 0) || compareUtf8(a, b);

function stateFinding(key: string, at: Seq, logged: string | null, now: string | null): StateFinding | null {
  if (logged === now) return null;
  const parse = (text: string | null): unknown => (text === null ? undefined : JSON.parse(text));
  const difference = jsonDifference(parse(logged), parse(now));
  if (difference === null) return null;
  const { path, a, b } = difference;
  return {
    finding: "state",
    key,
    seq: at,
    path,
    ...(a === undefined ? {} : { logged: short(a) }),
    ...(b === undefined ? {} : { now: short(b) }),
  };
}
