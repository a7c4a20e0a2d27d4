// One partition's engine in this process, without a Worker around it: what it writes and what it holds in memory can be
// seen from outside. The log is a fake in memory; the codec and the engine are what runs in production.

import { randomUUID } from "node:crypto";
import { brotli } from "../../../src/adapters/brotli.ts";
import { print } from "../../../src/engine/event/fingerprint.ts";
import { readEvent } from "../../../src/engine/event/event.ts";
import { Prints } from "../../../src/engine/event/fingerprint.ts";
import { utf8Length } from "../../../src/engine/base/json.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { PartitionEngine } from "../../../src/engine/partition/partition.ts";
import { readFooter } from "../../../src/engine/snapshot/file-footer.ts";
import type { Cache, Clock, Host, Log, ObjectStore } from "../../../src/engine/base/ports.ts";
import { WIRE_VERSION, type AppendRequest } from "../../../src/engine/partition/protocol.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../../src/testkit/memory-store.ts";
import { NO_CACHE } from "../../../src/engine/snapshot/range-reader.ts";

export interface Sent {
  readonly id: string;
  readonly type: string;
  readonly key?: string;
  readonly time?: string;
  readonly data: unknown;
}

/** Puts since the last look. */
export interface PutBytes {
  /** State files, and of them the blocks of states and those of ids. */
  state: number;
  blocks: number;
  ids: number;
  /** Manifests with their archives. */
  archive: number;
}

const EVENTS_A_SLICE = 5_000;
const ADDRESS = { line: 1, database: "LOG_0", seed: 42, partition: 0 };
/** A queue that is full, or a snapshot that the memory waits for. */
const PATIENCE_MS = 120_000;

/** Takes snapshots only where one is asked for, with all of its state in memory. */
export const unsteered = (of: Operator): Operator => ({
  ...of,
  memoryBytes: 4_000_000_000,
  snapshot: { ...of.snapshot, everyMs: 365 * 86_400_000, maxTailBytes: 4_000_000_000, recoveryMs: 3_600_000 },
});

export class LocalPartition {
  engine: PartitionEngine;
  readonly operator: Operator;
  readonly objects: ObjectStore;
  readonly #log: Log;
  readonly #cache: Cache;
  readonly #clock: Clock;
  readonly #kept = new Set<Promise<unknown>>();
  #put: PutBytes = { state: 0, blocks: 0, ids: 0, archive: 0 };
  #ended: string | null = null;
  /** Snapshots of everything so far. */
  compactions = 0;

  constructor(
    of: Operator,
    objects: ObjectStore = new MemoryStore(),
    cache: Cache = NO_CACHE,
    log?: Log,
    patience = 1,
  ) {
    this.#clock = clockOf(patience);
    this.operator = of;
    this.#log = log ?? new MemoryDatabase().log({ line: ADDRESS.line, operator: of.name, partition: 0 });
    this.objects = this.#counted(objects);
    this.#cache = cache;
    this.engine = this.#start();
  }

  #start(): PartitionEngine {
    const id = { line: ADDRESS.line, operator: this.operator.name, partition: 0 };
    const host: Host = {
      nonce: () => randomUUID().slice(0, 18),
      keep: (promise) => {
        const kept = promise.finally(() => void this.#kept.delete(kept));
        this.#kept.add(kept);
      },
      arm: () => undefined,
      highWaterMark: () => null,
      keepHighWaterMark: () => Promise.resolve(),
      aside: () => null,
      keepAside: () => undefined,
      end: (why) => void (this.#ended = why),
      note: () => undefined,
    };
    const env = {
      id,
      operator: this.operator,
      code: "bench",
      log: this.#log,
      objects: this.objects,
      codec: brotli,
      clock: this.#clock,
      host,
      cache: this.#cache,
      sizes: SIZES,
    };
    return new PartitionEngine(env, { ...ADDRESS, operator: this.operator.name });
  }

  /** A new instance: nothing of the old one's memory is left. Its work in the background is awaited first. */
  async crash(): Promise<void> {
    await this.idle();
    this.engine = this.#start();
  }

  async idle(): Promise<void> {
    while (this.#kept.size > 0) await Promise.all(this.#kept);
  }

  async sendAll(events: Iterable<Sent>): Promise<void> {
    let some: Sent[] = [];
    for (const event of events) {
      if (some.push(event) < EVENTS_A_SLICE) continue;
      await this.send(some);
      some = [];
    }
    if (some.length > 0) await this.send(some);
  }

  /** One slice, until all of it is durable. */
  async send(events: readonly Sent[]): Promise<void> {
    const slice = this.#slice(events);
    const begun = Date.now();
    for (;;) {
      const result = await this.engine.append(slice);
      if (result.tag === "decided" && result.statuses.every((status) => status === 0)) return;
      const why = this.#ended ?? ("message" in result ? result.message : result.tag);
      if (result.tag !== "busy" || this.#ended !== null || Date.now() - begun > PATIENCE_MS)
        throw new Error(`a slice of ${events.length} events was not taken: ${why}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #slice(events: readonly Sent[]): AppendRequest {
    const at = Date.now();
    const prints = new Prints(events.length);
    const texts: string[] = [];
    const keys: string[] = [];
    for (const sent of events) {
      const read = readEvent(JSON.stringify({ source: "bench", ...sent }), 0, {
        time: new Date(at).toISOString(),
        id: () => sent.id,
      });
      if (read.tag !== "event") throw new Error(`the event ${sent.id} is none: ${read.code}`);
      const key = String(this.operator.key(read.event));
      print(prints, read.event, key, ADDRESS.seed, read.timed);
      texts.push(read.text);
      keys.push(key);
    }
    const body = texts.join(",");
    return {
      v: WIRE_VERSION,
      operatorVersion: this.operator.version,
      at,
      body,
      bytes: utf8Length(body),
      lengths: texts.map((text) => text.length),
      keys,
      prints: prints.words(),
      full: false,
    };
  }

  /** A snapshot of everything, and what was put for it. */
  async snapshotBytes(): Promise<PutBytes> {
    await this.idle();
    this.#put = { state: 0, blocks: 0, ids: 0, archive: 0 };
    const result = await this.engine.snapshot();
    if (result.tag !== "current") throw new Error(`no snapshot: ${result.tag === "failed" ? result.why : result.tag}`);
    return this.#put;
  }

  #counted(objects: ObjectStore): ObjectStore {
    return {
      put: (name, bytes) => {
        if (name.includes("/manifests/")) this.#put.archive += bytes.length;
        else {
          const { blocks, ids, full } = blocksOf(bytes);
          if (full) this.compactions += 1;
          this.#put.state += bytes.length;
          this.#put.blocks += blocks;
          this.#put.ids += ids;
        }
        return objects.put(name, bytes);
      },
      get: (name) => objects.get(name),
      range: (name, offset, length) => objects.range(name, offset, length),
      list: (prefix, after) => objects.list(prefix, after),
      delete: (names) => objects.delete(names),
    };
  }
}

/** `patience`: waits are so many times as long, on a machine that does other things too. */
const clockOf = (patience: number): Clock => ({
  now: () => Date.now(),
  after: (ms, then) => {
    if (ms <= 0) {
      const turn = setImmediate(then);
      return () => clearImmediate(turn);
    }
    const timer = setTimeout(then, ms * patience);
    return () => clearTimeout(timer);
  },
  jitter: () => Math.random(),
});

/** Bytes of the blocks of states, and of those that hold ids, of one file; `full`: it ends a snapshot of everything. */
function blocksOf(file: Uint8Array): { blocks: number; ids: number; full: boolean } {
  const { state, prints, base, part } = readFooter(file, brotli);
  const sum = (some: readonly (readonly [number, number, ...unknown[]])[]): number =>
    some.reduce((all, [, length]) => all + length, 0);
  return { blocks: sum(state), ids: sum(prints), full: base === 0 && part?.[1] !== 0 };
}
