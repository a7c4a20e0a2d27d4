/**
 * Runs the handler of one event, or of one timer, on one key: the only place where a user's code touches state.
 *
 * HANDLER1. A handler's changes count only if it returned without refusing and left JSON (IN4, SNAP8).
 * HANDLER2. Random numbers and ids come from the event's print, so replay gives the same bytes (ONE5).
 */
import type { Seq } from "../base/ids.ts";
import { copyJson, exceeds, inspectJson, LARGE_STATE, NULL_STATE, toJson } from "../base/json.ts";
import { isNew, STALE, type DirtyKey } from "./overlay.ts";
import { REPLY_BYTES, STATE_BYTES } from "../base/limits.ts";
import { messageOf, traceOf } from "../base/errors.ts";
import { MIGRATION_FAILED, migrationFailed } from "../operator/migration.ts";
import { APPLIED, NO_REPLY, type Outcome } from "../log/outcome.ts";
import type { Context, Operator, Refusal } from "../operator/operator.ts";
import { dueAt, type TimersOf } from "../operator/timer-settings.ts";
import { dueOf, EXPIRY, withTimer, type Firing, type Timers } from "./timers.ts";
import type { Event } from "../event/event.ts";

/** Runs the event and leaves its effect, if any, in `dirtyKey`. */
export function handle(operator: Operator, dirtyKey: DirtyKey, event: Event, context: EventContext): Outcome {
  const handler = operator.handlers.get(event.type);
  if (handler === undefined) {
    const error = `version ${operator.version} of "${operator.name}" has no handler for "${event.type}"`;
    return { tag: "quarantined", error };
  }
  if (dirtyKey.version !== undefined) return unmigratable(operator, dirtyKey, context.key);
  let outcome: Outcome;
  try {
    if (dirtyKey.value === STALE) dirtyKey.value = materialise(operator, dirtyKey, context.key);
    context.begin(operator, dirtyKey.timers);
    outcome = run(handler, event, context, dirtyKey);
  } catch (error) {
    outcome = thrown(error);
  }
  if (outcome.tag !== "applied") return outcome;
  dirtyKey.seq = context.seq;
  if (!context.removed) dirtyKey.timers = renewed(operator, context.pending, context.now);
  return outcome;
}

/** Returns the timers with the expiry counted from `now`. */
export const renewed = ({ expireMs }: Operator, timers: Timers | undefined, now: number): Timers | undefined =>
  expireMs === null ? timers : withTimer(timers, EXPIRY, now + expireMs);

/**
 * Fires a timer (TIMER3 of timers.ts), or lets the key expire. `again` is a retry from the quarantine: the timer isn't
 * pending any more, and another one of its name may be.
 */
export function fire(
  operator: Operator,
  dirtyKey: DirtyKey,
  firing: Firing,
  context: EventContext,
  again = false,
): Outcome {
  const { timer, due } = firing;
  if (again ? isNew(dirtyKey) : dueOf(dirtyKey.timers, timer) !== due) return again ? KEY_GONE : APPLIED;
  if (!again) spend(dirtyKey, timer, context.seq);
  if (timer === EXPIRY) {
    remove(dirtyKey);
    return APPLIED;
  }
  const handler = operator.timers.get(timer);
  if (handler === undefined)
    return { tag: "quarantined", error: `version ${operator.version} of "${operator.name}" has no timer "${timer}"` };
  if (dirtyKey.version !== undefined) return unmigratable(operator, dirtyKey, context.key);
  try {
    if (dirtyKey.value === STALE) dirtyKey.value = materialise(operator, dirtyKey, context.key);
    context.begin(operator, dirtyKey.timers, due + 1);
    run(
      (state) => {
        const returned = handler(state, { name: timer, due }, context);
        if (context.refused !== null) throw new TypeError(`a timer has no sender, so "${timer}" can't refuse`);
        // A timer has nobody to reply to.
        return returned instanceof Promise ? returned : undefined;
      },
      null,
      context,
      dirtyKey,
    );
  } catch (error) {
    return thrown(error);
  }
  dirtyKey.seq = context.seq;
  if (!context.removed) dirtyKey.timers = context.pending;
  return APPLIED;
}

/** The timer has fired, whatever its outcome. */
export function spend(dirtyKey: DirtyKey, timer: string, at: Seq): void {
  dirtyKey.timers = withTimer(dirtyKey.timers, timer, null);
  dirtyKey.seq = at;
}

/** The outcome of a retried timer whose key has no state any more. */
const KEY_GONE: Outcome = { tag: "refused", code: "key_gone", detail: NO_REPLY };

function remove(dirtyKey: DirtyKey): void {
  dirtyKey.text = null;
  dirtyKey.value = STALE;
  dirtyKey.dirty = false;
  dirtyKey.version = undefined;
  dirtyKey.timers = undefined;
}

function unmigratable(operator: Operator, { version, text }: DirtyKey, key: string): Outcome {
  const why = migrationFailed(operator, key, version!, text!);
  return { tag: "quarantined", error: `${MIGRATION_FAILED}: ${why}`.slice(0, 1_000) };
}

export const thrown = (error: unknown): Outcome => ({
  tag: "quarantined",
  error: messageOf(error).slice(0, 1_000),
  ...traceOf(error),
});

/** Makes the value from the text, or from `initial` if the key has no state. */
function materialise(operator: Operator, dirtyKey: DirtyKey, key: string): unknown {
  return dirtyKey.text === null ? firstValue(operator, key) : (JSON.parse(dirtyKey.text) as unknown);
}

/** Copies the first value, so that an `initial` that returns one shared object can't link keys to each other. */
function firstValue(operator: Operator, key: string): unknown {
  const first = operator.initial(key);
  const { why, inexact } = inspectJson(first);
  if (why !== null) throw new TypeError(`initial("${key}") ${why}`);
  if (first === null) throw new TypeError(`initial("${key}") ${NULL_STATE}`);
  return inexact ? (JSON.parse(JSON.stringify(first)) as unknown) : copyJson(first);
}

function run<Subject>(
  handler: (state: unknown, subject: Subject, context: EventContext) => unknown,
  subject: Subject,
  context: EventContext,
  dirtyKey: DirtyKey,
): Outcome {
  // The handler works on a copy: changes leave no trace unless they are kept, and no object stands in two places at the
  // next event.
  const working = copyJson(dirtyKey.value);
  const returned = handler(working, subject, context);
  if (returned instanceof Promise) {
    returned.catch(() => undefined);
    throw new TypeError("the handler is asynchronous; handlers must be synchronous");
  }
  if (context.refused !== null) return refusal(context.refused);
  const reply = replyText(returned);
  if (context.removed) {
    remove(dirtyKey);
    return reply;
  }
  const replaced = context.replaced !== NOTHING;
  keep(dirtyKey, replaced ? context.replaced : working, replaced);
  return reply;
}

/**
 * A value below this weight can't reach the limit. 63 characters of name and 63 of text take less than 1,024 bytes,
 * even if each is escaped.
 */
const SURELY_SMALL = STATE_BYTES / 1_024;

/** A counter that older states lack becomes NaN, so the message adds this hint. */
const SHAPE_HINT =
  " (has the state's shape changed? raise `version`, and add the `migrate` entry that gives old states what is new)";

/**
 * Keeps a value whose text gives the same state back (SNAP8). A foreign value is copied, since the user's code may
 * still hold it.
 *
 * @throws if the value isn't JSON or is too large
 */
function keep(dirtyKey: DirtyKey, value: unknown, foreign: boolean): void {
  const { why, inexact, weight } = inspectJson(value);
  if (why !== null) throw new TypeError(`the state ${why}${why.includes("NaN is") ? SHAPE_HINT : ""}`);
  if (value === null) throw new TypeError(`the state ${NULL_STATE}`);
  if (weight < SURELY_SMALL && !inexact) {
    dirtyKey.value = foreign ? copyJson(value) : value;
    dirtyKey.dirty = true;
    return;
  }
  const text = JSON.stringify(value);
  if (exceeds(text, STATE_BYTES)) throw new RangeError(`the state ${LARGE_STATE}`);
  dirtyKey.text = text;
  dirtyKey.dirty = false;
  dirtyKey.value = inexact || foreign ? STALE : value;
}

function replyText(returned: unknown): Outcome {
  if (returned === undefined) return APPLIED;
  const json = toJson(returned);
  if (json.tag === "not_json") throw new TypeError(`the reply ${json.why}`);
  if (exceeds(json.text, REPLY_BYTES)) throw new RangeError(`the reply has more than ${REPLY_BYTES} bytes`);
  return { tag: "applied", reply: json.text };
}

function refusal(refused: Refusal): Outcome {
  const detail = toJson(refused.detail ?? null);
  if (detail.tag === "not_json") throw new TypeError(`the refusal's detail ${detail.why}`);
  if (exceeds(detail.text, REPLY_BYTES))
    throw new RangeError(`the refusal's detail has more than ${REPLY_BYTES} bytes`);
  return { tag: "refused", code: refused.refusal.slice(0, 200), detail: detail.text };
}

const NOTHING: unique symbol = Symbol("nothing");

/** The handler's `ctx`, which records what the handler asks for. The event's own print stands in `prints` at `at`. */
export class EventContext implements Context<unknown> {
  readonly key: string;
  readonly seq: Seq;
  readonly now: number;
  readonly isNew: boolean;
  refused: Refusal | null = null;
  removed = false;
  replaced: unknown = NOTHING;
  /** The key's timers as the handler leaves them. */
  pending: Timers | undefined = undefined;
  #names: Operator["timers"] | null = null;
  #earliest = 0;
  readonly #prints: ArrayLike<number>;
  readonly #at: number;
  #random: (() => number) | null = null;

  constructor(key: string, seq: Seq, now: number, isNew: boolean, prints: ArrayLike<number>, at: number) {
    this.key = key;
    this.seq = seq;
    this.now = now;
    this.isNew = isNew;
    this.#prints = prints;
    this.#at = at;
  }

  /** Before the handler runs: the key's timers. Timers that the handler sets are due at `earliestMs` or later. */
  begin(operator: Operator, timers: Timers | undefined, earliestMs = this.now): void {
    this.pending = timers;
    this.#names = operator.timers;
    this.#earliest = earliestMs;
  }

  get timers(): TimersOf<string> {
    return {
      get: (name) => dueOf(this.pending, this.#known(name)),
      set: (name, when) => {
        const due = Math.max(this.#earliest, dueAt(when, this.now));
        this.pending = withTimer(this.pending, this.#known(name), due);
      },
      clear: (name) => {
        this.pending = withTimer(this.pending, this.#known(name), null);
      },
    };
  }

  #known(name: string): string {
    if (this.#names?.has(name) === true) return name;
    throw new TypeError(
      `there is no timer "${name}"; the operator's timers are ${[...(this.#names?.keys() ?? [])].join(", ") || "none"}`,
    );
  }

  random(): number {
    this.#random ??= generator(this.#prints, this.#at);
    return this.#random() / 0x1_0000_0000;
  }

  uuid(): string {
    this.#random ??= generator(this.#prints, this.#at);
    const words = [this.#random(), this.#random(), this.#random(), this.#random()];
    const hex = words.map((word) => word.toString(16).padStart(8, "0")).join("");
    const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }

  set(state: unknown): void {
    this.replaced = state;
    this.removed = false;
  }

  remove(): void {
    this.removed = true;
  }

  refuse<const Code extends string, Detail = undefined>(code: Code, detail?: Detail): Refusal<Code, Detail> {
    const refused = { refusal: code, detail: detail as Detail };
    this.refused = refused;
    return refused;
  }
}

/**
 * Returns an sfc32 generator (Chris Doty-Humphrey's small fast counting generator), seeded with 128 bits of the event's
 * print.
 */
function generator(prints: ArrayLike<number>, at: number): () => number {
  let [a, b, c, d] = [prints[at]! | 0, prints[at + 1]! | 0, prints[at + 2]! | 0, prints[at + 3]! | 0];
  return () => {
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
}
