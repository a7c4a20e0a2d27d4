/**
 * A small world around the engine: one database, one object store, a virtual clock, and any number of instances of one
 * partition. A test can let their calls to the stores fail, hang or be executed late. Deterministic.
 */
import { SIZES, type Sizes } from "../../../src/engine/base/limits.ts";
import { print } from "../../../src/engine/event/fingerprint.ts";
import type { Address } from "../../../src/engine/operator/routing.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { type LogEnvironment, type Origin, originOf } from "../../../src/engine/operator/environment.ts";
import type { Stamp } from "../../../src/engine/base/ids.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { Prints } from "../../../src/engine/event/fingerprint.ts";
import { PartitionEngine } from "../../../src/engine/partition/partition.ts";
import type { Producer } from "../../../src/engine/event/producer.ts";
import type { Host, Log, ObjectStore } from "../../../src/engine/base/ports.ts";
import {
  isDuplicate,
  DUPLICATE,
  STATUS,
  WIRE_VERSION,
  type AppendRequest,
  type AppendResponse,
} from "../../../src/engine/partition/protocol.ts";
import { utf8Length } from "../../../src/engine/base/json.ts";
import { fill } from "../../../src/engine/event/event.ts";
import type { Aside } from "../../../src/engine/base/aside.ts";
import type { Ancestors, HighWaterMark, Split } from "../../../src/engine/base/records.ts";
import type { Watchers } from "../../../src/engine/base/ports.ts";
import { NO_CACHE } from "../../../src/engine/snapshot/range-reader.ts";
import { MemoryCache } from "../../../src/testkit/memory-cache.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../../src/testkit/memory-store.ts";
import { VirtualClock } from "../../../src/testkit/virtual-clock.ts";

/**
 * The fate of one call: it works, fails before or after it acted, never answers (having acted or not), or waits before
 * or after.
 */
export type Fate =
  "ok" | "before" | "after" | "silent" | "silent after" | Promise<void> | { readonly answered: Promise<void> };
export type Fates = (call: { readonly method: string; readonly number: number; readonly by: Incarnation }) => Fate;

/** Thrown by every call of an incarnation that crashed: its code must not go on. */
/** A new one each time: whatever waits for a promise that never settles lives as long as that promise does. */
const never = (): Promise<never> => new Promise(() => undefined);

export interface Incarnation {
  readonly partition: PartitionEngine;
  readonly notes: string[];
  ended: string | null;
  armed: number | null;
  /** Who hears of changes. */
  watchers: Watchers | null;
  crashed: boolean;
}

export class World {
  readonly db = new MemoryDatabase();
  readonly store = new MemoryStore();
  /** Of the object, whichever instance of it runs. Closed, so that what a test damages in the store is what is read. */
  readonly cache = new MemoryCache(false);
  readonly clock = new VirtualClock();
  /** Where the line begins. Missing on the first one. */
  readonly origin?: Origin;
  readonly ancestors: Ancestors = [];
  readonly address: Address = { line: 1, operator: "sum", partition: 0, database: "LOG_0", seed: 42 };
  sizes: Sizes = SIZES;
  /** The object's own storage; an incarnation that was superseded can't write there, but none of these tests needs that. */
  mark: HighWaterMark | null = null;
  marks = 0;
  /** The object's own storage confirms what is written there. */
  confirms = true;
  aside: Aside | null = null;
  calls = 0;
  /** Names of all calls so far, in order. */
  readonly trace: string[] = [];
  fates: Fates = () => "ok";
  #nonce = 0;

  /** A new instance of the partition, as after an eviction or beside one that doesn't know yet that it is superseded. */
  start(operator: Operator, code = "code-1", logBytes?: number): Incarnation {
    const made = { notes: [], ended: null, armed: null, watchers: null, crashed: false } as Omit<
      Incarnation,
      "partition"
    > as Incarnation;
    const host: Host = {
      nonce: () => `nonce-${String(this.#nonce++).padStart(4, "0")}`,
      keep: (promise) => void promise.catch((error: unknown) => made.notes.push(`rejected: ${String(error)}`)),
      arm: (at) => (made.armed = at),
      highWaterMark: () => this.mark,
      keepHighWaterMark: (mark) => {
        if (made.crashed) return never();
        this.mark = mark;
        this.marks += 1;
        return this.confirms ? Promise.resolve() : never();
      },
      aside: () => this.aside,
      keepAside: (aside) => void (this.aside = aside),
      watchers: () => made.watchers,
      end: (why) => (made.ended = why),
      note: (what) => made.notes.push(what),
    };
    const id = { line: this.address.line, operator: this.address.operator, partition: this.address.partition };
    const env = {
      id,
      operator,
      code,
      log: this.#faulty(this.db.log(id), made),
      objects: this.#faulty<ObjectStore>(this.store, made),
      codec: brotli,
      clock: this.clock,
      host,
      cache: this.cache,
      sizes: this.sizes,
      ...(this.origin === undefined ? {} : { origin: this.origin }),
    };
    return Object.assign(made, { partition: new PartitionEngine(env, this.address, logBytes) });
  }

  /** A reader of the partition outside its object, with stores that never fail. */
  reader(operator: Operator): LogEnvironment {
    const { line, operator: name, partition } = this.address;
    const id = { line, operator: name, partition };
    const { clock, sizes, store: objects } = this;
    const origin = this.origin === undefined ? {} : { origin: this.origin };
    return { id, operator, log: this.db.log(id), objects, codec: brotli, clock, cache: NO_CACHE, sizes, ...origin };
  }

  /** A line that starts from this one at a stamp, over the same stores. */
  fork(operator: Operator, at: Stamp, line = this.address.line + 1): World {
    const { db, store, clock, address } = this;
    db.lines.set(line, { floor: at, open: true });
    const origin: Origin = { at, env: this.reader(operator) };
    return Object.assign(new World(), { db, store, clock, address: { ...address, line }, origin });
  }

  /** The partitions of a line that starts from this one at a stamp, each with a share of its keys. */
  split(operator: Operator, at: Stamp, parts: number, line = this.address.line + 1): World[] {
    const { db, store, clock, address, ancestors } = this;
    db.lines.set(line, { floor: at, open: true });
    const times = (split: Split = {}): Split => ({ sum: (split["sum"] ?? 1) * parts });
    const past = [
      { line: address.line, at, split: times() },
      ...ancestors.map((one) => ({ ...one, split: times(one.split) })),
    ];
    const partitions = (address.partitions ?? 1) * parts;
    return Array.from({ length: parts }, (_, i) => {
      const own = { ...address, line, partition: address.partition * parts + i, partitions, ancestors: past };
      const made = Object.assign(new World(), { db, store, clock, address: own, ancestors: past });
      const files = { operator, objects: store, codec: brotli, clock, cache: NO_CACHE, sizes: made.sizes };
      const id = { line, operator: own.operator, partition: own.partition };
      return Object.assign(
        made,
        originOf({ ...files, id, log: db.log(id) }, own, (earlier) => db.log(earlier)),
      );
    });
  }

  /** The port, with every call given its fate. */
  #faulty<Port extends Log | ObjectStore>(port: Port, by: Incarnation): Port {
    const call = async (method: string, act: () => Promise<unknown>): Promise<unknown> => {
      if (by.crashed) return never();
      this.trace.push(method);
      const fate = this.fates({ method, number: this.calls++, by });
      if (by.crashed && fate !== "after") return never();
      if (fate === "before") throw new Error(`${method} failed before it acted`);
      if (fate === "silent") return never();
      if (fate instanceof Promise) await fate;
      const result = await act();
      if (typeof fate === "object" && "answered" in fate) await fate.answered;
      if (by.crashed || fate === "silent after") return never();
      if (fate === "after") throw new Error(`${method} failed after it acted`);
      return result;
    };
    return new Proxy(port, {
      get: (target, name) => {
        const method = Reflect.get(target, name, target) as unknown;
        if (typeof method !== "function") return method;
        return (...args: unknown[]) =>
          call(String(name), () => Reflect.apply(method, target, args) as Promise<unknown>);
      },
    });
  }

  /** Sends events and waits for the answer, with time passing. */
  async send(to: Incarnation, ...events: readonly Sent[]): Promise<AppendResponse> {
    return this.clock.run(to.partition.append(this.slice(events)));
  }

  /** A slice of these events; of a producer's request, where they have the indexes from `from` on. */
  slice(events: readonly Sent[], full = true, producer?: Producer, from = 0): AppendRequest {
    const at = this.clock.now();
    const time = new Date(at).toISOString();
    const texts = events.map((event) => JSON.stringify({ source: "test", type: "add", ...event }));
    const prints = new Prints(events.length);
    const keys = events.map((event) => event.key ?? event.tenant ?? "k");
    texts.forEach((text, i) => {
      const event = fill(JSON.parse(text) as Record<string, unknown>, time);
      print(prints, event, keys[i]!, this.address.seed, events[i]!.time !== undefined);
    });
    const body = texts.join(",");
    return {
      v: WIRE_VERSION,
      operatorVersion: 1,
      at,
      body,
      bytes: utf8Length(body),
      lengths: texts.map((text) => text.length),
      keys,
      prints: prints.words(),
      full,
      ...(producer === undefined ? {} : { producer, indexes: events.map((_, i) => from + i) }),
    };
  }

  /** The committed state of a key. */
  async value(of: Incarnation, key = "k"): Promise<unknown> {
    const [entry] = await this.clock.run(of.partition.read([key]));
    return entry ? (JSON.parse(entry.text) as unknown) : undefined;
  }
}

export interface Sent {
  readonly id: string;
  readonly key?: string;
  /** An extension attribute of which the key is made. */
  readonly tenant?: string;
  readonly time?: string;
  readonly subject?: string;
  readonly type?: string;
  readonly data: unknown;
}

/** Statuses of a decided slice in words, "again" for repeats. */
export function words(result: AppendResponse): string[] | string {
  if (result.tag !== "decided") return result.code;
  const names = Object.entries(STATUS);
  return [...result.statuses].map((status) => {
    const name = names.find(([, number]) => number === (status & ~DUPLICATE))?.[0] ?? "?";
    return isDuplicate(status) ? `${name} again` : name;
  });
}
