/**
 * The recovery test's requests to a partition, and their results.
 *
 * VERIFY1. Values are read before and after through the same route that clients use. A key whose seq is the same must
 *     have the same value. If its seq is higher, an event changed it meanwhile. If it has no state, an event may have
 *     removed it, provided that any came. Anything else is a loss.
 * VERIFY2. The time is from the answer of `evict` to the first answer of the partition, the network included.
 */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import type { RecoveryReport } from "../engine/recovery/open-partition.ts";
import type { PartitionInfo, Page, StateAnswer, VerifiedInfo } from "../client/admin-answers.ts";
import type { Item } from "../client/operator-reads.ts";
import { operatorPath, partitionPath } from "../client/paths.ts";
import { get, post, ApiError } from "./api.ts";
import { bytes, count } from "../client/amounts.ts";

export interface KeyComparison {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  readonly verdict: "same" | "moved" | "differs";
}

export type Happened = { readonly at: number } & (
  | {
      readonly tag: "evicted";
      readonly partition: number;
      /** Events applied. */
      readonly before: number;
      readonly after: number;
      /** Null if the partition opened before the request, so it has no report. */
      readonly report: RecoveryReport | null;
      readonly backMs: number;
      readonly keys: readonly KeyComparison[];
    }
  | {
      readonly tag: "saved";
      readonly number: number;
      readonly kind: string;
      readonly size: string;
      readonly seq: number;
      readonly ms: number;
    }
  | { readonly tag: "verified"; readonly equal: boolean; readonly text: string; readonly ms: number }
);

/** Keys that are compared if none is named, and keys that are read to find them. */
const COMPARED = 3;
const LOOKED_AT = 40;

export async function evictAndLook(
  operator: string,
  partition: number,
  key: string,
  say: (step: string) => void,
): Promise<Happened> {
  const path = partitionPath(operator, partition);
  const before = await get<PartitionInfo>(`${path}?live=true`);
  const states = key === "" ? await someKeys(operator, partition) : await named(operator, partition, key);
  say("Evicting");
  await post(`${path}/evict`);
  say("Waiting for its recovery");
  const gone = performance.now();
  const after = await get<PartitionInfo>(`${path}?live=true`);
  const backMs = performance.now() - gone;
  const keys: KeyComparison[] = [];
  const came = after.appliedSeq > before.appliedSeq;
  for (const state of states) keys.push(compared(state, await stateOf(operator, state.key), came));
  return {
    tag: "evicted",
    at: Date.now(),
    partition,
    before: before.appliedSeq,
    after: after.appliedSeq,
    report: after.lastRecovery,
    backMs,
    keys,
  };
}

export async function snapshotNow(operator: string, partition: number): Promise<Happened> {
  const begun = performance.now();
  const { number, kind, snapshot, seq } = await post<Manifest>(`${partitionPath(operator, partition)}/snapshot`);
  const ms = performance.now() - begun;
  return { tag: "saved", at: Date.now(), number, kind, size: bytes(snapshot.bytes), seq, ms };
}

export async function verifyNow(operator: string, partition: number): Promise<Happened> {
  const begun = performance.now();
  const found = await post<VerifiedInfo>(`${partitionPath(operator, partition)}/verify`);
  const ms = performance.now() - begun;
  const { first } = found;
  const text =
    first === undefined
      ? `State rebuilt from ${found.manifest === null ? "the log alone" : `snapshot ${found.manifest} and the log above it`} has the digest of the state in memory, at event ${count(found.seq)}`
      : `The first difference is at key ${first.key}, event ${first.seq}`;
  return { tag: "verified", at: Date.now(), equal: found.equal, text, ms };
}

/** Compares a key by VERIFY1. */
export function compared(before: StateAnswer, after: StateAnswer | null, came: boolean): KeyComparison {
  const [was, is] = [JSON.stringify(before.value), after === null ? "no state" : JSON.stringify(after.value)];
  const moved = after === null ? came : after.seq > before.seq;
  const same = after?.seq === before.seq && was === is;
  return { key: before.key, before: was, after: is, verdict: moved ? "moved" : same ? "same" : "differs" };
}

async function named(operator: string, partition: number, key: string): Promise<StateAnswer[]> {
  const state = await stateOf(operator, key);
  if (state === null) throw new ApiError(404, "no_state", `the key "${key}" has no state`);
  if (state.partition !== partition)
    throw new ApiError(
      409,
      "other_partition",
      `the key "${key}" belongs to partition ${state.partition}: choose that one`,
    );
  return [state];
}

/** A few keys of this partition. */
async function someKeys(operator: string, partition: number): Promise<StateAnswer[]> {
  const { items } = await get<Page<Item<unknown>>>(`${operatorPath(operator)}/state?limit=${LOOKED_AT}`);
  const found: StateAnswer[] = [];
  for (const { key } of items) {
    const state = await stateOf(operator, key);
    if (state?.partition === partition) found.push(state);
    if (found.length === COMPARED) break;
  }
  return found;
}

async function stateOf(operator: string, key: string): Promise<StateAnswer | null> {
  try {
    return await get<StateAnswer>(`${operatorPath(operator)}/state?key=${encodeURIComponent(key)}`);
  } catch (error) {
    if (error instanceof ApiError && error.code === "no_state") return null;
    throw error;
  }
}
