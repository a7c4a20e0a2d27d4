/**
 * Counts the operations that a partition asks of its stores, in the units of the bill. It wraps each port and changes
 * nothing.
 *
 * METERING4. Rows read are estimated from the shape of the statements and the size of their answers.
 *     test/worker/adapters/metering.test.ts compares the estimate with D1's own count. A call without an answer counts
 *     as done, since D1 may have done it.
 * METERING5. Deleting costs as much as writing. A segment and a range of the cache count for both when they are
 *     written, since they are deleted some day.
 */
import { Counters, type CounterValues, laterOf, readCounters } from "../base/counters.ts";
import { Minutes } from "../base/minutes.ts";
import type { Cache, Host, Log, ObjectStore } from "../base/ports.ts";
import type { Opening, Roots } from "../base/records.ts";
import type { Environment } from "../operator/environment.ts";

export function metered(env: Omit<Environment, "counters" | "minutes">): Environment {
  const counters = new Counters();
  const log = new MeteredLog(env.log, counters);
  const objects = new MeteredStore(env.objects, counters);
  const cache = new MeteredCache(env.cache, counters);
  return { ...env, log, objects, cache, host: meteredHost(env.host, counters), counters, minutes: new Minutes() };
}

class MeteredLog implements Log {
  readonly #log: Log;
  readonly #counters: Counters;
  /** Rows of the log above the last snapshot (`#newer`), and between that and the snapshot before (`#older`). */
  #newer = 0;
  #older = 0;

  constructor(log: Log, counters: Counters) {
    this.#log = log;
    this.#counters = counters;
  }

  get size(): number {
    return this.#log.size;
  }

  /** Counts a call. `cost` derives the rows read and written from the answer, which is undefined if none came. */
  async #counted<T>(call: Promise<T>, cost: (answer: T | undefined) => CounterValues): Promise<T> {
    let answer: T | undefined;
    try {
      return (answer = await call);
    } finally {
      this.#counters.add({ ...ONE_QUERY, ...cost(answer) });
    }
  }

  async peek(): ReturnType<Log["peek"]> {
    return this.#opening(this.#log.peek(), 0);
  }

  async open(writer: string, code: string): ReturnType<Log["open"]> {
    const opening = await this.#opening(this.#log.open(writer, code), 1);
    // The answer to an abandoned call may come after a later answer. Such an answer must not replace the holder.
    if (opening !== null && opening.row.epoch > (this.#counters.holder?.epoch ?? 0))
      this.#counters.holder = { epoch: opening.row.epoch, writer };
    return opening;
  }

  async #opening(call: Promise<Opening | null>, written: number): Promise<Opening | null> {
    const opening = await this.#counted(call, (answer) => ({
      d1RowsRead: PAGE_READS + 3 + ROW_READS * (answer?.rows.length ?? 0),
      d1RowsWritten: answer === null ? 0 : written,
    }));
    this.#newer = opening?.rows.length ?? 0;
    return opening;
  }

  create(...args: Parameters<Log["create"]>): ReturnType<Log["create"]> {
    return this.#counted(this.#log.create(...args), () => ({ d1RowsRead: PAGE_READS + 8, d1RowsWritten: 5 }));
  }

  lastAt(...args: Parameters<Log["lastAt"]>): ReturnType<Log["lastAt"]> {
    return this.#counted(this.#log.lastAt(...args), () => ({ d1RowsRead: 3 }));
  }

  page(...args: Parameters<Log["page"]>): ReturnType<Log["page"]> {
    const cost = (answer?: { readonly rows: readonly unknown[] }): CounterValues => ({
      d1RowsRead: PAGE_READS + ROW_READS * (answer?.rows.length ?? 0),
    });
    return this.#counted(this.#log.page(...args), cost);
  }

  below(...args: Parameters<Log["below"]>): ReturnType<Log["below"]> {
    return this.#counted(this.#log.below(...args), (rows) => ({ d1RowsRead: 4 + ROW_READS * (rows?.length ?? 0) }));
  }

  append(...args: Parameters<Log["append"]>): ReturnType<Log["append"]> {
    const rows = args[0].length;
    this.#newer += rows;
    return this.#counted(this.#log.append(...args), (answer) => ({
      ...appendCost(rows),
      ...(answer === "refused" ? { d1RowsWritten: 0 } : {}),
    }));
  }

  explain(...args: Parameters<Log["explain"]>): ReturnType<Log["explain"]> {
    return this.#counted(this.#log.explain(...args), () => ({ d1RowsRead: EXPLAIN_READS }));
  }

  noteChanged(...args: Parameters<Log["noteChanged"]>): ReturnType<Log["noteChanged"]> {
    const rows = args[0].length;
    return this.#counted(this.#log.noteChanged(...args), () => ({ d1RowsRead: 1 + 2 * rows, d1RowsWritten: rows }));
  }

  changed(...args: Parameters<Log["changed"]>): ReturnType<Log["changed"]> {
    return this.#counted(this.#log.changed(...args), (rows) => ({ d1RowsRead: 1 + (rows?.length ?? 0) }));
  }

  promote(...args: Parameters<Log["promote"]>): ReturnType<Log["promote"]> {
    const { replaced } = args[0];
    // The cut reads the rows up to the snapshot before; the rows above it stay.
    const cut = this.#older;
    [this.#older, this.#newer] = [this.#newer, 0];
    return this.#counted(this.#log.promote(...args), (answer) => ({
      d1RowsRead: 6 + 2 * cut + 5 * replaced.length,
      d1RowsWritten: answer === "refused" ? 0 : 1 + replaced.length,
    }));
  }

  used(): ReturnType<Log["used"]> {
    return this.#counted(this.#log.used(), () => ({}));
  }

  row(): ReturnType<Log["row"]> {
    return this.#counted(this.#log.row(), () => ({ d1RowsRead: 2 }));
  }

  roots(): ReturnType<Log["roots"]> {
    return this.#counted(this.#log.roots(), rootsCost);
  }

  retain(...args: Parameters<Log["retain"]>): ReturnType<Log["retain"]> {
    const dropped = args[0].drop.length;
    return this.#counted(this.#log.retain(...args), (answer) => ({
      d1RowsRead: rootsCost(answer).d1RowsRead + 4 + 3 * dropped,
      d1RowsWritten: answer === null || dropped === 0 ? 0 : 1 + dropped,
    }));
  }

  pin(...args: Parameters<Log["pin"]>): ReturnType<Log["pin"]> {
    return this.#counted(this.#log.pin(...args), () => ({ d1RowsRead: 4, d1RowsWritten: 1 }));
  }

  unpin(...args: Parameters<Log["unpin"]>): ReturnType<Log["unpin"]> {
    return this.#counted(this.#log.unpin(...args), () => ({ d1RowsRead: 1, d1RowsWritten: 1 }));
  }
}

/** Rows read for a page beside its own rows: the place where it begins, the partition's row and the head. */
const PAGE_READS = 7;

/** Each row of a page is found, asked for its size, read, and its place is kept in between. */
const ROW_READS = 4;

/** An append reads the partition's row twice, by name and by number, its line, and the last segment. */
const APPEND_READS = 6;

const EXPLAIN_READS = 5;

const ONE_QUERY = { d1Queries: 1 } as const;

/**
 * The cost of appending rows. The rows carry it themselves: after them, nobody may hear of the partition until it wakes
 * up again.
 */
export const appendCost = (rows: number): CounterValues => ({
  ...ONE_QUERY,
  d1RowsRead: APPEND_READS * rows,
  d1RowsWritten: 2 * rows,
});

const rootsCost = (answer?: Roots | null): { readonly d1RowsRead: number } => ({
  d1RowsRead: 3 + (answer?.points.length ?? 0) + (answer?.pins.length ?? 0),
});

class MeteredStore implements ObjectStore {
  readonly #objects: ObjectStore;
  readonly #counters: Counters;

  constructor(objects: ObjectStore, counters: Counters) {
    this.#objects = objects;
    this.#counters = counters;
  }

  put(...args: Parameters<ObjectStore["put"]>): ReturnType<ObjectStore["put"]> {
    this.#counters.add({ r2ClassA: 1 });
    return this.#objects.put(...args);
  }

  get(...args: Parameters<ObjectStore["get"]>): ReturnType<ObjectStore["get"]> {
    this.#counters.add({ r2ClassB: 1 });
    return this.#objects.get(...args);
  }

  range(...args: Parameters<ObjectStore["range"]>): ReturnType<ObjectStore["range"]> {
    this.#counters.add({ r2ClassB: 1 });
    return this.#objects.range(...args);
  }

  list(...args: Parameters<ObjectStore["list"]>): ReturnType<ObjectStore["list"]> {
    this.#counters.add({ r2ClassA: 1 });
    return this.#objects.list(...args);
  }

  delete(...args: Parameters<ObjectStore["delete"]>): ReturnType<ObjectStore["delete"]> {
    this.#counters.add({ r2Deletes: 1 });
    return this.#objects.delete(...args);
  }
}

class MeteredCache implements Cache {
  readonly #cache: Cache;
  readonly #counters: Counters;

  constructor(cache: Cache, counters: Counters) {
    this.#cache = cache;
    this.#counters = counters;
  }

  get(name: string, offset: number): Uint8Array | null {
    const found = this.#cache.get(name, offset);
    this.#counters.add(found === null ? { cacheMisses: 1 } : { cacheHits: 1 });
    return found;
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    this.#cache.put(name, offset, bytes);
    this.#counters.add({ ownRowsWritten: 2 });
  }

  drop(name: string): void {
    this.#cache.drop(name);
  }

  keep(names: readonly string[]): void {
    this.#cache.keep(names);
  }

  distrust(name: string): void {
    this.#cache.distrust(name);
  }

  distrusted(names: readonly string[]): string[] {
    return this.#cache.distrusted(names);
  }
}

/**
 * Alarms and marks are rows of the object's own storage. The first alarm that an instance arms mostly stands there
 * already.
 */
function meteredHost(host: Host, counters: Counters): Host {
  let armed: number | null | undefined;
  return {
    nonce: () => host.nonce(),
    keep: (promise) => host.keep(promise),
    arm: (atMs) => {
      if (armed !== undefined && atMs !== armed) counters.add({ ownRowsWritten: 1 });
      armed = atMs;
      host.arm(atMs);
    },
    watchers: () => host.watchers?.() ?? null,
    highWaterMark: () => host.highWaterMark(),
    keepHighWaterMark: (mark) => {
      counters.add({ ownRowsWritten: 1 });
      // Before the counters are restored, the mark must not include this instance's counts: they would be restored and
      // count twice.
      const now = counters.restored ? counters.row() : null;
      return host.keepHighWaterMark({ ...mark, counters: laterOf([readCounters(mark.counters), now]) });
    },
    aside: () => host.aside(),
    keepAside: (aside) => {
      counters.add({ ownRowsWritten: 1 });
      host.keepAside(aside);
    },
    end: (why) => host.end(why, counters.holder ?? undefined),
    note: (what, facts) => host.note(what, facts),
  };
}
