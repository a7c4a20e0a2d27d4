import type { Seq, Stamp } from "../engine/base/ids.ts";
import type { TakenIn } from "../engine/partition/take-in.ts";
import type { HighWaterMark, Replay, Split } from "../engine/base/records.ts";
import type { Snapshotted } from "../engine/checkpoint/checkpointer.ts";
import type { Verified } from "../engine/checkpoint/verify.ts";
import type { Address } from "../engine/operator/routing.ts";
import type { AppendRequest, AppendResponse } from "../engine/partition/protocol.ts";
import type { PartitionFacts } from "../engine/recovery/open-partition.ts";
import type { KeyEntry } from "../engine/state/keyed-state.ts";
import type { QuarantineGroup, QuarantineEntries, SetAside, Wanted } from "../engine/state/quarantine.ts";

/** An answer, or the reason why there is none now. */
export type PartitionAnswer<T> =
  { readonly tag: "ok"; readonly value: T } | { readonly tag: "busy"; readonly code: string; readonly message: string };

/** An export (engine/snapshot/reads.ts), as it travels. */
export interface ExportPage {
  readonly seq: number;
  readonly time: string | null;
  readonly lines: ReadableStream<Uint8Array>;
}

/** A call to take in the log of another line (partition/take-in.ts), as it travels. */
export interface TakeInCall {
  /** The lines whose logs make up that log, the oldest first, each up to its stamp. */
  readonly source: readonly { readonly line: number; readonly upTo: Stamp; readonly split?: Split }[];
  readonly outcomes: Replay["outcomes"];
  /** The code that must run here. */
  readonly code: string;
  readonly ms: number;
}

/** The calls of a partition's object. */
export interface Calls {
  fetch(request: Request): Promise<Response>;
  append(address: Address, slice: AppendRequest): Promise<AppendResponse>;
  read(address: Address, keys: readonly string[], maxChars?: number): Promise<PartitionAnswer<(KeyEntry | null)[]>>;
  scan(
    address: Address,
    prefix: string,
    after: string,
    limit: number,
    maxBytes: number,
  ): Promise<PartitionAnswer<{ items: (readonly [string, KeyEntry])[]; more: boolean }>>;
  capture(address: Address, prefix: string): Promise<PartitionAnswer<ExportPage>>;
  facts(address: Address): Promise<PartitionAnswer<PartitionFacts>>;
  quarantinePage(
    address: Address,
    after: Seq,
    limit: number,
    maxChars: number,
    wanted?: Wanted,
  ): Promise<PartitionAnswer<QuarantineEntries>>;
  quarantineGroups(address: Address): Promise<PartitionAnswer<QuarantineGroup[]>>;
  setAside(address: Address, target: Seq): Promise<PartitionAnswer<SetAside | null>>;
  snapshot(address: Address): Promise<PartitionAnswer<Snapshotted>>;
  verify(address: Address): Promise<PartitionAnswer<Verified>>;
  takeIn(address: Address, wish: TakeInCall): Promise<PartitionAnswer<TakenIn>>;
  mark(): Promise<HighWaterMark | null>;
  evict(): Promise<void>;
  wake(address: Address): Promise<void>;
}
