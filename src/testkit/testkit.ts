/**
 * `keyframe-streams/test`: tests of operators, with any runner that counts a rejected promise as a failure.
 *
 * TESTKIT1. Tests run the engine, not a model of it: schemas, keys, refusals, duplicates, snapshot files, recovery.
 * TESTKIT2. An expectation that fails is an AssertionError with the difference in its message. Await every expectation:
 *     a dropped promise shows as an unhandled rejection, which both runners count as a failure.
 */
import { AssertionError, deepStrictEqual } from "node:assert";
import { messageOf } from "../engine/base/errors.ts";
import { toState, type JsonObject } from "../engine/base/json.ts";
import type { Duration } from "../engine/operator/settings.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { durationMs } from "../engine/operator/settings.ts";
import { timeMs } from "../engine/event/rfc3339.ts";
import type { EventFor, ReplyOf, StateOf } from "../engine/operator/operator-types.ts";
import { Stage, type EventOutcome } from "./stage.ts";

export type { EventFor, ReplyOf } from "../engine/operator/operator-types.ts";
export type { EventOutcome } from "./stage.ts";

export interface Options {
  /** RFC 3339 time of the first event, by default 2026-01-01T00:00:00Z. Each further one is a second later. */
  readonly now?: string;
  /** States that an older version left, by key. A snapshot brings them in, as after a deploy. */
  readonly from?: From;
}

export interface From {
  /** Version of the code that left the states; below the operator's version. */
  readonly version: number;
  readonly states: Readonly<Record<string, JsonObject>>;
}

/** Time that passes between two events. */
export interface Later {
  readonly laterMs: number;
}

/**
 * Lets time pass in a list of events. The next event is received this much after the last one, instead of a second
 * after it.
 *
 * @example
 * await given(credits, [
 *   { id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } },
 *   later("48h"),
 *   { id: "order-2", type: "credits.bought", data: { account: "ada", n: 5 } },
 *   later("10m"),
 * ])
 *   .when({ id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } })
 *   .expectReply({ left: 15 }); // its id is forgotten, since dedup.keep is 24h: it counts again
 *
 * @throws RangeError if `duration` is not a duration
 */
export function later(duration: Duration): Later {
  const fail = (why: string): never => {
    throw new RangeError(why);
  };
  return { laterMs: Math.ceil(durationMs(duration, "later", fail)) };
}

/** An element of a list of events. */
export type Step<O extends Operator> = EventFor<O> | Later;

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
  readonly #events: readonly Step<O>[];
  readonly #options: Options;

  /** Use `given`. */
  constructor(operator: O, events: readonly Step<O>[], options: Options) {
    this.#operator = operator;
    this.#events = events;
    this.#options = options;
  }

  /** The state of a key after the events. */
  at(key: string): At<O> {
    return new At(key, () => this.#played().then(({ stage }) => stage.state(key)));
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
      if (isLater(event)) {
        stage.later(event.laterMs);
        continue;
      }
      const outcome = await stage.send(event);
      if (outcome.tag === "rejected")
        throw new AssertionError({
          message: `given event ${index} (${event.type}) is rejected, ${outcome.code}: ${outcome.message}`,
        });
      if (outcome.tag === "quarantined")
        throw new AssertionError({
          message: `the handler throws at given event ${index} (${event.type}): ${outcome.error}`,
        });
      outcomes.push(outcome);
    }
    return { stage, outcomes };
  }
}

/** A key, after the events. */
export class At<O extends Operator> {
  readonly #key: string;
  readonly #read: () => Promise<unknown>;

  constructor(key: string, read: () => Promise<unknown>) {
    this.#key = key;
    this.#read = read;
  }

  /** Returns the key's state, or undefined if there is none. */
  async state(): Promise<StateOf<O> | undefined> {
    return (await this.#read()) as StateOf<O> | undefined;
  }

  /** @throws AssertionError if the key's state differs, or there is none */
  async expect(state: StateOf<O>): Promise<void> {
    same(await this.#read(), state, `the state of key ${JSON.stringify(this.#key)}`);
  }

  /**
   * Expects no state: no event was for this key, or a handler removed it.
   *
   * @example
   * await given(credits, [{ type: "account.closed", data: { account: "ada" } }])
   *   .at("ada")
   *   .expectNothing();
   * @throws AssertionError if there is a state
   */
  async expectNothing(): Promise<void> {
    same(await this.#read(), undefined, `the state of key ${JSON.stringify(this.#key)}`);
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

/** The limit of `deterministic`, which runs all events once for each of them. */
const MOST_EVENTS = 500;

/**
 * Proves on these events that the operator is deterministic. Every run must give the same outcomes and the same states,
 * to the letter of their JSON.
 *
 * It runs the events twice. Then it runs them once for each place between two events with a snapshot there, whose file
 * is written and read again. After each run it reads the states once more from the last snapshot and the log.
 *
 * It finds handlers that use a clock, random numbers or variables of their own that outlive an event.
 *
 * @example
 * await deterministic(credits, [
 *   { type: "credits.bought", data: { account: "ada", n: 5 } },
 *   { type: "credits.take", data: { account: "ada", n: 9 } },
 *   { type: "account.closed", data: { account: "ada" } },
 * ]);
 * @throws AssertionError if two runs differ, with both and with the place of the snapshot; RangeError beyond 500 events
 */
export async function deterministic<O extends Operator>(
  operator: O,
  events: readonly Step<O>[],
  options: Options = {},
): Promise<void> {
  if (events.length > MOST_EVENTS)
    throw new RangeError(
      `${events.length} events: give it at most ${MOST_EVENTS}, since it runs all of them for each one`,
    );
  const first = await played(operator, events, options, null);
  compare(await played(operator, events, options, null), first, "a second run of the same events");
  for (let at = 1; at < events.length; at++)
    compare(await played(operator, events, options, at), first, `a run with a snapshot before event ${at}`);
}

interface Run {
  readonly outcomes: readonly EventOutcome[];
  readonly states: Readonly<Record<string, unknown>>;
  /** The states of all keys, in order, as text: the order of members must be the same as well. */
  readonly text: string;
}

/** Runs the events, with a snapshot before the event at `split`, and reads the result back as a recovery does. */
async function played(
  operator: Operator,
  events: readonly unknown[],
  options: Options,
  split: number | null,
): Promise<Run> {
  const stage = await stageOf(operator, options);
  const outcomes: EventOutcome[] = [];
  for (const [index, event] of events.entries()) {
    if (index === split) {
      await stage.snapshot();
      stage.restart();
    }
    if (isLater(event)) stage.later(event.laterMs);
    else outcomes.push(await stage.send(event));
  }
  const states = await stage.states();
  const live: Run = { outcomes, states, text: JSON.stringify(states) };
  stage.restart();
  const replayed = await stage.states();
  const what = split === null ? "a replay of the log" : `a replay of the log on a snapshot before event ${split}`;
  compare({ ...live, states: replayed, text: JSON.stringify(replayed) }, live, what);
  return live;
}

function compare(run: Run, first: Run, what: string): void {
  same(run.outcomes, first.outcomes, `not deterministic: ${what} gives other outcomes; the outcomes`);
  same(run.states, first.states, `not deterministic: ${what} gives other states; the states`);
  same(run.text, first.text, `not deterministic: ${what} gives the members of a state in another order; the states`);
}

function same(actual: unknown, expected: unknown, what: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    // Node's own message has the difference; a message of ours alone would hide it.
    if (!(error instanceof AssertionError)) throw error;
    throw new AssertionError({
      message: `${what} differs\n${error.message}`,
      actual,
      expected,
      operator: "deepStrictEqual",
    });
  }
}

const isLater = (step: unknown): step is Later =>
  typeof step === "object" && step !== null && "laterMs" in step && !("type" in step);

async function stageOf(operator: Operator, options: Options): Promise<Stage> {
  const stage = new Stage(operator, startOf(options));
  if (options.from === undefined) return stage;
  const { version, states } = options.from;
  if (!Number.isSafeInteger(version) || version < 1 || version >= operator.version)
    throw new RangeError(`from: the version must be below that of the operator, ${operator.version}, not ${version}`);
  for (const [key, state] of Object.entries(states)) assertMigrates(operator, version, key, state);
  await stage.begin(version, states);
  return stage;
}

/**
 * @throws AssertionError if a step of `migrate` throws, or gives no state. The engine would keep the old state and
 *     answer each caller with the error.
 */
function assertMigrates({ migrate }: Operator, from: number, key: string, state: JsonObject): void {
  const failed = (why: string): AssertionError =>
    new AssertionError({ message: `migrating key ${JSON.stringify(key)} from version ${from} fails: ${why}` });
  let now: unknown = structuredClone(state);
  for (let version = from + 1; migrate.has(version); version++)
    try {
      now = migrate.get(version)!(now as JsonObject);
    } catch (error) {
      throw failed(`the step to version ${version} throws, ${messageOf(error)}`);
    }
  const json = toState(now);
  if (json.tag === "not_json") throw failed(`its result ${json.why}`);
}

function startOf({ now = "2026-01-01T00:00:00Z" }: Options): number {
  const ms = timeMs(now);
  if (Number.isNaN(ms)) throw new RangeError(`now: ${JSON.stringify(now)} isn't an RFC 3339 time`);
  return ms;
}
