/**
 * Running one event's handler on one key: the only place where a user's code touches state.
 *
 * R1. What the handler did counts only if it returned without refusing, and left JSON behind (IN4, SNAP8).
 * R2. Random numbers and ids come from the event's print, so replay gives the same bytes (ONE5).
 */
import type { Seq } from "./ids.ts";
import { exceeds, toJson } from "./json.ts";
import { STALE, type Touched } from "./layer.ts";
import { REPLY_BYTES, STATE_BYTES } from "./limits.ts";
import { messageOf } from "./errors.ts";
import { APPLIED, type Outcome } from "./outcome.ts";
import type { Context, Event, Handler, Operator, Refusal } from "./operator.ts";

export interface Occasion {
  readonly key: string;
  readonly seq: Seq;
  /** Logged time of receipt, milliseconds. */
  readonly now: number;
  readonly prints: ArrayLike<number>;
  /** Where the event's print begins. */
  readonly at: number;
}

/** Runs the event and leaves its effect, if any, in `touched`. */
export function handle(operator: Operator, touched: Touched, event: Event, occasion: Occasion): Outcome {
  const handler = operator.handlers.get(event.type);
  if (handler === undefined)
    return {
      tag: "quarantined",
      error: `version ${operator.version} of "${operator.name}" has no handler for "${event.type}"`,
    };
  const context = new EventContext(occasion, touched.text === null);
  let outcome: Outcome;
  try {
    const value = touched.value === STALE ? materialise(operator, touched, occasion.key) : touched.value;
    outcome = run(handler, value, event, context, touched);
  } catch (error) {
    outcome = { tag: "quarantined", error: messageOf(error).slice(0, 1_000) };
  }
  if (outcome.tag === "applied") touched.seq = occasion.seq;
  else touched.value = STALE;
  return outcome;
}

function materialise(operator: Operator, touched: Touched, key: string): unknown {
  if (touched.text !== null) return JSON.parse(touched.text) as unknown;
  // Through JSON, so that an `initial` that hands out one shared object can't link keys to each other.
  const first = toJson(operator.initial(key));
  if (first.tag === "not_json") throw new TypeError(`initial("${key}") isn't JSON, ${first.why}`);
  return JSON.parse(first.text) as unknown;
}

function run(handler: Handler, value: unknown, event: Event, context: EventContext, touched: Touched): Outcome {
  const returned = handler(value, event, context);
  if (returned instanceof Promise) {
    returned.catch(() => undefined);
    throw new TypeError("the handler is asynchronous; handlers must be synchronous");
  }
  if (context.refused !== null) return refusal(context.refused);
  const reply = replyText(returned);
  if (context.removed) {
    touched.text = null;
    touched.value = STALE;
    return reply;
  }
  const next = context.replaced === NOTHING ? value : context.replaced;
  const json = toJson(next);
  if (json.tag === "not_json") throw new TypeError(`the state isn't JSON, ${json.why}`);
  if (exceeds(json.text, STATE_BYTES)) throw new RangeError(`the state would have more than ${STATE_BYTES} bytes`);
  touched.text = json.text;
  touched.value = json.exact && context.replaced === NOTHING ? value : STALE;
  return reply;
}

function replyText(returned: unknown): Outcome {
  if (returned === undefined) return APPLIED;
  const json = toJson(returned);
  if (json.tag === "not_json") throw new TypeError(`the reply isn't JSON, ${json.why}`);
  if (exceeds(json.text, REPLY_BYTES)) throw new RangeError(`the reply has more than ${REPLY_BYTES} bytes`);
  return { tag: "applied", reply: json.text };
}

function refusal(refused: Refusal): Outcome {
  const detail = toJson(refused.detail ?? null);
  if (detail.tag === "not_json") throw new TypeError(`the refusal's detail isn't JSON, ${detail.why}`);
  if (exceeds(detail.text, REPLY_BYTES))
    throw new RangeError(`the refusal's detail has more than ${REPLY_BYTES} bytes`);
  return { tag: "refused", code: refused.refusal.slice(0, 200), detail: detail.text };
}

const NOTHING: unique symbol = Symbol("nothing");

class EventContext implements Context<unknown> {
  readonly key: string;
  readonly seq: Seq;
  readonly now: number;
  readonly isNew: boolean;
  refused: Refusal | null = null;
  removed = false;
  replaced: unknown = NOTHING;
  readonly #occasion: Occasion;
  #random: (() => number) | null = null;

  constructor(occasion: Occasion, isNew: boolean) {
    this.#occasion = occasion;
    this.key = occasion.key;
    this.seq = occasion.seq;
    this.now = occasion.now;
    this.isNew = isNew;
  }

  random(): number {
    this.#random ??= generator(this.#occasion.prints, this.#occasion.at);
    return this.#random() / 0x1_0000_0000;
  }

  uuid(): string {
    this.#random ??= generator(this.#occasion.prints, this.#occasion.at);
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

/** sfc32 (Chris Doty-Humphrey's small fast counting generator): 128 bits of state, from the event's print. */
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
