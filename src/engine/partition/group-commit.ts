/**
 * Group commit: events collect in one group while the group before it is on its way to the log.
 *
 * COMMIT1. One commit is in flight, and groups are committed in the order in which they were begun (LOG2).
 * COMMIT2. A group's effects are settled, and its callers answered, only when it is proven to be in the log (LOG1).
 * COMMIT3. Without an epoch the first group takes one (APPEND0 of append.ts). The group waits for an opening that takes
 *     an epoch, and such an opening waits for the group.
 * COMMIT4. Order of arrival is order of seq: nothing is awaited between arrival and seq.
 */
import { append } from "../log/append.ts";
import { commitCounts } from "../base/counters.ts";
import { messageOf } from "../base/errors.ts";
import type { Lease } from "../log/lease.ts";
import type { Live } from "../state/state-machine.ts";
import { rewound } from "../recovery/rewind-check.ts";
import { CommitDelay } from "./commit-delay.ts";
import { Group, type Admission } from "./group.ts";
import { epoch as asEpoch, seq, stamp, type Epoch, type Stamp } from "../base/ids.ts";
import { appendCost } from "./metering.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Segment } from "../base/records.ts";
import { WIRE_VERSION, type AppendRequest, type AppendResponse } from "./protocol.ts";
import { rowStats } from "./row-stats.ts";
import { overQuota, type Quota } from "./quota.ts";
import { nextStamp } from "../base/hybrid-clock.ts";
import { limited } from "../base/retry.ts";
import { earliest, EXPIRY } from "../state/timers.ts";
import { ThrowLines } from "./throw-lines.ts";
import type { Environment } from "../operator/environment.ts";

/**
 * Tells the partition that a group is visible. `heard` is false if the group held only duplicates, so D1 said nothing.
 */
export type OnVisible = (open: OpenPartition, heard: boolean) => void;

/** The admission, or why the request wasn't taken. */
export type Admitted = Admission | Exclude<AppendResponse, { tag: "decided" }>;

export class GroupCommit {
  readonly #env: Environment;
  readonly #quota: Quota;
  readonly #live: Live;
  readonly #lease: Lease;
  readonly #settled: OnVisible;
  #running = false;
  #filling: Group | null = null;
  #committing: Group | null = null;
  readonly #gathering = new CommitDelay();
  #leave: (() => void) | null = null;

  constructor(env: Environment, quota: Quota, lease: Lease, settled: OnVisible) {
    this.#env = env;
    this.#quota = quota;
    const lines = new ThrowLines(env);
    this.#live = { maxKeys: quota.maxKeys, threw: (entry) => lines.threw(entry) };
    this.#lease = lease;
    this.#settled = settled;
    lease.onLost((failure) => {
      this.#committing?.fail(failure);
      this.#filling?.fail(failure);
    });
  }

  /** Events and bytes that wait for the log. */
  get pending(): { readonly events: number; readonly bytes: number } {
    const groups = [this.#filling, this.#committing];
    return {
      events: groups.reduce((sum, group) => sum + (group?.events ?? 0), 0),
      bytes: groups.reduce((sum, group) => sum + (group?.bytes ?? 0), 0),
    };
  }

  /** True if there are groups. Groups build on what their partition knew when they were begun. */
  get begun(): boolean {
    return this.#filling !== null || this.#committing !== null;
  }

  /** True if the nonce belongs to the group in flight. */
  isOurs(group: string | null): boolean {
    return group !== null && group === this.#committing?.nonce;
  }

  /** Takes the events in, or says why it doesn't. An await here would break the order of seqs (COMMIT4). */
  admit(open: OpenPartition, slice: AppendRequest): Admitted {
    const { operator, clock } = this.#env;
    const { producers, dedup } = open.machine;
    const unfit = slice.producer === undefined ? null : producers.unfit(slice.producer);
    if (unfit !== null) return { v: WIRE_VERSION, tag: "unfit", ...unfit };
    const inherited = { upTo: open.row.startSeq, parts: this.#env.origin?.env.share?.partitions ?? 1 };
    const busy = overQuota(dedup, slice, this.#quota.maxEventsPerDay, operator.dedup.maxIds, clock.now(), inherited);
    if (busy !== null) return busy;
    const group = this.#begin(open);
    const admission = this.#admitted(() => group.admit(slice, clock.now()));
    if (!this.#running) this.#env.host.keep(this.#run(open));
    else if (this.#gathering.enough(group.callers)) this.#leave?.();
    return admission;
  }

  /** The partition clock of the last event that has a seq. */
  clockOf({ machine }: OpenPartition): number {
    return (this.#filling ?? this.#committing)?.clock ?? machine.clock;
  }

  /**
   * Fires the timers of these keys that are due at or before `upTo`, in the order of each key's due times. The keys are
   * in memory. Returns a promise that settles when they are durable, or null if nothing was due.
   */
  fire(open: OpenPartition, keys: readonly string[], upTo: number): Promise<void> | null {
    const { timers } = open.machine;
    const group = this.#begin(open);
    const { next } = group;
    this.#admitted(() => {
      for (const key of keys) {
        let pending = group.timers(key);
        for (; pending !== undefined && earliest(pending)[1] <= upTo; pending = group.timers(key)) {
          const [timer, due] = earliest(pending);
          group.fire(key, { timer, due });
        }
        if (pending !== undefined) timers.add(key, earliest(pending)[1], seq(group.next - 1));
      }
      timers.done(seq(group.next - 1));
    });
    if (!this.#running) this.#env.host.keep(this.#run(open));
    return group.next === next ? null : group.durable;
  }

  /** A key whose timer has been cleared came due. Logging that leaves in D1 when the next one is due. */
  noteCleared(open: OpenPartition, key: string, due: number): Promise<void> {
    const group = this.#begin(open);
    this.#admitted(() => group.fire(key, { timer: EXPIRY, due }));
    if (!this.#running) this.#env.host.keep(this.#run(open));
    return group.durable;
  }

  /** Forgets hints of timers that were set to later or cleared, so that they wake nobody. */
  #trim({ machine: { state, timers } }: OpenPartition): void {
    const last = this.#filling ?? this.#committing!;
    timers.trim(
      (key) => {
        if (!state.has(key)) return undefined;
        const pending = last.timers(key);
        return pending === undefined ? null : earliest(pending)[1];
      },
      seq(last.next - 1),
    );
  }

  /** Returns the group that fills. */
  #begin(open: OpenPartition): Group {
    const below = this.#committing;
    this.#filling ??= new Group(
      this.#env.host.nonce(),
      open.machine,
      this.#live,
      below?.next ?? seq(open.machine.seq + 1),
      below,
    );
    return this.#filling;
  }

  /** An error halfway leaves seqs without events. Such a group must never reach the log, so the instance ends. */
  #admitted<T>(admit: () => T): T {
    try {
      return admit();
    } catch (error) {
      this.#lease.fence(`admission failed: ${messageOf(error)}`);
      throw error;
    }
  }

  /**
   * Waits until the admission is durable. A duplicate of an event that isn't durable yet waits for that event (ONE1).
   * Returns false if nothing was to be logged.
   */
  async durable({ until }: Admission, limitMs: number): Promise<boolean> {
    const filling = this.#filling;
    const committing = this.#committing;
    const group =
      filling !== null && until >= filling.first
        ? filling
        : committing !== null && until >= committing.first
          ? committing
          : null;
    if (group === null) return false;
    await limited(this.#env.clock, "the log", () => group.durable, limitMs);
    return true;
  }

  /** Settles when no commit is in flight. */
  async idle(): Promise<void> {
    await this.#committing?.durable.catch(() => undefined);
  }

  /**
   * Commits group after group, one in flight, until none is left. Never rejects.
   *
   * If closing or settling a group breaks, this instance ends with its groups, since its memory may be half changed.
   * The next instance finds the groups that got into the log.
   */
  async #run(open: OpenPartition): Promise<void> {
    this.#running = true;
    try {
      await this.#commitAll(open);
    } catch (error) {
      this.#lease.fence(`the commit failed: ${messageOf(error)}`);
    }
  }

  async #commitAll(open: OpenPartition): Promise<void> {
    const { id, code, clock, log, host, codec, counters } = this.#env;
    const lease = this.#lease;
    while (this.#filling !== null) {
      await this.#gather(this.#filling);
      // Await only if an opening is taking the epoch. An opening that begins during any other await would not see this
      // group.
      for (let { taken } = lease; taken !== null && !lease.lost; { taken } = lease) await taken;
      if (lease.lost) return;
      const group: Group = this.#filling;
      this.#filling = null;
      this.#committing = group;
      if (group.events > 0) {
        const begun = clock.now();
        this.#trim(open);
        const held = open.row.epoch;
        const epoch = lease.epoch ?? this.#claim(held, group);
        const rows = group.close(
          {
            stamp: nextStamp(stamp(Math.max(open.machine.stamp, group.after)), begun),
            epoch,
            code,
            stats: rowStats(this.#env, open, group.growth(), {
              ...group.counts,
              ...appendCost(group.counts.segments ?? 0),
            }),
          },
          codec,
        );
        const result = await append(log, clock, host, rows, held, () => lease.lost);
        if (result.tag !== "committed" && lease.epoch === null) counters.holder = null;
        if (result.tag === "fenced") return lease.fence(result.why);
        if (result.tag === "rewound") return void lease.lose(rewound(id, result.why));
        this.#count(open, group, rows, result.stamp, clock.now() - begun);
        open.tookEpoch(epoch);
        lease.hold(epoch);
        group.settle(result.stamp, host.watchers?.() ?? null);
        this.#committing = null;
        if (result.superseded !== null) return lease.fence(result.superseded);
      } else {
        counters.add(group.counts);
        group.settle(open.machine.stamp);
        this.#committing = null;
      }
      this.#settled(open, group.events > 0);
    }
    this.#running = false;
  }

  /** Returns the next epoch. The lease holds it once the group is in the log. */
  #claim(held: Epoch, group: Group): Epoch {
    const { host, counters } = this.#env;
    const next = asEpoch(held + 1);
    this.#lease.claim(group.durable);
    counters.holder = { epoch: next, writer: host.nonce() };
    return next;
  }

  /** Waits for the callers that are expected to join the group (commit-delay.ts). */
  async #gather(group: Group): Promise<void> {
    const waitMs = this.#gathering.waitMs(group.callers);
    if (waitMs === 0) return;
    const before = group.callers;
    await new Promise<void>((resolve) => {
      const cancel = this.#env.clock.after(waitMs, resolve);
      this.#leave = () => {
        cancel();
        resolve();
      };
    });
    this.#leave = null;
    this.#gathering.left(before, group.callers);
  }

  #count(open: OpenPartition, group: Group, rows: readonly Segment[], first: Stamp, ms: number): void {
    this.#gathering.answered(group.callers, this.#filling?.callers ?? 0, ms);
    this.#env.counters.add(group.counts);
    this.#env.counters.add(commitCounts(ms));
    const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
    open.committed(group.events, bytes, first);
  }
}
