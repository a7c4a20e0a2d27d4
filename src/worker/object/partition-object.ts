/**
 * The Durable Object of a partition. It makes the engine's ports from bindings, and passes RPC calls to
 * engine/partition/partition.ts.
 *
 * OBJECT1. No I/O in the constructor and none inside blockConcurrencyWhile: the partition opens on its first call.
 * OBJECT2. The object's own storage holds the alarm, the address, the high-water mark (rewind-check.ts), the time when
 *     it stepped aside (aside.ts) and a cache of R2. The partition can recover without any of them.
 * OBJECT3. A failure that a caller must handle comes back as a value. An exception here means that the object died.
 */
import { DurableObject } from "cloudflare:workers";
import { brotli } from "../../adapters/brotli.ts";
import { logDatabases } from "../../adapters/catalogue.ts";
import { D1Log } from "../../adapters/d1-log.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { SqliteCache } from "../../adapters/sqlite-cache.ts";
import { readAside } from "../../engine/base/aside.ts";
import { Failure, messageOf } from "../../engine/base/errors.ts";
import { parsePartitionName, type Seq } from "../../engine/base/ids.ts";
import { READ_CHARS, SIZES } from "../../engine/base/limits.ts";
import type { Cache, Host } from "../../engine/base/ports.ts";
import { type HighWaterMark, partsIn, readHighWaterMark } from "../../engine/base/records.ts";
import type { Snapshotted } from "../../engine/checkpoint/checkpointer.ts";
import type { Verified } from "../../engine/checkpoint/verify.ts";
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";
import { type LogEnvironment, originOf } from "../../engine/operator/environment.ts";
import type { Address } from "../../engine/operator/routing.ts";
import { sealed } from "../../engine/partition/opener.ts";
import { PartitionEngine as Engine } from "../../engine/partition/partition.ts";
import type { AppendRequest, AppendResponse } from "../../engine/partition/protocol.ts";
import type { TakenIn } from "../../engine/partition/take-in.ts";
import type { PartitionFacts } from "../../engine/recovery/open-partition.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import type { QuarantineGroup, QuarantineEntries, SetAside, Wanted } from "../../engine/state/quarantine.ts";
import { installedApp } from "../app.ts";
import { codeId, type Env, logBytes } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { byteStream } from "../byte-stream.ts";
import { note } from "../note.ts";
import { OTHER_CODE, replayCode } from "../replay-code.ts";
import type { PartitionAnswer, ExportPage, TakeInCall } from "../rpc.ts";
import { Watches } from "../watch/watches.ts";
import { ObjectClock } from "./object-clock.ts";

export class Partition extends DurableObject<Env> {
  #engine: Engine | null = null;
  /** Null until the first look at the connections. */
  #watches: Watches | null = null;
  /** The time of the alarm; null if there is none, undefined until it is read. */
  #armed: number | null | undefined;
  /** A write to storage that must finish before this instance ends. */
  #keeping: Promise<void> | null = null;

  /** Events reach the engine only by this call. */
  async append(address: Address, slice: AppendRequest): Promise<AppendResponse> {
    return this.#partition(address).append(slice);
  }

  /** Returns the states of the keys, in order. If an answer can't carry all states, the last ones are missing. */
  async read(
    address: Address,
    keys: readonly string[],
    maxChars: number = READ_CHARS,
  ): Promise<PartitionAnswer<(KeyEntry | null)[]>> {
    return this.#read(address, (engine) => engine.read(keys, maxChars));
  }

  async scan(
    address: Address,
    prefix: string,
    after: string,
    limit: number,
    maxBytes: number,
  ): Promise<PartitionAnswer<{ items: (readonly [string, KeyEntry])[]; more: boolean }>> {
    return this.#read(address, (engine) => engine.scan(prefix, after, limit, maxBytes));
  }

  /** Captures all keys that begin with the prefix, at one seq, as lines of JSON. */
  async capture(address: Address, prefix: string): Promise<PartitionAnswer<ExportPage>> {
    return this.#read(address, async (engine) => {
      const { seq, time, lines } = await engine.export(prefix);
      return { seq, time, lines: byteStream(lines) };
    });
  }

  async facts(address: Address): Promise<PartitionAnswer<PartitionFacts>> {
    return answered(() => this.#partition(address).facts());
  }

  /** The answer comes in pages since this name is used: an answer of older code would be misread (CODE1). */
  async quarantinePage(
    address: Address,
    after: Seq,
    limit: number,
    maxChars: number,
    wanted?: Wanted,
  ): Promise<PartitionAnswer<QuarantineEntries>> {
    return answered(() => this.#partition(address).quarantined(after, limit, maxChars, wanted));
  }

  async quarantineGroups(address: Address): Promise<PartitionAnswer<QuarantineGroup[]>> {
    return answered(() => this.#partition(address).quarantineGroups());
  }

  async setAside(address: Address, target: Seq): Promise<PartitionAnswer<SetAside | null>> {
    return answered(() => this.#partition(address).setAside(target));
  }

  async snapshot(address: Address): Promise<PartitionAnswer<Snapshotted>> {
    return answered(() => this.#partition(address).snapshot());
  }

  async verify(address: Address): Promise<PartitionAnswer<Verified>> {
    return answered(() => this.#partition(address).verify());
  }

  /** Takes in the log of another line, if this line replays that one. */
  async takeIn(address: Address, { source, outcomes, code, ms }: TakeInCall): Promise<PartitionAnswer<TakenIn>> {
    return answered(async () => {
      if (code !== replayCode(this.env, installedApp())) throw new Failure(OTHER_CODE.code, OTHER_CODE.message);
      const engine = this.#partition(address);
      const parts = source.map(({ line, upTo, split }) => {
        const partition = Math.floor(address.partition / partsIn(split, address.operator));
        return { env: this.#reading({ ...address, line, partition }), upTo };
      });
      return engine.takeIn({ source: parts, outcomes, untilMs: Date.now() + ms });
    });
  }

  /** Returns the environment in which this object reads the same partition on another line. */
  #reading({ line, operator, partition, database }: Address): LogEnvironment {
    const id = { line, operator, partition };
    const db = logDatabases(this.env as unknown as Record<string, unknown>).get(database)!;
    const objects = new R2Store(this.env.SNAPSHOTS);
    return { ...fileEnvironment(id, installedApp().operator(operator)!, objects), log: new D1Log(db, id) };
  }

  /** Returns the high-water mark from the object's own storage, without opening the partition. */
  async mark(): Promise<HighWaterMark | null> {
    return this.#mark();
  }

  /** Drops the object from memory as a crash would: nothing is saved, and the caller's call breaks. */
  async evict(): Promise<void> {
    this.ctx.abort("evicted on request");
  }

  /** Runs the alarm's work, for the cron that finds lost alarms (SNAP6). */
  async wake(address: Address): Promise<void> {
    await this.#partition(address).wake();
  }

  /** Accepts a connection that watches a key (watch-wire.ts). Only the Worker can call it. */
  override async fetch(request: Request): Promise<Response> {
    this.#partition(JSON.parse(new URL(request.url).searchParams.get("address") ?? "") as Address);
    return this.#watching().accept(request);
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    await this.#watching().heard(socket, message);
  }

  override webSocketClose(socket: WebSocket): void {
    this.#watching().gone(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#watching().gone(socket);
  }

  #watching(): Watches {
    this.#watches ??= new Watches(this.ctx, async (key) => {
      const address = this.ctx.storage.kv.get<Address>("address");
      if (address === undefined)
        return { tag: "busy", code: "partition_gone", message: "the object has lost its address" };
      const answer = await this.read(address, [key]);
      if (answer.tag === "busy") return answer;
      const entry = answer.value[0] ?? null;
      return entry?.version === undefined
        ? { tag: "ok", value: entry }
        : { tag: "busy", code: MIGRATION_FAILED, message: `the state of ${JSON.stringify(key)} can't be migrated` };
    });
    return this.#watches;
  }

  override async alarm(): Promise<void> {
    this.#armed = null;
    const address = this.ctx.storage.kv.get<Address>("address");
    if (address === undefined) return;
    try {
      await this.#partition(address).wake();
    } catch (error) {
      // The operator isn't in this code, or its database isn't bound, so a retry would change nothing. The cron
      // wakes the partition once it has an operator and a database (SNAP6).
      note("alarm without a partition", { name: this.ctx.id.name ?? "", error: messageOf(error) });
    }
  }

  /** Reads for a caller that named the line, or believes that the line is main: a sealed one is main no more. */
  #read<T>(address: Address, read: (engine: Engine) => Promise<T>): Promise<PartitionAnswer<T>> {
    return answered(async () => {
      const engine = this.#partition(address);
      const value = await read(engine);
      if (engine.sealed && address.named === undefined) throw sealed(address);
      return value;
    });
  }

  #partition(address: Address): Engine {
    this.#engine ??= this.#start(address);
    return this.#engine;
  }

  #start(address: Address): Engine {
    const id = parsePartitionName(this.ctx.id.name ?? "");
    const operator = installedApp().operator(id.operator);
    if (operator === undefined) throw new Error(`operator "${id.operator}" isn't in this code`);
    const db = logDatabases(this.env as unknown as Record<string, unknown>).get(address.database);
    if (db === undefined)
      throw new Failure(
        "database_missing",
        `partition ${this.ctx.id.name} is in ${address.database}, which isn't bound: bind it again`,
      );
    // The address differs if the operator was placed again after a loss.
    if (JSON.stringify(this.ctx.storage.kv.get("address")) !== JSON.stringify(address))
      this.ctx.storage.kv.put("address", { ...address });
    const env = {
      id,
      operator,
      code: codeId(this.env),
      log: new D1Log(db, id),
      objects: new R2Store(this.env.SNAPSHOTS),
      codec: brotli,
      clock: new ObjectClock(),
      host: this.#host(),
      cache: this.#cache(),
      sizes: SIZES,
    };
    const origin = originOf(env, address, (earlier) => new D1Log(db, earlier));
    return new Engine({ ...env, ...origin }, address, logBytes(this.env));
  }

  /**
   * Writes in the same turn as an abort are lost. So the end of this instance waits for writes that the next instance
   * needs.
   */
  #cache(): Cache {
    const cache = new SqliteCache(this.ctx.storage.sql);
    const distrust = cache.distrust.bind(cache);
    cache.distrust = (name) => {
      distrust(name);
      this.#keeping = this.ctx.storage.sync();
    };
    return cache;
  }

  #host(): Host {
    return {
      nonce: () => crypto.randomUUID().slice(0, 18),
      keep: (promise) => this.ctx.waitUntil(promise),
      arm: (atMs) => {
        if (this.#armed !== atMs) this.ctx.waitUntil(this.#arm(atMs));
      },
      highWaterMark: () => this.#mark(),
      keepHighWaterMark: (mark) => {
        const kept = this.#keepMark(mark);
        this.ctx.waitUntil(kept);
        if (mark.refused === true) this.#keeping = kept;
        return kept;
      },
      aside: () => readAside(this.ctx.storage.kv.get("aside")),
      keepAside: (aside) => {
        this.ctx.storage.kv.put("aside", { ...aside });
        this.#keeping = this.ctx.storage.sync();
      },
      watchers: () => {
        const watches = this.#watching();
        return watches.any ? watches : null;
      },
      end: (why, holder) => {
        note("partition ended", { name: this.ctx.id.name ?? "", why, ...holder });
        if (this.#keeping === null) this.ctx.abort(why);
        else this.ctx.waitUntil(this.#keeping.finally(() => this.ctx.abort(why)));
      },
      note: (what, facts) => note(what, { name: this.ctx.id.name ?? "", ...facts }),
    };
  }

  #mark(): HighWaterMark | null {
    return readHighWaterMark(this.ctx.storage.kv.get("mark"));
  }

  /**
   * Answers don't wait for a mark, and the end of this instance could undo it. So whoever needs a durable mark waits for
   * the sync. A mark that makes the next instance refuse holds up the answers and that end.
   */
  async #keepMark(mark: HighWaterMark): Promise<void> {
    const { storage } = this.ctx;
    await storage.put("mark", { ...mark }, { allowUnconfirmed: mark.refused === undefined });
    await storage.sync();
  }

  async #arm(atMs: number | null): Promise<void> {
    if (this.#armed === undefined) this.#armed = await this.ctx.storage.getAlarm();
    if (this.#armed === atMs) return;
    this.#armed = atMs;
    if (atMs === null) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(atMs);
  }
}

async function answered<T>(call: () => Promise<T>): Promise<PartitionAnswer<T>> {
  try {
    return { tag: "ok", value: await call() };
  } catch (error) {
    if (error instanceof Failure) return { tag: "busy", code: error.code, message: messageOf(error) };
    throw error;
  }
}
