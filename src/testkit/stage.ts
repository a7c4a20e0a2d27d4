/**
 * One operator on a real partition with its stores in memory. The test kit sends its events here.
 *
 * STAGE1. Everything between an event's text and its state is the engine's own: checks, log, dedup, handlers, snapshot
 *     files, recovery. Only D1, R2 and the clock are replaced.
 * STAGE2. The partition's time passes only between events, by as much as a test says, so each run gives the same result.
 * STAGE3. States of an older version are in a snapshot that code of that version wrote. The code under test reads them
 *     as after a deploy. They don't expire before their first event, since no one knows when they had one.
 * STAGE4. Alarms come as the test says: in time, late or never. Snapshots are taken only where the test says.
 */
import { brotli } from "../adapters/brotli.ts";
import { keyOf, route, type Route } from "../engine/operator/routing.ts";
import { print } from "../engine/event/fingerprint.ts";
import { PUT, type Edit } from "../engine/state/edit.ts";
import { fill, readEvent } from "../engine/event/event.ts";
import { HASH_NAME } from "../engine/base/hash.ts";
import { FIRST_LINE, seq } from "../engine/base/ids.ts";
import { Prints } from "../engine/event/fingerprint.ts";
import { utf8Length } from "../engine/base/json.ts";
import { SIZES } from "../engine/base/limits.ts";
import { MIGRATION_FAILED } from "../engine/operator/migration.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { parseOutcome } from "../engine/log/outcome.ts";
import { PartitionEngine } from "../engine/partition/partition.ts";
import type { Clock, Host } from "../engine/base/ports.ts";
import { isDuplicate, STATUS, WIRE_VERSION, type AppendRequest } from "../engine/partition/protocol.ts";
import { TIMER_TYPE, type Firing, type Timers } from "../engine/state/timers.ts";
import { MemoryCache } from "./memory-cache.ts";
import { MemoryDatabase } from "./memory-log.ts";
import { MemoryStore } from "./memory-store.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** The outcome of one event. */
export type EventOutcome<Reply = unknown> =
  | { readonly tag: "applied"; readonly key: string; readonly reply: Reply; readonly duplicate: boolean }
  | {
      readonly tag: "refused";
      readonly key: string;
      readonly code: string;
      readonly detail: unknown;
      readonly duplicate: boolean;
    }
  /** The handler threw. */
  | { readonly tag: "quarantined"; readonly key: string; readonly error: string; readonly duplicate: boolean }
  /** The event didn't reach the handler: no key, invalid data, an id that belongs to another event. */
  | { readonly tag: "rejected"; readonly code: string; readonly message: string };

/**
 * How the partition's alarms come. Between snapshots: in time, each after a snapshot and before another, and each
 * snapshot is read back.
 */
export type Alarms = "in time" | "late" | "lost" | "between snapshots";

/** A timer whose handler threw. */
export interface ThrownTimer extends Firing {
  readonly key: string;
  readonly error: string;
}

/** The seed of the placement, which a deployment draws by lot. */
const SEED = 42;
/** Time from one event to the next. */
const BETWEEN_MS = 1_000;
/** States of older code are written this long before the first event. */
const BEFORE_MS = 3_600_000;
/** Late alarms come so much later. */
const LATE_MS = 2_500;
/** No snapshot is taken because so much time has passed. */
const NEVER_MS = 36_500 * 86_400_000;
const PAGE = 1_000;
const PAGE_BYTES = 4_000_000;

export class Stage {
  readonly #db = new MemoryDatabase();
  readonly #store = new MemoryStore();
  readonly #cache = new MemoryCache();
  readonly #clock: VirtualClock;
  readonly #route: Route;
  readonly #alarms: Alarms;
  #partition: PartitionEngine;
  #sent = 0;
  #nowMs: number;
  /** The test has said when the next event comes. */
  #isSet = true;
  #alarmMs: number | null = null;
  #nonces = 0;

  /**
   * `startMs` is the time of receipt of the first event. Each further event comes a second later, or after the time of
   * `later`.
   */
  constructor(operator: Operator, startMs: number, alarms: Alarms = "in time") {
    const placement = { operator: operator.name, partitions: 1, hash: HASH_NAME, seed: SEED, databases: ["LOG_0"] };
    const snapshot = { ...operator.snapshot, everyMs: NEVER_MS };
    this.#route = route(FIRST_LINE, { ...operator, snapshot }, placement);
    this.#nowMs = startMs;
    this.#alarms = alarms;
    this.#clock = new VirtualClock(startMs - BEFORE_MS);
    this.#partition = this.#start();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Writes keys in a snapshot as code of an older version left them. Call it before all events. */
  async begin(version: number, states: Readonly<Record<string, unknown>>): Promise<void> {
    const { operator } = this.#route;
    const startMs = this.#nowMs;
    this.#nowMs = startMs - BEFORE_MS;
    this.#partition = this.#start({ ...operator, version, migrate: new Map(), expireMs: null });
    for (const [key, state] of Object.entries(states)) {
      const data: Edit = { if: "none", version, state };
      const command = { type: PUT, source: "keyframe:test", id: key, partitionkey: key, data };
      const at = this.#nowMs;
      const prints = new Prints(1);
      print(prints, fill({ ...command }, new Date(at).toISOString()), key, SEED, false);
      const slice: AppendRequest = {
        v: WIRE_VERSION,
        operatorVersion: version,
        at,
        ...alone(JSON.stringify(command), key, prints),
        command: true,
      };
      const outcome = await this.#decided(slice, key);
      if (outcome.tag !== "applied") throw new RangeError(`from: ${JSON.stringify(outcome)}`);
    }
    await this.snapshot();
    this.restart();
    this.#nowMs = startMs;
  }

  /** Lets time pass. The next event comes at its end. */
  async later(ms: number): Promise<void> {
    await this.#pass(this.#nowMs + ms);
    this.#isSet = true;
  }

  /** Lets time pass up to a moment. Then all has fired that is due, whatever became of the alarms. */
  async until(ms: number): Promise<void> {
    await this.#pass(ms);
    await this.#wake();
    this.#isSet = true;
  }

  /** Sends one event and waits until it is decided. */
  async send(event: unknown): Promise<EventOutcome> {
    const index = this.#sent++;
    if (!this.#isSet) await this.#pass(this.#nowMs + BETWEEN_MS);
    this.#isSet = false;
    const at = this.#nowMs;
    const defaults = { time: new Date(at).toISOString(), id: () => `event-${index}` };
    const read = readEvent(JSON.stringify(event), index, defaults);
    if (read.tag === "rejected") return { tag: "rejected", code: read.code, message: read.message };
    const keyed = keyOf(this.#route, read.event);
    if (keyed.tag === "rejected") return { tag: "rejected", code: keyed.code, message: keyed.message };
    const prints = new Prints(1);
    print(prints, read.event, keyed.key, SEED, read.timed);
    const slice: AppendRequest = {
      v: WIRE_VERSION,
      operatorVersion: this.#route.operator.version,
      at,
      ...alone(read.text, keyed.key, prints),
    };
    return this.#decided(slice, keyed.key);
  }

  async #decided(slice: AppendRequest, key: string): Promise<EventOutcome> {
    const result = await this.#clock.run(this.#partition.append(slice));
    if (result.tag !== "decided") throw new Error(`the partition didn't take the event: ${result.message}`);
    const status = result.statuses[0]!;
    const duplicate = isDuplicate(status);
    const [, seq, text] = result.details[0] ?? [0, 0, null];
    if (status === STATUS.reused)
      return { tag: "rejected", code: "id_reused", message: `this source and id belong to another event, seq ${seq}` };
    if (status === STATUS.unmigrated) return { tag: "rejected", code: MIGRATION_FAILED, message: text! };
    if (text === null) return { tag: "applied", key, reply: null, duplicate };
    const outcome = parseOutcome(text);
    switch (outcome.tag) {
      case "applied":
        return { tag: "applied", key, reply: JSON.parse(outcome.reply) as unknown, duplicate };
      case "refused":
        return { tag: "refused", key, code: outcome.code, detail: JSON.parse(outcome.detail) as unknown, duplicate };
      case "quarantined":
        return { tag: "quarantined", key, error: outcome.error, duplicate };
    }
  }

  /** Returns the state of a key, or undefined if there is none. */
  async state(key: string): Promise<unknown> {
    const [entry] = await this.#clock.run(this.#partition.read([key]));
    return entry ? (JSON.parse(entry.text) as unknown) : undefined;
  }

  /** Returns the timers of a key, with its expiry under "". */
  async timers(key: string): Promise<Timers> {
    const [entry] = await this.#clock.run(this.#partition.read([key]));
    return entry?.timers ?? [];
  }

  /** Returns the timers whose handlers threw, in the order of keys and due times. */
  async thrownTimers(): Promise<readonly ThrownTimer[]> {
    const thrown: ThrownTimer[] = [];
    for (let after = seq(0), more = true; more;) {
      const wanted = { type: TIMER_TYPE };
      const page = await this.#clock.run(this.#partition.quarantined(after, PAGE, PAGE_BYTES, wanted));
      for (const { key, event, error } of page.items)
        thrown.push({ key, error, ...(JSON.parse(event) as { readonly data: Firing }).data });
      after = page.items.at(-1)?.seq ?? after;
      more = page.more;
    }
    const place = ({ key, due, timer }: ThrownTimer): string => JSON.stringify([key, due, timer]);
    return thrown.sort((a, b) => (place(a) < place(b) ? -1 : 1));
  }

  /** Returns all keys with their states, in the order of the keys' bytes. */
  async states(): Promise<Record<string, unknown>> {
    // A list, since `__proto__` is a key like others.
    const all: [string, unknown][] = [];
    for (let after = "", more = true; more;) {
      const page = await this.#clock.run(this.#partition.scan("", after, PAGE, PAGE_BYTES));
      for (const [key, { text }] of page.items) all.push([key, JSON.parse(text) as unknown]);
      after = page.items.at(-1)?.[0] ?? after;
      more = page.more;
    }
    return Object.fromEntries(all);
  }

  /** Writes a snapshot file. */
  async snapshot(): Promise<void> {
    const taken = await this.#clock.run(this.#partition.snapshot());
    if (taken.tag === "failed") throw new Error(`the snapshot failed: ${taken.why}`);
  }

  /**
   * Drops the partition's memory. The next call reads the state from the last snapshot and replays the log above it.
   */
  restart(): void {
    this.#partition = this.#start();
  }

  /** Moves the time, with the alarms that come meanwhile. */
  async #pass(untilMs: number): Promise<void> {
    for (let at = this.#nextAlarm(); at !== null && at <= untilMs; at = this.#nextAlarm()) {
      this.#nowMs = Math.max(this.#nowMs, at);
      await this.#alarm();
    }
    this.#nowMs = untilMs;
    await this.#clock.advance(Math.max(0, untilMs - this.#clock.now()));
  }

  #nextAlarm(): number | null {
    if (this.#alarmMs === null || this.#alarms === "lost") return null;
    return this.#alarmMs + (this.#alarms === "late" ? LATE_MS : 0);
  }

  async #alarm(): Promise<void> {
    const isBetween = this.#alarms === "between snapshots";
    if (isBetween) await this.snapshot();
    if (isBetween) this.restart();
    this.#alarmMs = null;
    await this.#wake();
    if (isBetween) await this.snapshot();
    if (isBetween) this.restart();
  }

  #wake(): Promise<void> {
    return this.#clock.run(this.#partition.wake());
  }

  #start(operator = this.#route.operator): PartitionEngine {
    const address = this.#route.addresses[0]!;
    const id = { line: address.line, operator: address.operator, partition: address.partition };
    const fail = (why: string): void => {
      throw new Error(`the partition ended: ${why}`);
    };
    const host: Host = {
      nonce: () => `nonce-${String(this.#nonces++).padStart(6, "0")}`,
      // A failure beside a call shows in the next call.
      keep: (promise) => void promise.catch(() => undefined),
      arm: (atMs) => void (this.#alarmMs = atMs),
      highWaterMark: () => null,
      keepHighWaterMark: () => Promise.resolve(),
      aside: () => null,
      keepAside: () => undefined,
      end: fail,
      note: () => undefined,
    };
    // The partition sees the test's time, even if the virtual clock moves on while a snapshot is taken.
    const clock: Clock = {
      now: () => this.#nowMs,
      after: (ms, then) => this.#clock.after(ms, then),
      // No alarm begins a verification by chance.
      jitter: () => 1,
    };
    const env = {
      id,
      operator,
      code: "test",
      log: this.#db.log(id),
      objects: this.#store,
      codec: brotli,
      clock,
      host,
      cache: this.#cache,
      sizes: SIZES,
    };
    return new PartitionEngine(env, address);
  }
}

/** One event in the form of a request. */
const alone = (text: string, key: string, prints: Prints) => ({
  body: text,
  bytes: utf8Length(text),
  lengths: [text.length],
  keys: [key],
  prints: prints.words(),
  full: true,
});
