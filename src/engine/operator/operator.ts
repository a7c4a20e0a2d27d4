/**
 * The operator API, which a user writes. `operator(name, spec)` gives a definition that the partition runs.
 *
 * OPERATOR1. Handlers are synchronous and deterministic (ONE5). Time, randomness and identity come from `ctx` alone.
 * OPERATOR2. A schema checks and doesn't change: the handler sees the data as sent, because the log holds that data. A
 *     schema whose output type differs from its input (a transform, a default, a coercion) is a type error. If the
 *     types agree (trim, catch), data that the schema would change is rejected (schema.ts).
 * OPERATOR3. State is JSON (SNAP8). Other state is a type error, or a quarantined event if the types don't catch it.
 */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Seq } from "../base/ids.ts";
import { exceeds, type Jsonable, type JsonObject } from "../base/json.ts";
import { NAME_BYTES, TIMERS } from "../base/limits.ts";
import type { Event } from "../event/event.ts";
import {
  type Duration,
  durationMs,
  type Fail,
  onlyNames,
  type Settings,
  settingsOf,
  type WrittenSettings,
  whole,
} from "./settings.ts";
import type { DueTimer, TimersOf } from "./timer-settings.ts";

/** Operators import everything from here. In Node this file is all that the package has. */
export { timeMs } from "../event/rfc3339.ts";
export type { Event } from "../event/event.ts";
export type { Duration, Retain, SnapshotPolicy } from "./settings.ts";

/** The value that `ctx.refuse` returns. A handler returns it in turn. */
export interface Refusal<Code extends string = string, Detail = unknown> {
  readonly refusal: Code;
  readonly detail: Detail;
}

export interface Context<State, Timer extends string = string> {
  readonly key: string;
  /** Position of this event in its partition. */
  readonly seq: Seq;
  /** The partition clock in milliseconds since 1970: the time of receipt, and never earlier than that of the event
   *  before. The same at every replay. */
  readonly now: number;
  /** True if the key had no state before this event. */
  readonly isNew: boolean;
  /** Returns a number, 0 <= x < 1, seeded by the event. The same at every replay. */
  random(): number;
  /** Returns a version 4 UUID, seeded by the event. */
  uuid(): string;
  /** Replaces the state. */
  set(state: State): void;
  /** Removes the key. The key's next event starts from `initial`. */
  remove(): void;
  /** The timers of this key. They are a part of its state: a refused event sets none, and `remove` clears them. */
  readonly timers: TimersOf<Timer>;
  /** Refuses the event, which then changes nothing. The sender gets `code` and `detail`, and so does each duplicate. */
  refuse<const Code extends string, Detail = undefined>(code: Code, detail?: Detail): Refusal<Code, Detail>;
}

/** The `ctx` of a timer. A timer has no sender, so it can't refuse. */
export type TimerContext<State, Timer extends string = string> = Omit<Context<State, Timer>, "refuse" | "isNew">;

export type Schemas = Readonly<Record<string, StandardSchemaV1>>;

type Input<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : never;

type Output<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : never;

/** OPERATOR2: the schema itself if input and output agree, else an error message as a type. */
type Checks<S> = [Input<S>] extends [Output<S>]
  ? [Output<S>] extends [Input<S>]
    ? S
    : "schemas check, they don't transform: input and output types must be the same"
  : "schemas check, they don't transform: input and output types must be the same";

export type EventOf<E extends Schemas> = { [T in keyof E & string]: Event<T, Input<E[T]>> }[keyof E & string];

/** OPERATOR3: no further requirement if the state is JSON, else an error message as a type. */
type Carries<State> = [State] extends [Jsonable<State>]
  ? null extends State
    ? { readonly initial: "null isn't a state: it tells readers that there is none" }
    : unknown
  : { readonly initial: "the state must be JSON: no Date, Map, undefined, bigint, function or class in it" };

/** OPERATOR1: a promise is no reply. */
type Answers<On> = {
  readonly on: {
    readonly [T in keyof On]: On[T] extends (...args: never) => infer R ? Answer<R> : unknown;
  };
};

/** Nothing is known of a reply of type `any`, so a promise is found only when the handler runs. */
type Answer<R> = 0 extends 1 & R
  ? unknown
  : [Extract<R, PromiseLike<unknown>>] extends [never]
    ? unknown
    : "handlers are synchronous: a replay would wait for other values";

/** The versions from 2 to `Version`, if `Version` is known as a literal. */
type Later<Version extends number, Below extends 0[] = [0]> = number extends Version
  ? never
  : Below["length"] extends Version
    ? never
    : Below["length"] extends 500
      ? never
      : [...Below, 0]["length"] | Later<Version, [...Below, 0]>;

/** CODE3: each version after the first has its migration. */
type Migrates<Version extends number> = [Later<Version>] extends [never]
  ? unknown
  : { readonly migrate: { readonly [V in Later<Version> & number]: (old: JsonObject) => unknown } };

export interface Spec<
  E extends Schemas,
  State,
  Replies extends Record<keyof E, unknown>,
  Timer extends string = string,
> extends WrittenSettings {
  /** Version of the state's shape, from 1. Raise it together with a `migrate` entry. */
  readonly version: number;
  /** Event type -> schema of `event.data` (Standard Schema: zod, valibot, arktype, …). */
  readonly events: E & { readonly [T in keyof E]: Checks<E[T]> };
  /** The key whose state an event changes. Default: `partitionkey`, else `subject`. */
  readonly key?: (event: EventOf<E>) => string;
  /** Keys of one group live in one partition. Default: the key itself. */
  readonly group?: (key: string) => string;
  readonly initial: (key: string) => State;
  /** Event type -> handler. The handler changes the state in place, and its return value is the reply. */
  readonly on: {
    readonly [T in keyof E]: (
      state: State,
      event: Event<T & string, Input<E[T]>>,
      ctx: Context<State, Timer>,
    ) => Replies[T];
  };
  /** Timer -> handler, which runs when a timer that `ctx.timers` set is due. */
  readonly timers?: {
    readonly [N in Timer]: (state: State, timer: DueTimer<N>, ctx: TimerContext<State, Timer>) => void;
  };
  /** A key is removed so long after its last event, with its timers. Default: never. */
  readonly expire?: Duration;
  /** Version n -> how to make it from version n - 1, for every n from 2 to `version`. Write `(old) => old` if nothing
   *  changed. */
  readonly migrate?: { readonly [version: number]: (old: JsonObject) => unknown };
}

/** The handlers as written. Inferred as a whole, because the return type of each handler is the reply that clients
 *  know. */
type Handlers<E extends Schemas, State, Timer extends string> = Spec<E, State, Record<keyof E, unknown>, Timer>["on"];

type RepliesOf<On> = { readonly [T in keyof On]: On[T] extends (...args: never) => infer R ? R : never };

/** An operator with its types erased to what the engine runs, and with all defaults filled in. Times are in
 *  milliseconds. */
export interface Operator<
  Name extends string = string,
  E extends Schemas = Schemas,
  State = unknown,
  Replies = unknown,
> extends Settings {
  readonly name: Name;
  readonly version: number;
  readonly events: E;
  readonly key: (event: Event) => unknown;
  readonly group: (key: string) => string;
  readonly initial: (key: string) => unknown;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly timers: ReadonlyMap<string, TimerHandler>;
  /** Null if keys don't expire. */
  readonly expireMs: number | null;
  readonly migrate: ReadonlyMap<number, (old: JsonObject) => unknown>;
  /** For clients: the state's type, and the reply's type for each event type. Never there at run time. */
  readonly types?: { readonly state: State; readonly replies: Replies };
}

export type Handler = (state: unknown, event: Event, ctx: Context<unknown>) => unknown;

type TimerHandler = (state: unknown, timer: DueTimer, ctx: TimerContext<unknown>) => unknown;

export const OPERATOR_NAME = /^[a-z][a-z0-9-]{0,62}$/;

export const RESERVED_TYPE = "keyframe.";

/**
 * Defines an operator.
 *
 * @example operator("visits", { version: 1, events: { visit: z.object({ page: z.string() }) },
 *   key: (e) => e.data.page, initial: () => ({ n: 0 }), on: { visit(state) { state.n += 1; } } })
 * @throws if the definition can't work: a bad name, a missing handler or migration, a setting that can't be kept
 */
export function operator<
  const Name extends string,
  const E extends Schemas,
  State,
  On extends Handlers<E, State, Timer>,
  const Version extends number,
  const Timer extends string = never,
>(
  name: Name,
  spec: Spec<E, State, Record<keyof E, unknown>, Timer> & { readonly on: On; readonly version: Version } & NoInfer<
      Carries<State> & Answers<On> & Migrates<Version>
    >,
): Operator<Name, E, State, RepliesOf<On>> {
  const fail: Fail = (why) => {
    throw new Error(`operator "${name}": ${why}`);
  };
  if (!OPERATOR_NAME.test(name))
    fail("the name must be a-z, 0-9 and -, start with a letter, and have at most 63 characters");
  onlyNames(spec, "the definition", SPEC, fail);
  for (const [what, is] of Object.entries({ key: spec.key, group: spec.group, initial: spec.initial }))
    if (is !== undefined || what === "initial") synchronous(is, what, fail);

  const handlers = new Map<string, Handler>();
  for (const type of Object.keys(spec.events)) {
    if (type === "" || type.startsWith(RESERVED_TYPE))
      fail(`"${type}" can't be an event type: empty, or starts with "${RESERVED_TYPE}"`);
    if (exceeds(type, NAME_BYTES) || !type.isWellFormed())
      fail(`"${type.slice(0, 60)}" can't be an event type: no event has one of more than ${NAME_BYTES} bytes`);
    // Only an own property counts, because every object inherits "constructor".
    const handler = Object.hasOwn(spec.on, type) ? (spec.on as unknown as Record<string, Handler>)[type] : undefined;
    handlers.set(type, handler ?? fail(`no handler for event type "${type}"`));
    synchronous(handler, `the handler for "${type}"`, fail);
    const schema: unknown = (spec.events as Schemas)[type];
    if (typeof (schema as StandardSchemaV1 | undefined)?.["~standard"]?.validate !== "function")
      fail(`the schema of "${type}" isn't a Standard Schema (zod, valibot, arktype, …)`);
  }
  for (const type of Object.keys(spec.on))
    if (!handlers.has(type)) fail(`handler for "${type}", which has no schema in events`);
  const timers = timersOf(spec.timers === undefined ? {} : spec.timers, fail);
  const version = whole(spec.version, "version", fail);
  const migrate = migrations(spec.migrate ?? {}, version, fail);

  return {
    name,
    version,
    events: spec.events,
    handlers,
    timers,
    expireMs: spec.expire === undefined ? null : Math.ceil(durationMs(spec.expire, "expire", fail)),
    migrate,
    key: (spec.key as ((event: Event) => unknown) | undefined) ?? defaultKey,
    group: spec.group ?? ((key) => key),
    initial: spec.initial,
    ...settingsOf(spec, fail),
  };
}

/** All members that a definition may have. */
const SPEC =
  "version events key group initial on timers expire migrate replies dedup partitions snapshot maxKeys maxEventsPerDay memory".split(
    " ",
  );

function timersOf(given: object, fail: Fail): ReadonlyMap<string, TimerHandler> {
  // The code may be JavaScript, which no compiler has checked.
  if (typeof given !== "object" || (given as unknown) === null) fail("timers must be an object");
  const timers = new Map<string, TimerHandler>();
  for (const [name, handler] of Object.entries(given)) {
    if (!TIMER_NAME.test(name))
      fail(`"${name.slice(0, 70)}" can't be a timer: a name is letters, digits, _ and -, and has at most 63 of them`);
    synchronous(handler, `the timer "${name}"`, fail);
    timers.set(name, handler as TimerHandler);
  }
  return timers.size <= TIMERS ? timers : fail(`it has ${timers.size} timers; there may be ${TIMERS}`);
}

const TIMER_NAME = /^[A-Za-z0-9_-]{1,63}$/;

/** Refuses an async function, because a promise is no key, no state and no reply. */
function synchronous(given: unknown, what: string, fail: Fail): void {
  if (typeof given !== "function") fail(`${what} must be a function`);
  const kind = (given as () => unknown).constructor.name;
  if (kind !== "Function")
    fail(`${what} is ${kind.startsWith("A") ? "an" : "a"} ${kind}; it must be a plain, synchronous function`);
}

const defaultKey = (event: Event): unknown => event.partitionkey ?? event.subject;

/** For descriptions of an operator: returns true if it has no `key` of its own. */
export const usesDefaultKey = (operator: Operator): boolean => operator.key === defaultKey;

type Migration = (old: JsonObject) => unknown;

/** Returns every step from version 1 on. If a step were missing, state of an older version would be taken for state of
 *  the newer one. */
function migrations(
  given: { readonly [version: number]: Migration },
  version: number,
  fail: Fail,
): ReadonlyMap<number, Migration> {
  for (const name of Object.keys(given))
    if (!/^[1-9]\d*$/.test(name) || Number(name) < 2 || Number(name) > version)
      fail(`migrate has an entry for version ${name}, but versions go from 1 to ${version}, and 1 comes from nothing`);
  const steps = new Map<number, Migration>();
  for (let to = 2; to <= version; to++) {
    const step: unknown = Object.hasOwn(given, to) ? given[to] : undefined;
    if (typeof step === "function") synchronous(step, `migrate ${to}`, fail);
    if (typeof step !== "function")
      return fail(
        `version ${version} needs a migrate entry for ${to}, which makes state of version ${to} from that of ${to - 1}; if its shape stayed the same, write ${to}: (old) => old`,
      );
    steps.set(to, step as Migration);
  }
  return steps;
}
