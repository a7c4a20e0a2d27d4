/**
 * Group commit: events collect in one group while the group before it is on its way to the log.
 *
 * COMMIT1. One commit is in flight, and groups are committed in the order in which they were begun (LOG2).
 * COMMIT2. A group's effects are settled, and its callers answered, only when it is proven to be in the log (LOG1).
 * COMMIT3. Without an epoch the first group takes it (APPEND0 of append.ts). It waits for an opening that takes one, and the other way round.
 * COMMIT4. Order of arrival is order of seq: between the two nothing is awaited.
 */
import { append } from "../log/append.ts";
import { commitCounts } from "../base/counters.ts";
import { messageOf, type Failure } from "../base/errors.ts";
import type { Live } from "../state/state-machine.ts";
import { CommitDelay } from "./commit-delay.ts";
import { Group, type Admission } from "./group.ts";
import { epoch as asEpoch, seq, type Epoch, type Stamp } from "../base/ids.ts";
import { appendCost } from "./metering.ts";
import type { Environment } from "../recovery/environment.ts";
import { isoOrNull, type OpenPartition, type RidingStats } from "../recovery/open-partition.ts";
import type { Segment } from "../base/records.ts";
import type { AppendRequest } from "./protocol.ts";
import { nextStamp, stampMs } from "../base/hybrid-clock.ts";
import { limited } from "../base/retry.ts";
import { ThrowLines } from "./throw-lines.ts";

/** What the partition wants to know of. */
export interface CommitEvents {
  /** `heard`: D1 said so just now; else they were repeats alone. */
  settled(open: OpenPartition, heard: boolean): void;
  fenced(why: string): void;
  /** D1 has less than it had acknowledged. */
  rewound(open: OpenPartition, why: string): void;
  /** Settles when the opening has ended that takes an epoch, and never rejects; null: none is on its way. */
  taking(): Promise<unknown> | null;
}

export class GroupCommit {
  readonly #around: Environment;
  readonly #code: string;
  readonly #live: Live;
  readonly #events: CommitEvents;
  #running = false;
  #abandoned = false;
  #filling: Group | null = null;
  #committing: Group | null = null;
  readonly #gathering = new CommitDelay();
  #leave: (() => void) | null = null;

  constructor(env: Environment, code: string, maxKeys: number, events: CommitEvents) {
    this.#around = env;
    const notes = new ThrowLines(env);
    this.#live = { maxKeys, threw: (entry) => notes.threw(entry) };
    this.#code = code;
    this.#events = events;
  }

  /** What waits for the log. */
  get pending(): { readonly events: number; readonly bytes: number } {
    const groups = [this.#filling, this.#committing];
    return {
      events: groups.reduce((sum, group) => sum + (group?.events ?? 0), 0),
      bytes: groups.reduce((sum, group) => sum + (group?.bytes ?? 0), 0),
    };
  }

  /** Are there groups? They build on what their partition knew when they were begun. */
  get begun(): boolean {
    return this.#filling !== null || this.#committing !== null;
  }

  /** Is it the nonce of the group on its way? */
  isOurs(group: string | null): boolean {
    return group !== null && group === this.#committing?.nonce;
  }

  /** No await in here: order of arrival is order of seq (COMMIT4). */
  admit(open: OpenPartition, slice: AppendRequest): Admission {
    const below = this.#committing;
    this.#filling ??= new Group(
      this.#around.host.nonce(),
      open.machine,
      this.#live,
      below?.next ?? seq(open.machine.seq + 1),
      below?.top ?? null,
    );
    const admission = this.#admitted(this.#filling, slice);
    if (!this.#running) this.#around.host.keep(this.#run(open));
    else if (this.#gathering.enough(this.#filling.callers)) this.#leave?.();
    return admission;
  }

  /** What breaks halfway leaves seqs without events: such a group must never reach the log, so the object ends. */
  #admitted(group: Group, slice: AppendRequest): Admission {
    try {
      return group.admit(slice);
    } catch (error) {
      this.#events.fenced(`taking events in broke: ${messageOf(error)}`);
      throw error;
    }
  }

  /** A repeat of an event that isn't durable yet waits for it as well (ONE1). */
  async durable({ until }: Admission, limitMs: number): Promise<void> {
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

  /** Settles when nothing is in flight any more. */
  async idle(): Promise<void> {
    await this.#committing?.durable.catch(() => undefined);
  }

  /** Nothing of what is pending will be committed by this instance. */
  abandon(failure: Failure): void {
    this.#abandoned = true;
    this.#committing?.fail(failure);
    this.#filling?.fail(failure);
  }

  /**
   * Commits group after group, one in flight, until none is left. Never rejects: if closing or settling a group breaks, this instance
   * ends with its groups, since what it holds may be half done. What got into the log the next instance finds there.
   */
  async #run(open: OpenPartition): Promise<void> {
    this.#running = true;
    try {
      await this.#commitAll(open);
    } catch (error) {
      this.#events.fenced(`committing broke: ${messageOf(error)}`);
    }
  }

  async #commitAll(open: OpenPartition): Promise<void> {
    const { clock, log, host, codec, counters } = this.#around;
    while (this.#filling !== null) {
      await this.#gather(this.#filling);
      // No await where none is on its way: one that began meanwhile would not see this group.
      for (let taking = this.#taking(open); taking !== null; taking = this.#taking(open)) await taking;
      if (this.#abandoned) return;
      const group: Group = this.#filling;
      this.#filling = null;
      this.#committing = group;
      if (group.events > 0) {
        const begun = clock.now();
        const held = open.row.epoch;
        const epoch = open.epoch ?? this.#claim(held);
        const rows = group.close(
          {
            stamp: nextStamp(open.machine.stamp, begun),
            epoch,
            code: this.#code,
            stats: this.#stats(open, group),
          },
          codec,
        );
        const result = await append(log, clock, host, rows, held, () => this.#abandoned);
        if (result.tag !== "committed" && open.epoch === null) counters.holder = null;
        if (result.tag === "fenced") return this.#events.fenced(result.why);
        if (result.tag === "rewound") return this.#events.rewound(open, result.why);
        this.#count(open, group, rows, result.stamp, clock.now() - begun);
        if (open.epoch === null) open.row = { ...open.row, epoch };
        open.epoch = epoch;
        group.settle(result.stamp, host.watchers?.() ?? null);
        this.#committing = null;
        if (result.superseded !== null) return this.#events.fenced(result.superseded);
      } else {
        counters.add(group.counts);
        group.settle(open.machine.stamp);
        this.#committing = null;
      }
      this.#events.settled(open, group.events > 0);
    }
    this.#running = false;
  }

  #taking(open: OpenPartition): Promise<unknown> | null {
    return open.epoch === null && !this.#abandoned ? this.#events.taking() : null;
  }

  /** The next epoch: ours once the group is in the log. */
  #claim(held: Epoch): Epoch {
    const { host, counters } = this.#around;
    const next = asEpoch(held + 1);
    counters.holder = { epoch: next, writer: host.nonce() };
    return next;
  }

  /** Waits for the callers that are expected to join the group (commit-delay.ts). */
  async #gather(group: Group): Promise<void> {
    const waitMs = this.#gathering.waitMs(group.callers);
    if (waitMs === 0) return;
    const before = group.callers;
    await new Promise<void>((resolve) => {
      const cancel = this.#around.clock.after(waitMs, resolve);
      this.#leave = () => {
        cancel();
        resolve();
      };
    });
    this.#leave = null;
    this.#gathering.left(before, group.callers);
  }

  #count(open: OpenPartition, group: Group, rows: readonly Segment[], stamp: Stamp, ms: number): void {
    this.#gathering.answered(group.callers, this.#filling?.callers ?? 0, ms);
    this.#around.counters.add(group.counts);
    this.#around.counters.add(commitCounts(ms));
    open.tail.events += group.events;
    open.tail.bytes += rows.reduce((sum, row) => sum + row.bytes, 0);
    open.tail.sinceMs ??= stampMs(stamp);
  }

  /** Rides along in a row that is written anyway, so that looking needs no call to the partition (SNAP9). */
  #stats(open: OpenPartition, group: Group): string {
    const growth = group.growth();
    const { state, quarantine } = open.machine;
    const { keys, size } = state;
    const { clock, counters, minutes } = this.#around;
    const row = counters.row({ ...group.counts, ...appendCost(group.counts.segments ?? 0) });
    minutes.count(row, clock.now());
    const told = minutes.since(open.whole === null ? 0 : Date.parse(open.whole.at));
    return JSON.stringify({
      keys: keys + growth.keys,
      stateBytes: size + growth.size,
      dedupSince: isoOrNull(open.machine.dedup.sinceMs),
      lastRecovery: open.report,
      rates: open.rates,
      quarantined: quarantine.decidedEvents,
      tail: [open.row.version, open.tail.bytes],
      counters: row,
      ...(told.length === 0 ? {} : { minutes: told }),
      writer: counters.holder!.writer,
      ...(counters.before === null ? {} : { before: counters.before }),
    } satisfies RidingStats);
  }
}
