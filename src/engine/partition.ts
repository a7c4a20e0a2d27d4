/**
 * The life of one partition: the file to read first.
 *
 *   append  ->  admit (dedup, seq, handlers)  ->  group  ->  commit to D1  ->  settle (visible)  ->  answer
 *   alarm or full tail  ->  checkpoint: capture -> R2 -> manifest current, log cut
 *   first call after an eviction or a crash  ->  open: row and tail from D1, snapshot from R2, replay
 *
 * I1. Nothing is awaited between an event's arrival in order and its seq; groups commit one at a time, in order (LOG2).
 * I2. What a group changes is visible only after its commit is proven (LOG1); reads show committed state only.
 * I3. Writing needs an epoch, reading doesn't: a read opens without one. Whoever lost its epoch ends itself for good.
 * I4. Every wait of a caller has a limit, every queue a bound (LOG6); past them the answer is `busy`, never half a truth.
 */
import type { Address } from "./address.ts";
import { checkpoint, displaced } from "./checkpoint.ts";
import { commit } from "./commit.ts";
import { Failure, messageOf } from "./errors.ts";
import type { Fold } from "./fold.ts";
import { Group, type Admission } from "./group.ts";
import { manifestPrefix, seq, type Epoch, type Stamp } from "./ids.ts";
import { COMMIT_WAIT_MS, FRESH_MS, OPEN_ATTEMPTS, PENDING_BYTES, PENDING_EVENTS, TAIL_BYTES } from "./limits.ts";
import type { Manifest } from "./manifest.ts";
import { snapshotAt } from "./policy.ts";
import type { Opening, PartitionRow } from "./ports.ts";
import type { Quarantined } from "./quarantine.ts";
import { catchUp, recover, type RecoveryReport, type Surroundings } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { busy, WIRE_VERSION, type Slice, type SliceResult } from "./slice.ts";
import { capture } from "./snapshot.ts";
import { nextStamp, stampMs } from "./stamp.ts";
import type { Entry } from "./state.ts";
import { limited, persistent } from "./store-call.ts";

/** What a partition knows once it is open. */
interface Open {
  row: PartitionRow;
  readonly fold: Fold;
  /** Null: opened for reading only. */
  epoch: Epoch | null;
  /** The generation that is known to be whole. */
  whole: Manifest | null;
  report: RecoveryReport;
  /** The next snapshot should come at once. */
  renew: boolean;
  readonly tail: { events: number; bytes: number; sinceMs: number | null };
}

/** A partition's own view of itself. */
export interface Facts {
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly keys: number;
  readonly stateBytes: number;
  readonly dedupSince: string | null;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly lastRecovery: Omit<RecoveryReport, "replayMs">;
  /** Events that a replay applied in a millisecond, as last measured; null: nothing was replayed. */
  readonly replayPerMs: number | null;
  readonly manifest: string | null;
}

export type Snapshotted =
  | { readonly tag: "current"; readonly manifest: Manifest }
  | { readonly tag: "nothing" }
  | { readonly tag: "failed"; readonly why: string };

export class Partition {
  readonly #around: Surroundings;
  readonly #address: Address;
  readonly #code: string;
  #opened: Open | null = null;
  #opening: { readonly write: boolean; readonly done: Promise<Open> } | null = null;
  #ended: string | null = null;
  #committingGroups = false;
  /** Filling, and being committed. */
  #filling: Group | null = null;
  #committing: Group | null = null;
  #heardAt = 0;
  /** Moving average of a commit's time, milliseconds, and how many callers the last ones answered. */
  #commitMs = 0;
  #lastCallers = 1;
  #wakeLinger: (() => void) | null = null;
  #snapshotting: Promise<Snapshotted> | null = null;
  #attempt = 0;
  #failedSnapshots = 0;
  #retrySnapshotAt = 0;

  constructor(around: Surroundings, address: Address, code: string) {
    this.#around = around;
    this.#address = address;
    this.#code = code;
  }

  // ---- events in ----

  /** Takes a slice of events and answers once all of them are durable, or says that it isn't known. */
  async append(slice: Slice): Promise<SliceResult> {
    const { operator, clock } = this.#around;
    if (slice.v > WIRE_VERSION)
      return busy("superseded", `this object speaks version ${WIRE_VERSION} of the protocol, the caller ${slice.v}`);
    if (slice.operatorVersion > operator.version) return this.#stepAside(slice.operatorVersion);
    const waitMs = Math.max(1, Math.min(COMMIT_WAIT_MS, slice.waitMs ?? COMMIT_WAIT_MS));
    const deadline = clock.now() + waitMs;
    try {
      const open =
        this.#openFor(true) ?? (await limited(clock, "opening the partition", () => this.#ready(true), waitMs));
      const full = this.#overfull(open, slice);
      if (full !== null) return full;
      const admission = this.#admit(open, slice);
      await this.#durable(admission, Math.max(1, deadline - clock.now()));
      return { v: WIRE_VERSION, tag: "decided", statuses: admission.statuses, details: admission.details };
    } catch (error) {
      if (error instanceof Failure) return busy(error.code, error.message);
      throw error;
    }
  }

  /** LOG6: what can't be taken is refused whole, before any of it has a seq. */
  #overfull(open: Open, slice: Slice): SliceResult | null {
    const pending = (this.#filling?.bytes ?? 0) + (this.#committing?.bytes ?? 0) + slice.bytes;
    const events = (this.#filling?.events ?? 0) + (this.#committing?.events ?? 0) + slice.keys.length;
    if (this.#filling !== null && (pending > PENDING_BYTES || events > PENDING_EVENTS))
      return busy(
        "queue_full",
        `${events} events with ${pending} bytes wait for the log; the limits are ${PENDING_EVENTS} and ${PENDING_BYTES}`,
      );
    if (open.tail.bytes > TAIL_BYTES)
      return busy(
        "log_full",
        `the log holds ${open.tail.bytes} bytes that no snapshot covers; the limit is ${TAIL_BYTES}: see why snapshots fail`,
        30_000,
      );
    if (open.fold.quarantine.full && slice.command !== true)
      return busy("quarantine_full", "the quarantine is full: retry or delete what is in it", 30_000);
    return null;
  }

  /** No await in here: order of arrival is order of seq (I1). */
  #admit(open: Open, slice: Slice): Admission {
    const below = this.#committing;
    this.#filling ??= new Group(
      this.#around.host.nonce(),
      open.fold,
      below?.next ?? seq(open.fold.seq + 1),
      below?.top ?? null,
    );
    const admission = this.#filling.admit(slice);
    if (!this.#committingGroups) this.#around.host.keep(this.#commitGroups(open));
    else if (this.#filling.callers >= this.#lastCallers) this.#wakeLinger?.();
    return admission;
  }

  /** A repeat of an event that isn't durable yet waits for it as well (ONE1). */
  async #durable({ until }: Admission, limitMs: number): Promise<void> {
    const filling = this.#filling;
    const committing = this.#committing;
    const group =
      filling !== null && until >= filling.first
        ? filling
        : committing !== null && until >= committing.first
          ? committing
          : null;
    if (group === null) return;
    await limited(this.#around.clock, "the log", () => group.durable, limitMs);
  }

  async #stepAside(wanted: number): Promise<SliceResult> {
    await this.#committing?.durable.catch(() => undefined);
    this.#end(`an object of operator version ${this.#around.operator.version} was asked by version ${wanted}`);
    return busy(
      "superseded",
      `this object runs version ${this.#around.operator.version} of the operator, the caller version ${wanted}; it has stepped aside`,
      100,
    );
  }

  // ---- the log ----

  /** Commits group after group, one in flight, until none is left. Never rejects. */
  async #commitGroups(open: Open): Promise<void> {
    const { clock, log, host, codec } = this.#around;
    this.#committingGroups = true;
    while (this.#filling !== null) {
      await this.#linger();
      const group: Group = this.#filling;
      this.#filling = null;
      this.#committing = group;
      if (group.events > 0) {
        const begun = clock.now();
        const rows = group.close(
          {
            stamp: nextStamp(open.fold.stamp, begun),
            epoch: open.epoch!,
            code: this.#code,
            stats: this.#stats(open, group),
          },
          codec,
        );
        const result = await commit(log, clock, host, rows);
        if (result.tag === "fenced") return this.#end(result.why);
        this.#count(open, group, rows, result.stamp, clock.now() - begun);
        group.settle(result.stamp);
      } else group.settle(open.fold.stamp);
      this.#committing = null;
      this.#schedule(open);
    }
    this.#committingGroups = false;
  }

  /**
   * Callers that were answered together come back together: waiting a little for as many as last time puts them into one
   * group instead of letting the first one travel alone and the others wait for two commits.
   */
  async #linger(): Promise<void> {
    if (this.#filling!.callers >= this.#lastCallers) return;
    const limitMs = Math.min(LINGER_MS, Math.max(1, this.#commitMs * LINGER_SHARE));
    await new Promise<void>((resolve) => {
      const cancel = this.#around.clock.after(limitMs, resolve);
      this.#wakeLinger = () => {
        cancel();
        resolve();
      };
    });
    this.#wakeLinger = null;
  }

  #count(open: Open, group: Group, rows: readonly Segment[], stamp: Stamp, ms: number): void {
    this.#heardAt = this.#around.clock.now();
    this.#commitMs = this.#commitMs * 0.8 + ms * 0.2;
    this.#lastCallers = Math.max(group.callers, this.#lastCallers * CALLERS_DECAY);
    open.tail.events += group.events;
    open.tail.bytes += rows.reduce((sum, row) => sum + row.bytes, 0);
    open.tail.sinceMs ??= stampMs(stamp);
  }

  /** Rides along in a row that is written anyway, so that looking needs no call to the partition (SNAP9). */
  #stats(open: Open, group: Group): string {
    const growth = group.growth();
    const { keys, size } = open.fold.state;
    return JSON.stringify({
      keys: keys + growth.keys,
      stateBytes: size + growth.size,
      dedupSince: isoOrNull(open.fold.dedup.sinceMs),
      lastRecovery: open.report,
    } satisfies RidingStats);
  }

  /** Ends this instance for good: whoever calls next finds a new one (I3). */
  #end(why: string): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    const failure = new Failure("fenced", why);
    this.#committing?.fail(failure);
    this.#filling?.fail(failure);
    this.#around.host.end(why);
  }

  // ---- opening ----

  /** The open partition, for writing or for reading. One opening at a time; what failed is tried anew by the next call. */
  async #ready(write: boolean): Promise<Open> {
    for (let round = 0; round < OPEN_ATTEMPTS; round++) {
      if (this.#ended !== null) throw new Failure("fenced", this.#ended);
      const open = this.#openFor(write);
      if (open !== null) return open;
      if (this.#opening === null) this.#beginOpening(write);
      const opening = this.#opening!;
      if (opening.write || !write) return opening.done;
      // A read is opening; the write needs an epoch of its own after it, whatever becomes of the read.
      await opening.done.catch(() => undefined);
    }
    throw new Failure("store_unavailable", "the partition could not be opened for writing");
  }

  #openFor(write: boolean): Open | null {
    const open = this.#opened;
    return this.#ended === null && open !== null && (!write || open.epoch !== null) ? open : null;
  }

  #beginOpening(write: boolean): void {
    const done = this.#open(write).finally(() => {
      this.#opening = null;
    });
    done.catch(() => undefined);
    this.#opening = { write, done };
  }

  async #open(write: boolean): Promise<Open> {
    const opening = write ? await this.#takeEpoch() : await this.#peek();
    const epoch = write ? opening.row.epoch : null;
    if (epoch !== null) this.#around.host.tookEpoch(epoch);
    this.#heardAt = this.#around.clock.now();
    const open = (await this.#catchUp(opening)) ?? (await this.#recover(opening, epoch));
    open.row = opening.row;
    open.epoch = epoch;
    this.#opened = open;
    if (write) this.#schedule(open);
    return open;
  }

  /** A partition that was open for reading only needs but what was logged since. */
  async #catchUp(opening: Opening): Promise<Open | null> {
    const open = this.#opened;
    if (open === null || open.row.version !== opening.row.version) return null;
    const replayed = await catchUp(this.#around, opening, open.fold);
    if (replayed === null) return null;
    open.tail.bytes += replayed.bytes;
    open.tail.events += replayed.events;
    open.tail.sinceMs ??= opening.rows[0] === undefined ? null : stampMs(opening.rows[0].stamp);
    return open;
  }

  async #recover(opening: Opening, epoch: Epoch | null): Promise<Open> {
    try {
      const { fold, base, report, renew, tailBytes, tailEvents, tailSinceMs } = await recover(
        this.#around,
        opening,
        epoch,
      );
      return {
        row: opening.row,
        fold,
        epoch,
        whole: base,
        report,
        renew,
        tail: { events: tailEvents, bytes: tailBytes, sinceMs: tailSinceMs },
      };
    } catch (error) {
      if (epoch !== null && error instanceof Failure && error.code === "fenced") this.#end(error.message);
      throw error;
    }
  }

  async #takeEpoch(): Promise<Opening> {
    const { clock, host, log } = this.#around;
    const writer = host.nonce();
    const take = (): Promise<Opening | null> =>
      persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.open(writer, this.#code));
    const opening = await take();
    if (opening !== null) return opening;
    await this.#assertNew();
    await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.create(this.#address.seed));
    const created = await take();
    if (created === null) throw new Failure("catalogue_lost", "the partition's row vanished while it was made");
    return created;
  }

  async #peek(): Promise<Opening> {
    const { clock, host, log } = this.#around;
    const opening = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.peek());
    if (opening !== null) return opening;
    await this.#assertNew();
    return { row: emptyRow(this.#address.seed), rows: [], more: false };
  }

  /** CODE2: manifests without a row mean that D1 lost it; starting empty would lose the state by mistake. */
  async #assertNew(): Promise<void> {
    const { clock, host, objects, id } = this.#around;
    const { names } = await persistent(clock, host, "R2", OPEN_ATTEMPTS, () => objects.list(manifestPrefix(id), ""));
    if (names.length > 0)
      throw new Failure(
        "catalogue_lost",
        `R2 holds ${names[0]}, but D1 has no row for this partition: restore the database, it must not begin anew`,
      );
  }

  // ---- state out ----

  /** The committed state of some keys. */
  async read(keys: readonly string[]): Promise<(Entry | null)[]> {
    const { fold } = await this.#current();
    return keys.map((key) => fold.state.get(key) ?? null);
  }

  /** Committed keys in the order of their UTF-8 bytes, above `after`; stops at `limit` or at about `maxBytes`. */
  async scan(
    prefix: string,
    after: string,
    limit: number,
    maxBytes: number,
  ): Promise<{ readonly items: (readonly [string, Entry])[]; readonly more: boolean }> {
    const { fold } = await this.#current();
    const items: (readonly [string, Entry])[] = [];
    let bytes = 0;
    for (const item of fold.state.scan(prefix, after)) {
      if (items.length >= limit || bytes >= maxBytes) return { items, more: true };
      items.push(item);
      bytes += item[0].length + item[1].text.length;
    }
    return { items, more: false };
  }

  async quarantined(): Promise<Quarantined[]> {
    return (await this.#current()).fold.quarantine.list();
  }

  async facts(): Promise<Facts> {
    const { row, fold, tail, report } = await this.#current();
    const { replayMs, ...lastRecovery } = report;
    return {
      epoch: row.epoch,
      appliedSeq: fold.seq,
      keys: fold.state.keys,
      stateBytes: fold.state.size,
      dedupSince: isoOrNull(fold.dedup.sinceMs),
      tailEvents: tail.events,
      tailBytes: tail.bytes,
      lastRecovery,
      replayPerMs: replayMs > 0 ? report.replayedEvents / replayMs : null,
      manifest: row.manifest,
    };
  }

  /** Open, and as fresh as D1 says: what hasn't heard of its epoch for a while asks before it answers. */
  async #current(): Promise<Open> {
    const { clock, log } = this.#around;
    const open =
      this.#openFor(false) ?? (await limited(clock, "opening the partition", () => this.#ready(false), COMMIT_WAIT_MS));
    if (clock.now() - this.#heardAt < FRESH_MS) return open;
    let known;
    try {
      known = await limited(clock, "D1", () => log.explain(seq(open.fold.seq + 1)), FRESH_ASK_MS);
    } catch {
      // A D1 that doesn't answer must not stop reads of what is committed (LOG3); the platform keeps one object alive.
      return open;
    }
    this.#heardAt = clock.now();
    if (open.epoch !== null) {
      if (known.epoch === open.epoch) return open;
      this.#end(`epoch ${open.epoch} was superseded by epoch ${known.epoch}`);
      throw new Failure("fenced", this.#ended!);
    }
    if (known.head === open.fold.seq && known.version === open.row.version) return open;
    if (this.#opened === open && this.#opening === null) this.#beginOpening(false);
    return this.#opening?.done ?? open;
  }

  // ---- snapshots ----

  /** Takes a snapshot of everything that is committed now. One that is under way may have begun too early for that. */
  async snapshot(): Promise<Snapshotted> {
    const open = await limited(this.#around.clock, "opening the partition", () => this.#ready(true), COMMIT_WAIT_MS);
    const wanted = open.fold.seq;
    const running = this.#snapshotting;
    if (running !== null) {
      const result = await running;
      if (result.tag === "failed" || (result.tag === "current" && result.manifest.seq >= wanted)) return result;
    }
    return this.#snapshot(open);
  }

  /** The alarm, and the cron sweep that stands in for a lost one. Never rejects (SNAP6). */
  async wake(): Promise<void> {
    const { clock, host } = this.#around;
    try {
      const open = await this.#ready(true);
      this.#schedule(open);
      await this.#snapshotting;
    } catch (error) {
      host.note("alarm failed", { error: messageOf(error) });
      host.arm(clock.now() + RETRY_MS);
    }
  }

  /** Takes the snapshot that is due, or arms the alarm for it. */
  #schedule(open: Open): void {
    const { clock, host, operator } = this.#around;
    if (open.epoch === null || this.#ended !== null || this.#snapshotting !== null) return;
    const lastMs = open.row.manifest === null || open.whole === null ? 0 : Date.parse(open.whole.at);
    const facts = {
      tailEvents: open.tail.events,
      tailBytes: open.tail.bytes,
      tailSinceMs: open.tail.sinceMs,
      lastMs,
      lastBytes: open.whole?.snapshot.bytes ?? 0,
    };
    const due = open.renew ? 0 : snapshotAt(facts, operator.snapshot);
    const at = due === null ? null : Math.max(due, this.#retrySnapshotAt);
    if (at === null || at > clock.now()) host.arm(at);
    else host.keep(this.#snapshot(open).then(() => undefined));
  }

  #snapshot(open: Open): Promise<Snapshotted> {
    this.#snapshotting ??= this.#takeSnapshot(open).finally(() => {
      this.#snapshotting = null;
      this.#schedule(open);
    });
    return this.#snapshotting;
  }

  async #takeSnapshot(open: Open): Promise<Snapshotted> {
    const { clock, host, codec, objects } = this.#around;
    if (open.fold.seq === 0) return { tag: "nothing" };
    // Nothing new since the last one: it is the snapshot.
    if (open.whole !== null && open.fold.seq === open.whole.seq && !open.renew)
      return { tag: "current", manifest: open.whole };
    const ground = {
      row: open.row,
      epoch: open.epoch!,
      whole: open.whole,
      code: this.#code,
      attempt: this.#attempt++,
      dedupSinceMs: open.fold.dedup.sinceMs,
      stateSize: open.fold.state.size,
    };
    const result = await checkpoint(this.#around, ground, capture(open.fold));
    if (result.tag === "fenced") {
      this.#end(result.why);
      return { tag: "failed", why: result.why };
    }
    if (result.tag === "failed") {
      this.#retrySnapshotAt = clock.now() + RETRY_MS * 2 ** Math.min(this.#failedSnapshots++, 5);
      host.note("snapshot failed", { why: result.why, attempt: ground.attempt });
      return result;
    }
    this.#failedSnapshots = 0;
    this.#retrySnapshotAt = 0;
    const gone = displaced(open.row, result.row, codec);
    open.row = result.row;
    open.whole = result.manifest;
    open.renew = false;
    open.tail.events = open.fold.seq - result.manifest.seq;
    open.tail.bytes = open.tail.events === 0 ? 0 : Math.max(0, open.tail.bytes - result.archivedBytes);
    open.tail.sinceMs = open.tail.events === 0 ? null : clock.now();
    this.#heardAt = clock.now();
    // What fails to go is garbage, not harm: nothing names it any more.
    if (gone.length > 0)
      await limited(clock, "R2", () => objects.delete(gone)).catch((error: unknown) =>
        host.note("displaced snapshot not deleted", { error: messageOf(error) }),
      );
    return { tag: "current", manifest: result.manifest };
  }
}

/** Stands in the last row of each group. */
export interface RidingStats {
  readonly keys: number;
  readonly stateBytes: number;
  readonly dedupSince: string | null;
  readonly lastRecovery: RecoveryReport;
}

/** At most this long, and this share of a commit's time, does a group wait for callers that are expected back. */
const LINGER_MS = 10;
const LINGER_SHARE = 0.3;
/** A caller that stays away is forgotten after a few groups. */
const CALLERS_DECAY = 0.6;
/** Before a snapshot that failed is tried again, doubling up to 16 minutes. */
const RETRY_MS = 30_000;
/** How long a read waits for D1's word on the epoch. */
const FRESH_ASK_MS = 1_000;

const isoOrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

const emptyRow = (seed: number): PartitionRow => ({
  epoch: 0 as Epoch,
  seed,
  version: 0,
  attempt: "",
  snapshotSeq: seq(0),
  snapshotStamp: 0 as Stamp,
  manifest: null,
  previousSeq: seq(0),
  previous: null,
  pins: "[]",
});
