/**
 * The source of states: the living partitions, or their past at one stamp (engine/history/past.ts). The routes read
 * both the same way.
 *
 * SOURCE1. The past is read from D1 and R2 alone: no partition is woken, and none notices (SNAP9).
 * SOURCE2. Only so many partitions are rebuilt at a time, since all share the isolate's memory.
 */
import { Damage, Failure, messageOf } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { pastKeys, pastRange } from "../../engine/history/past.ts";
import type { Gone, PastFacts } from "../../engine/recovery/past-state.ts";
import type { LogEnvironment } from "../../engine/operator/environment.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { linesOf, scan, type Scanned } from "../../engine/snapshot/reads.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { askPartition } from "../http/answers.ts";
import type { PartitionAnswer, ExportPage } from "../rpc.ts";
import { partitionStub } from "../stub.ts";
import { logEnvironment } from "./kept-manifests.ts";
import { settledAt } from "./moments.ts";

type Sourced<T> = PartitionAnswer<T> | Gone;

export interface StateSource {
  /** Null for the present. */
  readonly at: Stamp | null;
  /** False if another version of the operator applied events that were read here. */
  readonly exact: boolean;
  keys(address: Address, keys: readonly string[], maxChars?: number): Promise<Sourced<readonly (KeyEntry | null)[]>>;
  scan(address: Address, prefix: string, after: string, limit: number, maxBytes: number): Promise<Sourced<Scanned>>;
  capture(address: Address, prefix: string): Promise<Sourced<ExportPage>>;
}

/** Returns the source for `at`, or the problem if there is none. Without `at`, the present. */
export async function sourceOf(env: Env, route: Route, at: string | undefined): Promise<StateSource | Response> {
  if (at === undefined) return new Present(env);
  const settled = await settledAt(env, route, at);
  return settled instanceof Response ? settled : new Past(env, route, settled);
}

class Present implements StateSource {
  readonly at = null;
  readonly exact = true;
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  keys(address: Address, keys: readonly string[], maxChars?: number): Promise<PartitionAnswer<(KeyEntry | null)[]>> {
    return askPartition(() => partitionStub(this.#env, address).read(address, keys, maxChars));
  }

  scan(
    address: Address,
    prefix: string,
    after: string,
    limit: number,
    maxBytes: number,
  ): Promise<PartitionAnswer<Scanned>> {
    return askPartition(() => partitionStub(this.#env, address).scan(address, prefix, after, limit, maxBytes));
  }

  capture(address: Address, prefix: string): Promise<PartitionAnswer<ExportPage>> {
    return askPartition(() => partitionStub(this.#env, address).capture(address, prefix));
  }
}

/** Partitions that are rebuilt at a time (SOURCE2). */
const AT_A_TIME = 4;

class Past implements StateSource {
  readonly at: Stamp;
  exact = true;
  readonly #env: Env;
  readonly #route: Route;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(env: Env, route: Route, at: Stamp) {
    this.#env = env;
    this.#route = route;
    this.at = at;
  }

  keys(address: Address, keys: readonly string[], maxChars: number): Promise<Sourced<readonly (KeyEntry | null)[]>> {
    return this.#read(async () => {
      const past = await pastKeys(this.#environment(address), this.at, keys, maxChars);
      return past.tag === "gone" ? past : this.#answer(past, past.entries);
    });
  }

  scan(address: Address, prefix: string, after: string, limit: number, maxBytes: number): Promise<Sourced<Scanned>> {
    return this.#read(async () => {
      const past = await pastRange(this.#environment(address), this.at, prefix, after);
      return past.tag === "gone" ? past : this.#answer(past, await scan(past.chunks, prefix, after, limit, maxBytes));
    });
  }

  capture(address: Address, prefix: string): Promise<Sourced<ExportPage>> {
    return this.#read(async () => {
      const past = await pastRange(this.#environment(address), this.at, prefix, "");
      if (past.tag === "gone") return past;
      const { seq, stamp, chunks } = past;
      const lines = byteStream(linesOf(chunks, prefix, address.partition, seq));
      return this.#answer(past, { seq, time: seq === 0 ? null : stampTime(stamp), lines });
    });
  }

  #answer<T>({ exact }: PastFacts, value: T): PartitionAnswer<T> {
    this.exact &&= exact;
    return { tag: "ok", value };
  }

  #environment(address: Address): LogEnvironment {
    return logEnvironment(this.#env, this.#route, address);
  }

  async #read<T>(read: () => Promise<Sourced<T>>): Promise<Sourced<T>> {
    if (this.#running >= AT_A_TIME) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await read();
    } catch (error) {
      if (error instanceof Failure) return { tag: "busy", code: error.code, message: error.message };
      if (error instanceof Damage) return { tag: "busy", code: "snapshot_unreadable", message: messageOf(error) };
      throw error;
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
