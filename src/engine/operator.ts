/**
 * The operator API: what a user writes. `operator(name, spec)` gives a definition that the partition runs.
 *
 * O1. Handlers are synchronous and deterministic (ONE5): time, randomness and identity come from `ctx` alone.
 * O2. A schema checks, it does not change: the handler sees the data as it was sent, since that is what the log holds.
 *     A schema whose output type differs from its input (a transform, a default, a coercion) is a type error.
 * O3. State is JSON (SNAP8): a type error where it is not, and a quarantined event where it slips through.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Seq } from "./ids.ts";
import type { Jsonable, JsonObject } from "./json.ts";
import { MEMORY_BYTES } from "./limits.ts";
import { KEPT_POINTS, type RetentionPolicy } from "./retention.ts";

/** What operators are written with comes from here: in Node this file is all that the package has. */
export { timeMs } from "./rfc3339.ts";

/** A CloudEvent as a handler sees it. `time` and `source` are filled in where the sender left them out. */
export interface Event<Type extends string = string, Data = unknown> {
  readonly id: string;
  readonly source: string;
  readonly type: Type;
  /** RFC 3339. */
  readonly time: string;
  readonly subject?: string;
  readonly partitionkey?: string;
  readonly data: Data;
  readonly [extension: string]: unknown;
}

/** What `ctx.refuse` returns; a handler returns it in turn. */
export interface Refusal<Code extends string = string, Detail = unknown> {
  readonly refusal: Code;
  readonly detail: Detail;
}

export interface Context<State> {
  readonly key: string;
  /** Position of this event in its partition. */
  readonly seq: Seq;
  /** When the event was received, in milliseconds since 1970, as logged: the same at every replay. */
  readonly now: number;
  /** No state for this key was there before this event. */
  readonly isNew: boolean;
  /** 0 <= x < 1, seeded by the event: the same at every replay. */
  random(): number;
  /** A version 4 UUID, seeded by the event. */
  uuid(): string;
  /** Replaces the state. */
  set(state: State): void;
  /** Removes the key; the next event of it starts from `initial`. */
  remove(): void;
  /** Says no: the event changes nothing, and its sender gets `code` and `detail`, at every repeat too. */
  refuse<const Code extends string, Detail = undefined>(code: Code, detail?: Detail): Refusal<Code, Detail>;
}

export type Schemas = Readonly<Record<string, StandardSchemaV1>>;
type Input<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : never;
type Output<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : never;
/** O2: the schema itself where input and output agree, else an error message as a type. */
type Checks<S> = [Input<S>] extends [Output<S>]
  ? [Output<S>] extends [Input<S>]
    ? S
    : "schemas check, they don't transform: input and output types must be the same"
  : "schemas check, they don't transform: input and output types must be the same";

export type EventOf<E extends Schemas> = { [T in keyof E & string]: Event<T, Input<E[T]>> }[keyof E & string];

/** "500ms", "30s", "5m", "24h", "7d". */
export type Duration = `${number}${"ms" | "s" | "m" | "h" | "d"}`;

export interface SnapshotPolicy {
  /** At most this often, and only with 1,000 events or 1 MB to save, or a tail that 80 openings have read; else once a day. Default 5m. */
  readonly every?: Duration;
  /** A snapshot is taken before a recovery would take longer, as far as that is due to the tail. Default 1s. */
  readonly recovery?: Duration;
  /** Snapshot at once when the tail has this many bytes. Default 4,000,000. */
  readonly maxTailBytes?: number;
  /** How long history stays available, and which snapshots as restore points besides. Default 7d. */
  readonly retain?: Duration | Retain;
}

export interface Retain {
  /** State at any moment of this time can be had: the snapshots and the archive for it stay. */
  readonly age: Duration;
  /** So many of the newest snapshots stay restorable, the current one included. Default 0: what `age` needs. */
  readonly last?: number;
  /** The newest snapshot of each of so many hours. */
  readonly hourly?: number;
  /** The newest snapshot of each of so many days, UTC. */
  readonly daily?: number;
}

/** O3: nothing more to ask where the state is JSON, else an error message as a type. */
type Carries<State> = [State] extends [Jsonable<State>]
  ? unknown
  : { readonly initial: "the state must be JSON: no Date, Map, undefined, bigint, function or class in it" };

export interface Spec<E extends Schemas, State, Replies extends Record<keyof E, unknown>> {
  /** Version of the state's shape, from 1; raise it together with a `migrate` entry. */
  readonly version: number;
  /** Event type -> schema of `event.data` (Standard Schema: zod, valibot, arktype, …). */
  readonly events: E & { readonly [T in keyof E]: Checks<E[T]> };
  /** The key whose state an event changes. Default: `partitionkey`, else `subject`. */
  readonly key?: (event: EventOf<E>) => string;
  /** Keys of one group live in one partition. Default: the key itself. */
  readonly group?: (key: string) => string;
  readonly initial: (key: string) => State;
  /** Event type -> handler: changes the state in place; what it returns is the reply. */
  readonly on: {
    readonly [T in keyof E]: (state: State, event: Event<T & string, Input<E[T]>>, ctx: Context<State>) => Replies[T];
  };
  /** Version n -> how to make it from version n - 1: for every n from 2 to `version`. `(old) => old` where nothing changed. */
  readonly migrate?: { readonly [version: number]: (old: JsonObject) => unknown };
  /** Repeats get the first reply for this long. Default: they get the outcome only. */
  readonly replies?: { readonly keep: Duration };
  /** How long and how many ids are recognised as repeats. Default 24h, 500,000 for each partition. */
  readonly dedup?: { readonly keep?: Duration; readonly maxIds?: number };
  /** Number of partitions when the operator is first used; stored then, and the stored number stays. Default 1. */
  readonly partitions?: number;
  readonly snapshot?: SnapshotPolicy;
  /** Keys that the operator may have; each partition may have its share. An event that would make one more is refused with
   *  `too_many_keys`. Default: any number. */
  readonly maxKeys?: number;
  /** Events that the operator takes on one day (UTC); each partition takes its share. Beyond it: 429 `budget_spent`. A share may
   *  not be larger than dedup.maxIds, nor dedup.keep shorter than a day: that is what is counted. Default: any number. */
  readonly maxEventsPerDay?: number;
  /** Bytes of states that each partition holds in memory; the rest is read from its snapshot when it is needed. Default 8 MiB. */
  readonly memory?: number;
}

/** The handlers as they are written: inferred as a whole, since what each returns is the reply that clients know. */
type Handlers<E extends Schemas, State> = Spec<E, State, Record<keyof E, unknown>>["on"];
type RepliesOf<On> = { readonly [T in keyof On]: On[T] extends (...args: never) => infer R ? R : never };

/** An operator with its types erased to what the engine runs, and everything defaulted. Times in milliseconds. */
export interface Operator<
  Name extends string = string,
  E extends Schemas = Schemas,
  State = unknown,
  Replies = unknown,
> {
  readonly name: Name;
  readonly version: number;
  readonly events: E;
  readonly partitions: number;
  readonly dedup: { readonly keepMs: number; readonly maxIds: number };
  /** 0: outcomes only. */
  readonly repliesMs: number;
  readonly snapshot: {
    readonly everyMs: number;
    readonly recoveryMs: number;
    readonly maxTailBytes: number;
    readonly retain: RetentionPolicy;
  };
  readonly memoryBytes: number;
  /** Infinity: no bound. */
  readonly maxKeys: number;
  readonly maxEventsPerDay: number;
  readonly key: (event: Event) => unknown;
  readonly group: (key: string) => string;
  readonly initial: (key: string) => unknown;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly migrate: ReadonlyMap<number, (old: JsonObject) => unknown>;
  /** For clients: the state's type, and the reply's for each event type. Never there at run time. */
  readonly types?: { readonly state: State; readonly replies: Replies };
}

export type Handler = (state: unknown, event: Event, ctx: Context<unknown>) => unknown;

export const OPERATOR_NAME = /^[a-z][a-z0-9-]{0,62}$/;
export const RESERVED_TYPE = "keyframe.";

/**
 * Defines an operator.
 *
 * @example operator("visits", { version: 1, events: { visit: z.object({ page: z.string() }) },
 *   key: (e) => e.data.page, initial: () => ({ n: 0 }), on: { visit(state) { state.n += 1; } } })
 * @throws where the definition can't work: a bad name, a missing handler or migration, a limit that is no number
 */
export function operator<const Name extends string, const E extends Schemas, State, On extends Handlers<E, State>>(
  name: Name,
  spec: Spec<E, State, Record<keyof E, unknown>> & { readonly on: On } & NoInfer<Carries<State>>,
): Operator<Name, E, State, RepliesOf<On>> {
  const fail = (why: string): never => {
    throw new Error(`operator "${name}": ${why}`);
  };
  if (!OPERATOR_NAME.test(name))
    fail("the name must be a-z, 0-9 and -, start with a letter, and have at most 63 characters");
  const whole = (n: number, what: string, least: number): number =>
    Number.isSafeInteger(n) && n >= least ? n : fail(`${what} must be a whole number from ${least}, not ${n}`);

  const handlers = new Map<string, Handler>();
  for (const type of Object.keys(spec.events)) {
    if (type === "" || type.startsWith(RESERVED_TYPE))
      fail(`"${type}" can't be an event type: empty, or starts with "${RESERVED_TYPE}"`);
    // Its own: every object has something by the name "constructor".
    const handler = Object.hasOwn(spec.on, type) ? (spec.on as unknown as Record<string, Handler>)[type] : undefined;
    handlers.set(type, handler ?? fail(`no handler for event type "${type}"`));
  }
  for (const type of Object.keys(spec.on))
    if (!handlers.has(type)) fail(`handler for "${type}", which has no schema in events`);
  const version = whole(spec.version, "version", 1);
  const migrate = migrations(spec.migrate ?? {}, version, fail);
  const partitions = whole(spec.partitions ?? 1, "partitions", 1);
  const bound = (n: number | undefined, what: string): number =>
    n === undefined ? Number.POSITIVE_INFINITY : whole(n, what, 1);
  const dedup = {
    keepMs: duration(spec.dedup?.keep ?? "24h", fail),
    maxIds: whole(spec.dedup?.maxIds ?? 500_000, "dedup.maxIds", 1),
  };
  const maxEventsPerDay = bound(spec.maxEventsPerDay, "maxEventsPerDay");
  const share = Math.ceil(maxEventsPerDay / partitions);
  if (share !== Number.POSITIVE_INFINITY && (share > dedup.maxIds || dedup.keepMs < UNIT_MS.d))
    fail(
      `maxEventsPerDay makes ${share} events a partition, counted by the ids that dedup keeps: raise dedup.maxIds to that and dedup.keep to 24h`,
    );

  return {
    name,
    version,
    events: spec.events,
    handlers,
    migrate,
    partitions,
    key: (spec.key as ((event: Event) => unknown) | undefined) ?? defaultKey,
    group: spec.group ?? ((key) => key),
    initial: spec.initial,
    repliesMs: spec.replies ? duration(spec.replies.keep, fail) : 0,
    dedup,
    maxKeys: bound(spec.maxKeys, "maxKeys"),
    maxEventsPerDay,
    snapshot: {
      everyMs: duration(spec.snapshot?.every ?? "5m", fail),
      recoveryMs: duration(spec.snapshot?.recovery ?? "1s", fail),
      maxTailBytes: whole(spec.snapshot?.maxTailBytes ?? 4_000_000, "snapshot.maxTailBytes", 1),
      retain: retention(spec.snapshot?.retain ?? "7d", fail),
    },
    memoryBytes: whole(spec.memory ?? MEMORY_BYTES, "memory", 1),
  };
}

const defaultKey = (event: Event): unknown => event.partitionkey ?? event.subject;

/** For descriptions: where the key comes from. */
export const usesDefaultKey = (operator: Operator): boolean => operator.key === defaultKey;

type Migration = (old: JsonObject) => unknown;

/** Every step from version 1 on: where one is missing, state of an older version would be taken for that of the newer one. */
function migrations(
  given: { readonly [version: number]: Migration },
  version: number,
  fail: (why: string) => never,
): ReadonlyMap<number, Migration> {
  for (const name of Object.keys(given))
    if (!/^[1-9]\d*$/.test(name) || Number(name) < 2 || Number(name) > version)
      fail(`migrate has an entry for version ${name}, but versions go from 1 to ${version}, and 1 comes from nothing`);
  const steps = new Map<number, Migration>();
  for (let to = 2; to <= version; to++) {
    const step: unknown = Object.hasOwn(given, to) ? given[to] : undefined;
    if (typeof step !== "function")
      return fail(
        `version ${version} needs a migrate entry for ${to}, which makes state of version ${to} from that of ${to - 1}; where its shape stayed the same, write ${to}: (old) => old`,
      );
    steps.set(to, step as Migration);
  }
  return steps;
}

const RETAIN = new Set(["age", "last", "hourly", "daily"]);

function retention(given: Duration | Retain, fail: (why: string) => never): RetentionPolicy {
  const retain: Retain = typeof given === "string" ? { age: given } : given;
  for (const name of Object.keys(retain))
    if (!RETAIN.has(name)) fail(`snapshot.retain has no "${name}"; it has ${[...RETAIN].join(", ")}`);
  if (typeof retain.age !== "string")
    fail(`snapshot.retain needs an age, such as "7d": how long state at any moment can be had`);
  const ageMs = duration(retain.age, fail);
  if (ageMs < 1) fail(`snapshot.retain: "${retain.age}" is no age; retain something`);
  const count = (name: "last" | "hourly" | "daily"): number => {
    const n = retain[name] ?? 0;
    return Number.isSafeInteger(n) && n >= 0
      ? n
      : fail(`snapshot.retain.${name} must be a whole number from 0, not ${String(n)}`);
  };
  const policy = { ageMs, last: count("last"), hourly: count("hourly"), daily: count("daily") };
  const points = policy.last + policy.hourly + policy.daily;
  if (points > KEPT_POINTS)
    fail(`snapshot.retain asks for ${points} restore points (last + hourly + daily); there may be ${KEPT_POINTS}`);
  return policy;
}

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function duration(text: string, fail: (why: string) => never): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return fail(`"${text}" is no duration; write it as 500ms, 30s, 5m, 24h or 7d`);
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
