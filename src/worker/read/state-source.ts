/**
 * The source of states: the living partitions, or their past at one stamp (engine/history/past.ts). The routes read
 * both the same way.
 *
 * SOURCE1. The past is read from D1 and R2 alone: no partition is woken, and none notices (SNAP9).
 * SOURCE2. Only so many partitions are rebuilt at a time, since all share the isolate's memory.
 */
import { D1Floor } from "../../adapters/d1-floor.ts";
import { logDatabases } from "../../adapters/catalogue.ts";
import { Damage, Failure, messageOf } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { MOMENT_FORMS, parseMoment } from "../../engine/history/moment.ts";
import { pastKeys, pastRange, type Gone, type PastFacts } from "../../engine/history/past.ts";
import { settle } from "../../engine/history/settle.ts";
import type { LogEnvironment } from "../../engine/operator/environment.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { linesOf, scan, type Scanned } from "../../engine/snapshot/reads.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { askPartition } from "../http/answers.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import type { PartitionAnswer, ExportPage } from "../rpc.ts";
import { partitionStub } from "../stub.ts";
import { logEnvironment } from "./kept-manifests.ts";

export type Sourced<T> = PartitionAnswer<T> | Gone;

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
  const settled = await settledAt(env, at);
  return settled instanceof Response ? settled : new Past(env, route, settled);
}

/** Turns a moment into a settled stamp, or into the problem. */
export async function settledAt(env: Env, text: string): Promise<Stamp | Response> {
  const moment = parseMoment(text);
  if (moment === null)
    return problem({
      status: 400,
      code: "invalid_moment",
      detail: `${JSON.stringify(text.slice(0, 100))} is no moment; write ${MOMENT_FORMS}`,
    });
  if (moment.tag === "savepoint")
    return problem({ status: 404, code: "no_savepoint", detail: `there is no savepoint "${moment.name}"` });
  const floors = [...logDatabases(env as unknown as Record<string, unknown>).values()].map(
    (db) => new D1Floor(db, "main"),
  );
  const settled = await settle(requestClock, floors, moment);
  if (settled.tag === "settled") return settled.at;
  return problem({
    status: 409,
    code: "not_settled",
    detail: `the moment is ${settled.aheadMs} ms ahead of the databases' clocks: ask again then, or ask for an earlier one`,
    retryAfterSec: Math.ceil(settled.aheadMs / 1_000),
  });
}

/** The answer to a moment that retention has given up. */
export const momentGone = ({ oldest }: Gone): Response =>
  problem({
    status: 410,
    code: "moment_gone",
    detail: `retention has given up this moment; the oldest that can be read is stamp ${oldest}, ${stampTime(oldest)}`,
    more: { oldest, oldestTime: stampTime(oldest) },
  });

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
