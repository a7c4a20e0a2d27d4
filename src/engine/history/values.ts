/**
 * Values: the value of a key before and after each of its events. A handler sees one key's state and nothing else, so
 * the key's own events are enough. These events are applied to the value of the nearest snapshot below them, or from
 * the beginning of the log.
 *
 * VALUE1. Outcomes are taken as they are logged (ONE6): refused and quarantined events left the value as it was.
 * VALUE2. Only certain values are given. If another operator version ran, this code can't tell the value (CODE4). If
 *     this code would now refuse, throw or reply otherwise than the log says, it can't tell the value either. From
 *     there on the value is unknown, up to the next snapshot. A snapshot's value counts only for events that the
 *     version of the snapshot applied. Two changes can't be noticed. The first is a handler that was changed without a
 *     new version, and whose replies aren't kept. The second is a version that came and went again without an event of
 *     the key.
 * VALUE3. Values have the shape of this code: values of older snapshots are migrated.
 * VALUE4. The work is bounded: events between snapshot and page, snapshots, characters of values and of work.
 */
import { print } from "../event/fingerprint.ts";
import { Failure, isUnreadable, messageOf } from "../base/errors.ts";
import { fill } from "../event/event.ts";
import { EventContext } from "../state/handler.ts";
import { runEvent } from "../state/run-event.ts";
import { TIMER_TYPE, withTimer, type Firing, type Former } from "../state/timers.ts";
import { Prints } from "../event/fingerprint.ts";
import { seq, type Seq } from "../base/ids.ts";
import { copyJson } from "../base/json.ts";
import { KeyBases, type Base } from "./bases.ts";
import { isNew, STALE, textOf, type DirtyKey } from "../state/overlay.ts";
import { HISTORY_VALUE_CHARS, HISTORY_WORK_CHARS } from "../base/limits.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { outcomeText, type Outcome } from "../log/outcome.ts";
import { DELETE, RETRY } from "../state/quarantine.ts";
import { eventsOf, type KeyEvent, type KeyEvents } from "./events.ts";

export type KeyValue =
  /** JSON text. Null if there is no state. */
  { readonly tag: "known"; readonly text: string | null } | { readonly tag: "unknown"; readonly why: string };

/** The values before and after an event. */
interface Values {
  readonly before: KeyValue;
  readonly after: KeyValue;
}

/**
 * Returns the values around the events of a page, newest first. The page leaves out none of the key's events between
 * them. Returns fewer values if those of the older events have no room.
 */
export async function valuesOf(
  env: LogEnvironment,
  key: string,
  newestFirst: readonly KeyEvent[],
  before: Seq | null,
): Promise<Values[]> {
  const page = newestFirst.toReversed();
  if (page[0] === undefined) return [];
  const anchors = await KeyBases.of(env, key);
  if (anchors === null) throw new Failure("fenced", `partition ${env.id.partition} has no row any more: read again`);
  const machine = new KeyFold(env, key, anchors.seed);
  await begin(env, machine, key, await anchors.below(page[0].seq), page[0].seq);
  const values: Values[] = [];
  let [chars, first] = [0, 0];
  let sure = null as Sure | null;
  for (const [at, item] of page.entries()) {
    if (sure?.from === at && at > sure.to) machine.begin(sure);
    const earlier = machine.value();
    await machine.apply(item);
    if (sure === null || at > sure.to) sure = machine.known ? null : await resume(anchors, page, at, before);
    if (sure?.from === at) machine.begin(sure);
    values.push({ before: earlier, after: machine.value() });
    for (chars += sizeOf(values.at(-1)!.after); chars > HISTORY_VALUE_CHARS && first < at; first++) {
      chars -= sizeOf(values[first]!.after);
      values[first] = NOT_SHOWN;
    }
  }
  return values.slice(first).toReversed();
}

const sizeOf = (value: KeyValue): number => (value.tag === "known" ? (value.text?.length ?? 0) : value.why.length);
const NOT_SHOWN: Values = { before: { tag: "unknown", why: "" }, after: { tag: "unknown", why: "" } };

/** Brings the value from the nearest snapshot up to the oldest event of the page. */
async function begin(
  env: LogEnvironment,
  machine: KeyFold,
  key: string,
  anchor: Base | null,
  oldest: Seq,
): Promise<void> {
  const above = anchor?.seq ?? 0;
  const from = anchor === null ? "the beginning of the log" : `the nearest snapshot, at seq ${above}`;
  let between: KeyEvents;
  try {
    between = await eventsOf(env, key, oldest, { items: Number.POSITIVE_INFINITY }, above);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return machine.lose(`between it and ${from}, the log can't be read: ${messageOf(error)}`);
  }
  if (between.bottom === "given up") return machine.lose(`between it and ${from}, the log is not kept`);
  if (between.before !== null) return machine.lose(`there is too much of the log between it and ${from}`);
  const { text = null, version, timers } = anchor?.entry ?? {};
  if (version !== undefined) return machine.lose(`in ${from}, it is of version ${version} and can't be migrated`);
  machine.begin({ text, timers });
  for (const touch of between.items.toReversed()) await machine.apply(touch);
}

/**
 * A value that a snapshot knows for sure: after the items of a page from `from` up to `to`, which may be none, and
 * before the next item.
 */
interface Sure extends Former {
  readonly from: number;
  readonly to: number;
}

/** Returns the first items from `at` on after which a snapshot knows the value, or null if no snapshot does. */
async function resume(
  anchors: KeyBases,
  page: readonly KeyEvent[],
  at: number,
  before: Seq | null,
): Promise<Sure | null> {
  const anchor = await anchors.from(page[at]!.seq);
  if (anchor === null) return null;
  const { entry } = anchor;
  if (entry?.version !== undefined) return null;
  const newest = page.at(-1)!.seq;
  // More events of the key may lie between the page and a snapshot above it. The snapshot must say that there are none.
  if (before !== null && anchor.seq >= before && (entry === null || entry.seq > newest)) return null;
  const to = page.findLastIndex((touch) => touch.seq <= anchor.seq);
  const changed = page.findLastIndex((touch, i) => i <= to && changes(touch));
  const from = Math.max(at, changed);
  // Another version than the one that ran may have made the snapshot's value, by replay.
  const exact = page.slice(from, to + 1).every(({ operatorVersion }) => operatorVersion === anchor.operatorVersion);
  return { from: exact ? from : to + 1, to, text: entry?.text ?? null, timers: entry?.timers };
}

/** Returns true if the log says that the event changed the state. */
export const changes = ({ outcome, event }: KeyEvent): boolean => outcome.tag === "applied" && event.type !== DELETE;

/** Quarantined events that a page looks up in the log, since it holds a retry of them. */
const LOOKUPS = 10;
/** The number of events after which the size of the value is measured. */
const WEIGHED = 64;

/** The value of one key, event by event. */
class KeyFold {
  readonly #env: LogEnvironment;
  readonly #key: string;
  readonly #seed: number;
  #touched: DirtyKey | null = null;
  #why = "";
  /** Quarantined events, by seq: a retry may come. */
  readonly #aside = new Map<number, KeyEvent>();
  #lookups = 0;
  #events = 0;
  #work = 0;
  #size = 0;

  constructor(env: LogEnvironment, key: string, seed: number) {
    this.#env = env;
    this.#key = key;
    this.#seed = seed;
  }

  get known(): boolean {
    return this.#touched !== null;
  }

  /** Sets the value, and the timers, that are known from this event on. */
  begin({ text, timers }: Former): void {
    const before = { text, timers };
    this.#touched = { text, timers, value: STALE, dirty: false, seq: seq(0), version: undefined, before };
    this.#size = text?.length ?? 0;
  }

  /** Makes the value unknown from this event on. */
  lose(why: string): void {
    this.#touched = null;
    this.#why = why;
  }

  value(): KeyValue {
    if (this.#touched === null) return { tag: "unknown", why: this.#why };
    const { version } = this.#touched;
    if (version !== undefined) return { tag: "unknown", why: `it is of version ${version} and can't be migrated` };
    const text = textOf(this.#touched);
    this.#size = text?.length ?? 0;
    return { tag: "known", text };
  }

  async apply(touch: KeyEvent): Promise<void> {
    if (touch.outcome.tag === "quarantined") this.#aside.set(touch.seq, touch);
    if (this.#touched === null) return;
    if (isFired(touch))
      this.#touched.timers = withTimer(this.#touched.timers, (touch.event.data as Firing).timer, null);
    const why = this.#foreign(touch) ?? (changes(touch) ? await this.#change(this.#touched, touch) : null);
    if (why !== null) this.lose(why);
  }

  /** Another version may have had another value before the event, even if the event left the value as it was. */
  #foreign({ seq: at, operatorVersion }: KeyEvent): string | null {
    const { version } = this.#env.operator;
    return operatorVersion === version
      ? null
      : `version ${operatorVersion} applied seq ${at}, and this is version ${version}`;
  }

  async #change(dirtyKey: DirtyKey, touch: KeyEvent): Promise<string | null> {
    this.#events += 1;
    if (this.#events % WEIGHED === 0) this.value();
    this.#work += this.#size;
    if (this.#work > HISTORY_WORK_CHARS) return "the values up to it are too large for one page";
    return this.#run(dirtyKey, touch);
  }

  /** Returns null if the handler did what the log says. */
  async #run(dirtyKey: DirtyKey, touch: KeyEvent): Promise<string | null> {
    const subject = touch.event.type === RETRY ? await this.#retried(touch) : touch;
    if (subject === null) return `the event that seq ${touch.seq} retries is not in the log any more`;
    const prints = new Prints(1);
    // Only the identity in the print matters here, so the event's time needn't be as the sender gave it.
    print(prints, touch.event, this.#key, this.#seed, false);
    // A handler may change its input, and the event is still to be shown.
    const event = fill(copyJson(subject.event) as Record<string, unknown>, new Date(subject.now).toISOString());
    const now = event.type === TIMER_TYPE ? (event.data as Firing).due : subject.now;
    const context = new EventContext(this.#key, touch.seq, now, isNew(dirtyKey), prints.words(), 0);
    // The log says that the timer fired, and it isn't pending any more.
    const outcome = runEvent(this.#env.operator, dirtyKey, event, context, null, true);
    const same = outcomeText(outcome) === outcomeText(touch.outcome);
    if (outcome.tag === "applied" && (same || !touch.worded)) return null;
    return `the code has changed: the outcome of seq ${touch.seq} is now ${shown(outcome)}`;
  }

  async #retried({ event }: KeyEvent): Promise<KeyEvent | null> {
    const target = (event.data as { readonly seq: Seq }).seq;
    const known = this.#aside.get(target);
    if (known !== undefined || this.#lookups++ >= LOOKUPS) return known ?? null;
    try {
      const { items } = await eventsOf(this.#env, this.#key, seq(target + 1), { items: 1 }, target - 1);
      return items[0] ?? null;
    } catch (error) {
      if (isUnreadable(error)) return null;
      throw error;
    }
  }
}

/** True if a timer fired, whatever its handler did. A timer that wasn't pending is refused (FIRING4 of firing.ts). */
const isFired = ({ event, outcome }: KeyEvent): boolean => event.type === TIMER_TYPE && outcome.tag !== "refused";

/** Omits the explanation, which may be long. */
const shown = (outcome: Outcome): string => (outcome.tag === "applied" ? "another reply" : `"${outcome.tag}"`);
