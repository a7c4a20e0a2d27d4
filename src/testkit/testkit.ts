/**
 * `keyframe-streams/test`: tests of operators, with any runner that counts a rejected promise as a failure.
 *
 * TESTKIT1. Tests run the engine, not a model of it: schemas, keys, refusals, duplicates, snapshot files, recovery.
 * TESTKIT2. An expectation that fails is an AssertionError with the difference in its message. Await every expectation:
 *     a dropped promise shows as an unhandled rejection, which both runners count as a failure.
 */
import { AssertionError } from "node:assert";
import type { EventFor, ReplyOf, StateOf } from "../engine/operator/operator-types.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { EXPIRY } from "../engine/state/timers.ts";
import { rfc3339Ms, stageOf, step, type Options, type Step, type Until } from "./play.ts";
import { same } from "./same.ts";
import type { EventOutcome, Stage } from "./stage.ts";

export { deterministic } from "./deterministic.ts";
export { later, type From, type Later, type Options, type Step } from "./play.ts";
export type { EventFor, ReplyOf } from "../engine/operator/operator-types.ts";
export type { EventOutcome } from "./stage.ts";

/**
 * Events that have happened, one after the other, from nothing. Follow it with the expectation.
 *
 * An event without an id gets `event-0`, `event-1`, …, by its place. Two events with one id are one event, sent twice.
 * Between events may stand `later("10m")`. With `{ from: { version, states } }` the events begin with the states that
 * code of an older version left: a test of `migrate`.
 *
 * @example
 * await given(credits, [
 *   { type: "credits.bought", data: { account: "ada", n: 5 } },
 *   { type: "credits.take", data: { account: "ada", n: 2 } },
 * ])
 *   .at("ada")
 *   .expect({ left: 3, taken: 2 });
 *
 * @throws (as a rejection of what follows) if an event is rejected, or its handler throws, since such an event can't
 *     have happened. Refusals can.
 */
export function given<O extends Operator>(operator: O, events: readonly Step<O>[], options: Options = {}): Given<O> {
  return new Given(operator, events, options);
}

export class Given<O extends Operator> {
  readonly #operator: O;
  readonly #events: readonly (Step<O> | Until)[];
  readonly #options: Options;

  /** Use `given`. */
  constructor(operator: O, events: readonly (Step<O> | Until)[], options: Options) {
    this.#operator = operator;
    this.#events = events;
    this.#options = options;
  }

  /**
   * Lets time pass up to this moment, at which all fires that is due. A further event comes at this moment.
   *
   * @example
   * await given(carts, [{ type: "cart.changed", data: { cart: "c-1", items: 2 } }])
   *   .clock("2026-01-01T00:30:00Z")
   *   .at("c-1")
   *   .expect({ items: 2, is: "abandoned" });
   * @throws RangeError if that is no RFC 3339 time; as a rejection of what follows, if it is before the last event
   */
  clock(time: string): Given<O> {
    const until = { untilMs: rfc3339Ms(time, "clock") };
    return new Given(this.#operator, [...this.#events, until], this.#options);
  }

  /** The state of a key, and its timers, after the events. */
  at(key: string): At<O> {
    return new At(key, this.#operator, () => this.#played().then(({ stage }) => stage));
  }

  /**
   * Expects a timer of the last event's key to be due at this time, or not to be set. `at(key)` asks for another key.
   *
   * @example
   * const cart = given(carts, [{ type: "cart.changed", data: { cart: "c-1", items: 2 } }]);
   * await cart.expectTimer("abandon", "2026-01-01T00:30:00Z");
   * await cart.clock("2026-01-01T01:00:00Z").expectTimer("abandon", null);
   * @throws AssertionError; RangeError if the operator has no such timer
   */
  async expectTimer(name: string, at: string | null): Promise<void> {
    await (await this.#atLast()).expectTimer(name, at);
  }

  /** Expects the last event's key to expire at this time, or never. @throws AssertionError */
  async expectExpiry(at: string | null): Promise<void> {
    await (await this.#atLast()).expectExpiry(at);
  }

  /**
   * Sends one more event, for an expectation about its outcome.
   *
   * @example
   * const ada = given(credits, [{ type: "credits.bought", data: { account: "ada", n: 1 } }]);
   * await ada.when({ type: "credits.take", data: { account: "ada", n: 1 } }).expectReply({ left: 0 });
   * await ada.when({ type: "credits.take", data: { account: "ada", n: 2 } }).expectRefusal("insufficient_credits", { left: 1 });
   */
  when(event: EventFor<O>): When<O> {
    return new When(event.type, () => this.#played().then(({ stage }) => stage.send(event)));
  }

  /**
   * Returns the outcome of each event, in order, for a test that checks them itself.
   *
   * @example
   * const outcomes = await given(credits, [
   *   { id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } },
   *   { id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } },
   * ]).outcomes();
   * assert.deepEqual(outcomes.map((outcome) => outcome.tag === "applied" && outcome.duplicate), [false, true]);
   */
  async outcomes(): Promise<readonly EventOutcome<ReplyOf<O>>[]> {
    return (await this.#played()).outcomes as readonly EventOutcome<ReplyOf<O>>[];
  }

  /**
   * Returns the states of all keys, by key.
   *
   * @example
   * assert.deepEqual(Object.keys(await given(credits, []).states()), []);
   */
  async states(): Promise<Record<string, StateOf<O>>> {
    return (await (await this.#played()).stage.states()) as Record<string, StateOf<O>>;
  }

  /** Each question gets a stage of its own, so that one test's questions can't disturb each other. */
  async #played(): Promise<{ readonly stage: Stage; readonly outcomes: readonly EventOutcome[] }> {
    const stage = await stageOf(this.#operator, this.#options);
    const outcomes: EventOutcome[] = [];
    for (const [index, event] of this.#events.entries()) {
      const outcome = await step(stage, event);
      if (outcome === null) continue;
      const what = `event ${index} (${"type" in event ? event.type : ""})`;
      if (outcome.tag === "rejected")
        throw new AssertionError({ message: `given ${what} is rejected, ${outcome.code}: ${outcome.message}` });
      if (outcome.tag === "quarantined")
        throw new AssertionError({ message: `the handler throws at given ${what}: ${outcome.error}` });
      outcomes.push(outcome);
    }
    for (const { timer, key, error } of await stage.thrownTimers())
      throw new AssertionError({ message: `the timer ${timer} of key ${JSON.stringify(key)} throws: ${error}` });
    return { stage, outcomes };
  }

  async #atLast(): Promise<At<O>> {
    const { outcomes, stage } = await this.#played();
    const last = outcomes.at(-1);
    if (last === undefined || last.tag === "rejected")
      throw new RangeError("no event was given whose key could be meant: ask at(key)");
    return new At(last.key, this.#operator, () => Promise.resolve(stage));
  }
}

/** A key, after the events. */
export class At<O extends Operator> {
  readonly #key: string;
  readonly #operator: Operator;
  readonly #played: () => Promise<Stage>;

  constructor(key: string, operator: O, played: () => Promise<Stage>) {
    this.#key = key;
    this.#operator = operator;
    this.#played = played;
  }

  /** Returns the key's state, or undefined if there is none. */
  async state(): Promise<StateOf<O> | undefined> {
    return (await (await this.#played()).state(this.#key)) as StateOf<O> | undefined;
  }

  /** @throws AssertionError if the key's state differs, or there is none */
  async expect(state: StateOf<O>): Promise<void> {
    same(await this.state(), state, `the state of key ${JSON.stringify(this.#key)}`);
  }

  /**
   * Expects no state: no event was for this key, a handler removed it, or it has expired.
   *
   * @example
   * await given(credits, [{ type: "account.closed", data: { account: "ada" } }])
   *   .at("ada")
   *   .expectNothing();
   * @throws AssertionError if there is a state
   */
  async expectNothing(): Promise<void> {
    same(await this.state(), undefined, `the state of key ${JSON.stringify(this.#key)}`);
  }

  /**
   * Expects a timer of the key to be due at this time, or not to be set.
   *
   * @throws AssertionError; RangeError if the operator has no such timer
   */
  async expectTimer(name: string, at: string | null): Promise<void> {
    const { timers } = this.#operator;
    if (!timers.has(name))
      throw new RangeError(`there is no timer "${name}"; the operator's timers are ${[...timers.keys()].join(", ")}`);
    await this.#due(name, at, `the timer ${name} of key ${JSON.stringify(this.#key)}`);
  }

  /**
   * Expects the key to expire at this time, or never.
   *
   * @throws AssertionError
   */
  async expectExpiry(at: string | null): Promise<void> {
    await this.#due(EXPIRY, at, `the expiry of key ${JSON.stringify(this.#key)}`);
  }

  async #due(name: string, at: string | null, what: string): Promise<void> {
    const timers = await (await this.#played()).timers(this.#key);
    const due = timers.find(([one]) => one === name)?.[1] ?? null;
    const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
    same(time(due), time(at === null ? null : rfc3339Ms(at, what)), what);
  }
}

/** One event, and expectations about its outcome. */
export class When<O extends Operator> {
  readonly #type: string;
  readonly #send: () => Promise<EventOutcome>;

  constructor(type: string, send: () => Promise<EventOutcome>) {
    this.#type = type;
    this.#send = send;
  }

  async outcome(): Promise<EventOutcome<ReplyOf<O>>> {
    return (await this.#send()) as EventOutcome<ReplyOf<O>>;
  }

  /**
   * Expects the event to be applied, with this reply. A handler that returns nothing replies null.
   *
   * @throws AssertionError
   */
  async expectReply(reply: ReplyOf<O> | null): Promise<void> {
    const outcome = await this.#tagged("applied");
    same(outcome.reply, reply, `the reply to ${this.#type}`);
  }

  /**
   * Expects the handler to refuse the event, with this code, and this detail if one is given.
   *
   * @throws AssertionError
   */
  async expectRefusal(code: string, detail?: unknown): Promise<void> {
    const outcome = await this.#tagged("refused");
    const what = `the refusal of ${this.#type}`;
    if (detail === undefined) same(outcome.code, code, what);
    else same({ code: outcome.code, detail: outcome.detail }, { code, detail }, what);
  }

  /**
   * Expects that the event doesn't reach the handler: `invalid_data`, `missing_key`, `invalid_key`, `id_reused`, …
   *
   * @example
   * await given(credits, [])
   *   .when({ type: "credits.bought", data: { account: "ada", n: -1 } })
   *   .expectRejection("invalid_data");
   * @throws AssertionError
   */
  async expectRejection(code: string): Promise<void> {
    same((await this.#tagged("rejected")).code, code, `the rejection of ${this.#type}`);
  }

  /**
   * Expects the handler to throw an error whose message includes `message`. A deployment would put the event into
   * quarantine.
   *
   * @throws AssertionError
   */
  async expectQuarantine(message = ""): Promise<void> {
    const { error } = await this.#tagged("quarantined");
    if (!error.includes(message))
      throw new AssertionError({
        message: `the handler of ${this.#type} throws another error`,
        actual: error,
        expected: message,
      });
  }

  async #tagged<Tag extends EventOutcome["tag"]>(tag: Tag): Promise<Extract<EventOutcome, { tag: Tag }>> {
    const outcome = await this.#send();
    if (outcome.tag !== tag)
      throw new AssertionError({
        message: `${this.#type} should be ${tag}, but is ${outcome.tag}: ${JSON.stringify(outcome)}`,
        actual: outcome.tag,
        expected: tag,
      });
    return outcome as Extract<EventOutcome, { tag: Tag }>;
  }
}
