/**
 * One operator on a real partition with its stores in memory. The test kit sends its events here.
 *
 * STAGE1. Everything between an event's text and its state is the engine's own: checks, log, dedup, handlers, snapshot
 *     files, recovery. Only D1, R2 and the clock are replaced.
 * STAGE2. The clock moves only from one event to the next, by as much as a test says, so each run gives the same
 *     result.
 * STAGE3. States of an older version are in a snapshot that code of that version wrote. The code under test reads them
 *     as after a deploy.
 */
import { brotli } from "../adapters/brotli.ts";
import { keyOf, route, type Route } from "../engine/operator/routing.ts";
import { print } from "../engine/event/fingerprint.ts";
import { PUT, type Edit } from "../engine/state/edit.ts";
import { fill, readEvent } from "../engine/event/event.ts";
import { HASH_NAME } from "../engine/base/hash.ts";
import { FIRST_LINE } from "../engine/base/ids.ts";
import { Prints } from "../engine/event/fingerprint.ts";
import { utf8Length } from "../engine/base/json.ts";
import { SIZES } from "../engine/base/limits.ts";
import { MIGRATION_FAILED } from "../engine/operator/migration.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { parseOutcome } from "../engine/log/outcome.ts";
import { PartitionEngine } from "../engine/partition/partition.ts";
import type { Host } from "../engine/base/ports.ts";
import { isDuplicate, STATUS, WIRE_VERSION, type AppendRequest } from "../engine/partition/protocol.ts";
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

/** The seed of the placement, which a deployment draws by lot. */
const SEED = 42;
/** Time from one event to the next. */
const BETWEEN_MS = 1_000;
/** States of older code are written this long before the first event. */
const BEFORE_MS = 3_600_000;
const PAGE = 1_000;
const PAGE_BYTES = 4_000_000;

export class Stage {
  readonly #db = new MemoryDatabase();
  readonly #store = new MemoryStore();
  readonly #cache = new MemoryCache();
  readonly #clock: VirtualClock;
  readonly #route: Route;
  readonly #startMs: number;
  #partition: PartitionEngine;
  #sent = 0;
  /** Time of receipt of the last event. Null if there was none. */
  #lastMs: number | null = null;
  /** Time from the last event to the next. Null unless a test says so. */
  #waitMs: number | null = null;
  #nonces = 0;

  /**
   * `startMs` is the time of receipt of the first event. Each further event comes a second later, or after the time of
   * `later`.
   */
  constructor(operator: Operator, startMs: number) {
    const placement = { operator: operator.name, partitions: 1, hash: HASH_NAME, seed: SEED, databases: ["LOG_0"] };
    this.#route = route(FIRST_LINE, operator, placement);
    this.#startMs = startMs;
    this.#clock = new VirtualClock(startMs - BEFORE_MS);
    this.#partition = this.#start();
  }

  /** Writes keys in a snapshot as code of an older version left them. Call it before all events. */
  async begin(version: number, states: Readonly<Record<string, unknown>>): Promise<void> {
    const { operator } = this.#route;
    this.#partition = this.#start({ ...operator, version, migrate: new Map() });
    for (const [key, state] of Object.entries(states)) {
      const data: Edit = { if: "none", version, state };
      const command = { type: PUT, source: "keyframe:test", id: key, partitionkey: key, data };
      const at = this.#clock.now();
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
  }

  /** The next event comes this much later than the last one, or than the start. */
  later(ms: number): void {
    this.#waitMs = (this.#waitMs ?? 0) + ms;
  }

  /** Sends one event and waits until it is decided. */
  async send(event: unknown): Promise<EventOutcome> {
    const index = this.#sent++;
    // The clock doesn't give this time: a snapshot in between may have moved it on, and the handler would see that.
    const at =
      this.#lastMs === null ? this.#startMs + (this.#waitMs ?? 0) : this.#lastMs + (this.#waitMs ?? BETWEEN_MS);
    this.#lastMs = at;
    this.#waitMs = null;
    await this.#clock.advance(Math.max(0, at - this.#clock.now()));
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
      arm: () => undefined,
      highWaterMark: () => null,
      keepHighWaterMark: () => Promise.resolve(),
      aside: () => null,
      keepAside: () => undefined,
      end: fail,
      note: () => undefined,
    };
    const env = {
      id,
      operator,
      code: "test",
      log: this.#db.log(id),
      objects: this.#store,
      codec: brotli,
      clock: this.#clock,
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
