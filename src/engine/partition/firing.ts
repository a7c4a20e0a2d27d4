/**
 * Fires the timers of a partition that are due (timers.ts).
 *
 * FIRING1. Before an event is admitted, everything fires that is due at or before its clock. So whether an alarm came in
 *     time, late or never changes when a timer fires, and never what it finds.
 * FIRING2. A part of the due keys is loaded and fired at a time, and is durable before the next part. So any number may
 *     be due. Events wait meanwhile, each until its deadline.
 * FIRING4. An alarm for a timer that was cleared logs an event that does nothing (`not_pending`), unless something else is
 *     logged. The cron reads in the last segment when the next timer is due, and would wake the partition again and again.
 * FIRING5. The bounds that hold for events hold here, too (backpressure.ts): firing waits for a snapshot that is due, and
 *     stops while the quarantine is full. A command doesn't wait then, since it may be the one that makes room.
 * FIRING3. Nothing fires on a sealed line, nor on one that replays another line: what fired there comes with its log.
 */
import { Failure } from "../base/errors.ts";
import { CHANGED_BUDGETS, LOAD_BYTES, TAIL_BYTES } from "../base/limits.ts";
import type { Lease } from "../log/lease.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { GroupCommit } from "./group-commit.ts";
import { REOPENED, type Opener } from "./opener.ts";

/** Keys that fire in one group. */
const AT_ONCE = 1_000;

export class TimerFiring {
  readonly #lease: Lease;
  readonly #opener: Opener;
  readonly #groups: GroupCommit;
  readonly #save: (open: OpenPartition) => Promise<unknown>;
  #running: Promise<unknown> = Promise.resolve();

  /** `save` takes a snapshot. */
  constructor(lease: Lease, opener: Opener, groups: GroupCommit, save: (open: OpenPartition) => Promise<unknown>) {
    this.#lease = lease;
    this.#save = save;
    this.#opener = opener;
    this.#groups = groups;
  }

  /** True if a timer may be due at this time of the partition. */
  isDue(open: OpenPartition, clockMs: number): boolean {
    return open.machine.timers.next <= Math.max(clockMs, this.#groups.clockOf(open));
  }

  /** Fires what is due for an alarm. Returns true if something was logged. @throws as `upTo` does */
  async forAlarm(open: OpenPartition, nowMs: number): Promise<boolean> {
    const cleared: { key: string | null } = { key: null };
    const due = open.machine.timers.next;
    const fired = await this.upTo(open, nowMs, (key) => (cleared.key ??= key));
    if (fired || cleared.key === null) return fired;
    const { key } = cleared;
    await open.loader.pinned([key]);
    try {
      this.#assertOpen(open);
      await this.#groups.noteCleared(open, key, due);
    } finally {
      open.machine.state.unpin([key]);
    }
    return true;
  }

  /**
   * Fires everything that is due at or before that time. Returns true if something was. `looked` hears of each key whose
   * timers were looked at.
   *
   * @throws Failure if the instance has ended, or the line is sealed; Damage if a file can't be read
   */
  async upTo(open: OpenPartition, clockMs: number, looked: (key: string) => void = () => undefined): Promise<boolean> {
    const before = this.#running;
    const running = before.catch(() => undefined).then(() => this.#upTo(open, clockMs, looked));
    this.#running = running;
    return running;
  }

  async #upTo(open: OpenPartition, clockMs: number, looked: (key: string) => void): Promise<boolean> {
    const { machine, loader } = open;
    const upTo = Math.max(clockMs, this.#groups.clockOf(open));
    const most = Math.min(AT_ONCE, machine.state.keysIn(LOAD_BYTES));
    let fired = false;
    while (machine.timers.next <= upTo) {
      await this.#makeRoom(open);
      const taken = await machine.timers.take(upTo, most);
      const keys = taken.filter((key) => machine.holds(key));
      keys.forEach(looked);
      let durable: Promise<void> | null = null;
      try {
        await loader.pinned(keys);
        durable = this.#fireKeys(open, keys, upTo);
      } catch (error) {
        machine.timers.giveBack();
        throw error;
      }
      fired ||= durable !== null;
      await durable;
    }
    return fired;
  }

  /** An await between the check of the lease and the firing would let a lost lease fire. */
  #fireKeys(open: OpenPartition, keys: readonly string[], upTo: number): Promise<void> | null {
    try {
      this.#assertOpen(open);
      return this.#groups.fire(open, keys, upTo);
    } finally {
      open.machine.state.unpin(keys);
    }
  }

  /** @throws Failure (FIRING5) */
  async #makeRoom(open: OpenPartition): Promise<void> {
    const { machine } = open;
    if (machine.quarantine.full)
      throw new Failure("quarantine_full", "timers wait until there is room in the quarantine");
    const limit = machine.operator.memoryBytes * CHANGED_BUDGETS;
    const isFilling = (part: number): boolean =>
      machine.state.changedBytes > limit / part || open.tail.bytes > TAIL_BYTES / part;
    // Without an epoch nothing can be saved. The first keys that fire take one.
    if (this.#lease.epoch === null) return;
    if (isFilling(2)) await this.#save(open);
    if (isFilling(1))
      throw new Failure("store_unavailable", "timers wait for a snapshot: see why snapshots fail, or are slow");
  }

  #assertOpen(open: OpenPartition): void {
    this.#lease.assertNotLost();
    if (open !== this.#opener.open) throw REOPENED;
    if (open.sealed) throw new Failure("line_sealed", "nothing fires on a sealed line");
  }
}
