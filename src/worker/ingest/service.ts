/**
 * Keyframe for other Workers, by a service binding: without HTTP, and with answers as tagged values.
 *
 * SERVICE1. From an event's text on, the HTTP routes and the binding run the same code: same checks, limits and counts.
 * SERVICE2. A binding is its own permission: the account's owner made it. Tokens and `authorize` are for HTTP. The
 *     binding's `props` may bind the caller to a key prefix (U4).
 * SERVICE3. A failure that a caller must handle comes back as a value. An exception is a bug here or a broken call:
 *     send again.
 */
import { MAIN } from "../../engine/history/timelines.ts";
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Route } from "../../engine/operator/routing.ts";
import { NAME_BYTES, ARRAY_EVENTS } from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import type { EventFor, ReplyOf, StateOf } from "../../engine/operator/operator-types.ts";
import { soundPrefix } from "../http/access.ts";
import { installedApp, type Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { ask, type Asked } from "./ask.ts";
import { NOTHING } from "./batch.ts";
import type { EventError } from "./event-result.ts";
import { Intake } from "./intake.ts";
import { LOST_RETRY_SEC } from "../http/lost.ts";
import { postOf } from "./partition-client.ts";
import { atOf, readState } from "../read/state-routes.ts";
import { momentGone } from "../read/moments.ts";
import { sourceOf } from "../read/state-source.ts";
import { type KeyTimers, timersShown } from "../read/timers-route.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import { timelineAsked, usableRoutes } from "../timeline-asked.ts";
import { troubleOf } from "../trouble.ts";

/** As in the answer of `POST /v1/events`. */
export interface Counts {
  readonly received: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly rejected: number;
  readonly quarantined: number;
  /** Always 0: a call by a binding has no number. */
  readonly forgotten: number;
  readonly unrouted: number;
  /** All events before this index are decided. */
  readonly through: number;
  /** The first 100 refused or rejected events. */
  readonly errors: readonly EventError[];
}

export type Sent =
  /** Every event is decided, and each one that counts is durable. */
  | ({ readonly tag: "decided" } & Counts)
  /**
   * Not all events are durable: send the events from `through` on again. Events that were taken already count as
   * duplicates.
   */
  | ({
      readonly tag: "unavailable";
      readonly code: string;
      readonly message: string;
      readonly retryAfterSec: number;
    } & Counts)
  /** The whole call is invalid: fix it. */
  | { readonly tag: "invalid"; readonly code: string; readonly message: string };

/** The members of a read of the past. */
interface AboutMoment {
  /** The stamp that was read. Asked again with it, the answer is the same for ever. */
  readonly at?: number;
  /** Another version of the operator applied events that were read. */
  readonly exact?: false;
}

interface TimelineOption {
  /** The timeline, as `fix` or `main~1`. Default: `main`. */
  readonly timeline?: string;
}

export interface GetOptions extends TimelineOption {
  /** A moment of the past: a time, a stamp, a time ago as `-90m`, `now`, or one of a timeline as `fix@now`. */
  readonly at?: string | number;
}

export type Got<State = unknown> =
  /** `seq` and `time` (RFC 3339) of the last event that changed it. */
  | ({
      readonly tag: "found";
      readonly value: State;
      readonly partition: number;
      readonly seq: number;
      readonly time: string;
    } & AboutMoment)
  | ({ readonly tag: "no_state" } & AboutMoment)
  | { readonly tag: "rejected"; readonly code: string; readonly message: string }
  | { readonly tag: "unavailable"; readonly code: string; readonly message: string; readonly retryAfterSec: number };

export type GotTimers =
  | ({
      readonly tag: "found";
      /** `seq` and `time` (RFC 3339) of the last event that changed the key. */
      readonly partition: number;
      readonly seq: number;
      readonly time: string;
    } & KeyTimers &
      AboutMoment)
  | Exclude<Got, { tag: "found" }>;

export interface SendOptions extends TimelineOption {
  /** Count events of a type that no operator wants as `unrouted` instead of rejecting them. */
  readonly unrouted?: "ignore";
  /** Events without an id get `{idempotencyKey}/{index}`, so that duplicates are known. Up to 1,008 bytes. */
  readonly idempotencyKey?: string;
}

type NameOf<O extends Operator> = O["name"];
type Named<O extends Operator, Name> = Extract<O, { readonly name: Name }>;

/**
 * The type of a service binding to `Keyframe`, for the Worker that has it, with the operators that the other one runs.
 *
 * @example
 * interface MyEnv {
 *   readonly STREAMS: Service<typeof operators>;
 * }
 * const take = async (env: MyEnv, account: string): Promise<boolean> => {
 *   const asked = await env.STREAMS.ask("credits", { type: "credits.take", id: crypto.randomUUID(), data: { account, n: 1 } });
 *   if (asked.tag === "unavailable") throw new Error(`try again in ${asked.retryAfterSec} s: ${asked.message}`);
 *   return asked.tag === "applied";
 * };
 */
export interface Service<Operators extends readonly Operator[] = readonly Operator[]> {
  /** Sends events for every operator that wants them, up to 100,000 and the 32 MiB that an RPC carries. */
  send(events: readonly EventFor<Operators[number]>[], options?: SendOptions): Promise<Sent>;
  /** Sends one event for one operator, and returns its answer. A retry with the same id gets the first answer. */
  ask<Name extends NameOf<Operators[number]>>(
    operator: Name,
    event: EventFor<Named<Operators[number], Name>>,
    options?: TimelineOption,
  ): Promise<Asked<ReplyOf<Named<Operators[number], Name>>>>;
  /** Returns the state of a key. Without a moment it includes every event that was answered before. */
  get<Name extends NameOf<Operators[number]>>(
    operator: Name,
    key: string,
    options?: GetOptions,
  ): Promise<Got<StateOf<Named<Operators[number], Name>>>>;
  /** Returns the pending timers of a key, and when it expires. */
  timers(operator: NameOf<Operators[number]>, key: string, options?: GetOptions): Promise<GotTimers>;
}

/** The props that a binding may have: `[[services]] … props = { keyPrefix = "acme/" }`. */
export interface ServiceProps {
  /** The caller may use only keys that begin with this prefix. Its last character is a separator. Default: all keys. */
  readonly keyPrefix?: string;
}

/**
 * The entrypoint of the binding: export it beside `Partition`, and name it in the other Worker's `[[services]]`.
 *
 * @example
 * export { Keyframe, Partition } from "keyframe-streams";
 * export default keyframe({ operators: [myOperator] });
 */
export class Keyframe extends WorkerEntrypoint<Env, ServiceProps> {
  /** See `Service`. */
  async send(events: readonly unknown[], options: SendOptions = {}): Promise<Sent> {
    const flaw = sendFlaw(events, options);
    if (flaw !== null) return { tag: "invalid", ...flaw };
    const routes = await this.#routes(options, true);
    if ("tag" in routes) {
      if (routes.tag === "unavailable") return { ...routes, ...NOTHING, errors: [] };
      return { ...routes, tag: "invalid" };
    }
    const intake = this.#intake(routes, null, options);
    await intake.take([{ lines: textsOf(events) }]);
    const counts = { ...intake.counts, errors: intake.errors.sort((a, b) => a.index - b.index) };
    if (intake.interruption !== null) return { tag: "unavailable", ...intake.interruption, ...counts };
    return { tag: "decided", ...counts };
  }

  /** See `Service`. */
  async ask(operator: string, event: unknown, options: TimelineOption = {}): Promise<Asked> {
    const routes = await this.#routes(options, true);
    if ("tag" in routes) return unasked(routes);
    const route = routeOf(routes, operator);
    if ("tag" in route) return unasked(route);
    const intake = this.#intake(routes, route, {});
    return ask(intake, [textOf(event)]);
  }

  /** See `Service`. */
  async get(operator: string, key: string, options: GetOptions = {}): Promise<Got> {
    const read = await this.#read(operator, key, options);
    if (read.tag === "unmigrated")
      return { tag: "unavailable", code: MIGRATION_FAILED, message: read.message, retryAfterSec: RETRY_SEC };
    return read.tag === "entry" ? found(read, { value: JSON.parse(read.entry.text) as unknown }) : read;
  }

  /** See `Service`. */
  async timers(operator: string, key: string, options: GetOptions = {}): Promise<GotTimers> {
    const read = await this.#read(operator, key, options);
    return read.tag === "entry" || read.tag === "unmigrated" ? found(read, timersShown(read.entry)) : read;
  }

  async #read(operator: string, key: string, options: GetOptions): Promise<EntryRead | Exclude<Got, { tag: "found" }>> {
    const { at } = options;
    const routes = await this.#routes(options, false);
    if ("tag" in routes) return routes;
    const route = routeOf(routes, operator);
    if ("tag" in route) return route;
    if (typeof key === "string" && !key.startsWith(this.#keyPrefix))
      return {
        tag: "rejected",
        code: "key_not_allowed",
        message: `this caller may not use the key ${JSON.stringify(key)}`,
      };
    const source = await sourceOf(this.env, route, at === undefined ? undefined : String(at));
    if (source instanceof Response) return problemAsValue(source);
    const read = await readState(source, route, key);
    switch (read.tag) {
      case "found":
        return { ...read, tag: "entry", about: atOf(source) };
      case "unmigrated":
        return { ...read, about: atOf(source) };
      case "no_state":
        return { tag: "no_state", ...atOf(source) };
      case "gone":
        return problemAsValue(momentGone(read));
      case "invalid_key":
        return { tag: "rejected", code: "invalid_key", message: read.message };
      case "busy":
        return { tag: "unavailable", code: read.code, message: read.message, retryAfterSec: RETRY_SEC };
    }
  }

  get #keyPrefix(): string {
    // The platform gives no props if the binding has none.
    return soundPrefix((this.ctx.props as ServiceProps | undefined)?.keyPrefix, "the binding's props");
  }

  /** Finds the timeline as the HTTP routes do. `logs`: the call sends events. */
  async #routes({ timeline, at }: GetOptions, logs: boolean): Promise<Routes | Unavailable | Rejected> {
    const name = timelineAsked((option) => (option === "at" ? at : timeline)?.toString(), !logs, false);
    if (typeof name !== "string") return { tag: "rejected", code: name.code, message: name.detail };
    try {
      const app = installedApp();
      const appends = logs && name === MAIN;
      const found = appends ? await app.routes(this.env) : await app.timeline(this.env, name);
      const routes = usableRoutes(name, found, logs);
      return routes instanceof Response ? await problemAsValue(routes) : routes;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble === null) throw error;
      return { tag: "unavailable", ...trouble, retryAfterSec: RETRY_SEC };
    }
  }

  #intake(routes: Routes, only: Route | null, { unrouted, idempotencyKey }: SendOptions): Intake {
    const receivedMs = Date.now();
    const prefix = idempotencyKey ?? crypto.randomUUID();
    return new Intake({
      post: postOf(this.env),
      routes,
      only,
      defaults: { time: new Date(receivedMs).toISOString(), id: (index) => `${prefix}/${index}` },
      receivedMs,
      standard: false,
      ignoreUnrouted: unrouted === "ignore",
      full: only !== null,
      producer: null,
      keyPrefix: this.#keyPrefix,
    });
  }
}

const RETRY_SEC = 1;

/** The entry of a key, with what the answer says of its moment. */
type EntryRead = { readonly partition: number; readonly entry: KeyEntry; readonly about: AboutMoment } & (
  | { readonly tag: "entry" }
  /** The state can't be migrated to the operator's version. */
  | { readonly tag: "unmigrated"; readonly message: string }
);

function found<Members>({ partition, entry: { seq, stamp }, about }: EntryRead, members: Members) {
  return { tag: "found" as const, ...members, partition, seq, time: stampTime(stamp), ...about };
}

type Unavailable = Extract<Got, { tag: "unavailable" }>;
type Rejected = Extract<Got, { tag: "rejected" }>;

const unasked = (why: Unavailable | Rejected): Asked => (why.tag === "rejected" ? { ...why, id: null } : why);

function sendFlaw(events: unknown, { idempotencyKey }: SendOptions): { code: string; message: string } | null {
  if (!Array.isArray(events)) return { code: "not_an_array", message: "send takes an array of events" };
  if (events.length > ARRAY_EVENTS)
    return { code: "too_many_events", message: `${events.length} events; one call takes up to ${ARRAY_EVENTS}` };
  if (idempotencyKey !== undefined && (idempotencyKey === "" || exceeds(idempotencyKey, NAME_BYTES - 16)))
    return { code: "invalid_idempotency_key", message: `idempotencyKey must have 1 to ${NAME_BYTES - 16} bytes` };
  return null;
}

/** One text at a time, since all of them would take their memory at once. */
function* textsOf(events: readonly unknown[]): Generator<string> {
  for (const event of events) yield textOf(event);
}

/**
 * Returns the event as JSON, or "" for a value that JSON can't carry (a bigint), which is then rejected as malformed.
 */
function textOf(event: unknown): string {
  try {
    return JSON.stringify(event) ?? "";
  } catch {
    return "";
  }
}

/** Returns a problem of the HTTP routes as a value. A moment that isn't settled yet passes, as `Retry-After` says. */
async function problemAsValue(response: Response): Promise<Unavailable | Rejected> {
  const { code, detail } = await response.json<{ readonly code: string; readonly detail: string }>();
  const retryAfter = response.headers.get("retry-after");
  if (retryAfter === null) return { tag: "rejected", code, message: detail };
  return { tag: "unavailable", code, message: detail, retryAfterSec: Number(retryAfter) };
}

function routeOf({ byOperator, lost }: Routes, operator: string): Route | Unavailable | Rejected {
  const route = byOperator.get(operator);
  if (route !== undefined) return route;
  const why = lost?.byOperator.get(operator);
  if (why !== undefined)
    return { tag: "unavailable", code: why.code, message: why.message, retryAfterSec: LOST_RETRY_SEC };
  const names = [...byOperator.keys()].join(", ");
  return {
    tag: "rejected",
    code: "no_operator",
    message: `there is no operator ${JSON.stringify(operator.slice(0, 100))}; there are ${names}`,
  };
}
