/**
 * Opens a partition, for reads, events or snapshots.
 *
 * OPEN1. One opening runs at a time. If it fails, the next call tries again.
 * OPEN2. Reads and events open without an epoch. Events take an epoch with their first append (append.ts); a snapshot
 *     takes it before it begins. If other code wrote last, events take it before they begin as well. An opening that
 *     takes an epoch waits for a group that may be taking it, and the group waits for such an opening (COMMIT3 of
 *     group-commit.ts).
 * OPEN3. Groups build on what was known when they were begun. If others have written since, the groups never get into
 *     the log, so the instance ends. A late snapshot of the writer before takes nothing from them.
 * OPEN4. Events on a sealed line are refused, after D1 was asked: the seal may be gone by then. Reads and snapshots
 *     go on.
 */
import type { Address } from "../operator/routing.ts";
import { Prefetch } from "../snapshot/prefetch.ts";
import { Damage, Failure } from "../base/errors.ts";
import { codeOf } from "../state/state-machine.ts";
import { incarnationOf, snapshotPrefix, type PartitionId } from "../base/ids.ts";
import { OPEN_ATTEMPTS } from "../base/limits.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { peek, takeEpoch } from "../recovery/open-log.ts";
import type { Opening } from "../base/records.ts";
import { OriginAhead, withFiles } from "../recovery/origin-ahead.ts";
import { withOpening } from "../recovery/recovery-rates.ts";
import { recover, type Recovering } from "../recovery/recovery.ts";
import { catchUp } from "../recovery/replay.ts";
import { behind, logFacts, highWaterMark } from "../log/fence.ts";
import type { Lease } from "../log/lease.ts";
import type { GroupCommit } from "./group-commit.ts";
import { rewound } from "../recovery/rewind-check.ts";
import type { Environment } from "../operator/environment.ts";

/** The partition was opened again while keys were loaded. The request begins again. */
export const REOPENED = new Failure("store_unavailable", "the partition was opened anew while keys were loaded");

/** The purpose of an opening. Snapshots alone need an epoch from the beginning. */
export type Use = "reads" | "events" | "snapshots";

/** Tells the partition about openings. */
export interface OpenerEvents {
  /** The partition is open. D1 answered at `answeredAt`. */
  opened(open: OpenPartition, use: Use, answeredAt: number): void;
  /** A file of the open partition can't be read. Resolves when the consequence is known. */
  damaged(open: OpenPartition, damage: Damage): Promise<void>;
}

/** Reads that were begun while D1 is asked. */
interface Ahead {
  readonly files: Prefetch | null;
  readonly origin: OriginAhead | null;
}

const NOTHING: Ahead = { files: null, origin: null };

export class Opener {
  readonly #env: Environment;
  readonly #address: Address;
  readonly #lease: Lease;
  readonly #groups: GroupCommit;
  readonly #events: OpenerEvents;
  #open: OpenPartition | null = null;
  #opening: { readonly takes: boolean; readonly done: Promise<OpenPartition> } | null = null;

  constructor(env: Environment, address: Address, lease: Lease, groups: GroupCommit, events: OpenerEvents) {
    this.#env = env;
    this.#address = address;
    this.#lease = lease;
    this.#groups = groups;
    this.#events = events;
    lease.onLost(() => this.forget());
  }

  /** Returns the open partition for any use, or null if none is open. */
  get open(): OpenPartition | null {
    return this.#open;
  }

  /**
   * Returns null if the caller must wait with `ready`. The opening that makes the row of a new partition takes its
   * first epoch.
   */
  openFor(use: Use): OpenPartition | null {
    const open = this.#open;
    if (open === null || use === "reads") return open;
    if (!open.machine.dedup.whole) return null;
    if (use === "events" && open.sealed) return null;
    if (this.#lease.epoch !== null) return open;
    return use === "events" && open.row.epoch > 0 && this.#follows(open) ? open : null;
  }

  /**
   * True if this very code wrote last, as far as is known (CODE1). Older code might fence by the partition's row alone.
   */
  #follows({ machine, whole }: OpenPartition): boolean {
    const { operator, code } = this.#env;
    const ours = codeOf({ operatorVersion: operator.version, code });
    const tail = [...machine.replayedFrom];
    return tail.length > 0 ? tail.every((one) => one === ours) : whole === null || codeOf(whole) === ours;
  }

  /** @throws Failure; Damage if files of the state can't be read */
  async ready(use: Use): Promise<OpenPartition> {
    for (let round = 0; round < OPEN_ATTEMPTS; round++) {
      this.#lease.assertNotLost();
      const open = this.openFor(use);
      if (open !== null) return open;
      if (this.#opening === null && this.#open?.machine.dedup.whole === false) {
        await this.#loadIds(this.#open);
        continue;
      }
      if (this.#opening === null) this.#begin(use);
      const { takes, done } = this.#opening!;
      // A failed opening for another use must not fail a snapshot, which begins an opening of its own.
      if (takes || use !== "snapshots") await done;
      else await done.catch(() => undefined);
    }
    throw new Failure("store_unavailable", "the partition could not be opened for writing");
  }

  /** Opens again for reading, since others have written. */
  async again(open: OpenPartition): Promise<OpenPartition> {
    if (this.#open === open && this.#opening === null) this.#begin("reads");
    return this.#opening === null ? open : this.#opening.done;
  }

  /** The next call opens again. If the instance has ended, that call hears of it. */
  forget(): void {
    this.#open = null;
  }

  #begin(use: Use): void {
    const takes = use === "snapshots" || (use === "events" && this.#open !== null && !this.#open.sealed);
    const enter = takes ? this.#lease.take(() => this.#enter(use, true)) : this.#enter(use, false);
    const done = enter.finally(() => {
      this.#opening = null;
    });
    done.catch((error: unknown) => {
      if (takes && error instanceof Failure && error.code === "fenced") this.#lease.fence(error.message);
    });
    this.#opening = { takes, done };
  }

  async #enter(use: Use, takes: boolean): Promise<OpenPartition> {
    const { clock } = this.#env;
    // A claim that was in flight may have taken the epoch.
    if (takes && this.openFor("snapshots") !== null) return this.#open!;
    const begun = clock.now();
    const known = this.#open;
    const unborn = this.#env.origin === undefined && known?.row.epoch === 0;
    let ahead: Ahead = NOTHING;
    const begunAhead = (): OriginAhead | null => ahead.origin;
    const asked = takes
      ? takeEpoch(this.#env, this.#address, unborn, this.#lease, begunAhead)
      : peek(this.#env, this.#address.seed, begunAhead);
    if (known === null) ahead = this.#ahead(use === "reads");
    const opening = await asked;
    // This instance has the epoch, perhaps only since D1 answered. So all that the answer says is whether the line is open.
    if (!takes && this.openFor("snapshots") !== null) return this.#openedAs(use, opening);
    const answeredAt = clock.now();
    const openMs = answeredAt - begun;
    const epoch = takes ? opening.row.epoch : null;
    const { files, origin } = ahead;
    const env = { ...this.#env, ...(files === null ? {} : { ahead: files }) };
    const how = { ours: epoch, openMs, apart: use === "reads", ahead: origin };
    const open = await (known === null
      ? recover(env, opening, how).finally(() => files?.close())
      : this.#upToDate(known, opening, how));
    if (use !== "reads") await this.#loadIds(open);
    this.#lease.assertNotLost();
    open.rates = withOpening(open.rates, openMs, opening.rows.length);
    open.tookEpoch(opening.row.epoch);
    if (epoch !== null) this.#lease.hold(epoch);
    // This code may be able to migrate states that the snapshot's code could not.
    open.renew ||= open.whole?.unmigrated !== undefined && open.whole.code !== this.#env.code;
    this.#open = open;
    this.#events.opened(open, use, answeredAt);
    return this.#openedAs(use, opening);
  }

  /** @throws Failure line_sealed (OPEN4) */
  #openedAs(use: Use, { open: isOpen }: Opening): OpenPartition {
    const open = this.#open!;
    open.sealed = !isOpen;
    if (use === "events" && open.sealed) throw sealed(this.#env.id);
    return open;
  }

  /**
   * Begins what the opening will need if all is as the mark says, while D1 is asked: parts of the files, and the state
   * that the line starts from, unless the files are the line's own.
   */
  #ahead(apart: boolean): Ahead {
    const { origin, host, id } = this.#env;
    const mark = host.highWaterMark();
    const files = mark?.files === undefined ? null : new Prefetch(this.#env, mark.files, apart);
    const isOwn = mark?.files?.some(({ name }) => name.startsWith(snapshotPrefix(id))) === true;
    if (origin === undefined || isOwn) return { files, origin: null };
    const start = files === null ? origin : withFiles(origin, files);
    return { files, origin: new OriginAhead(start, apart, mark === null, this.#address.seed) };
  }

  /** Reads leave ids in the files if there are many (FILE2 of file-reader.ts). Events and snapshots need them all. */
  async #loadIds(open: OpenPartition): Promise<void> {
    const { machine, loader } = open;
    if (machine.dedup.whole) return;
    try {
      await loader.stored!.loadIds(machine);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await this.#events.damaged(open, error);
      throw new Failure("store_unavailable", `the ids of earlier events can't be read: ${error.message}`);
    }
  }

  /**
   * Brings a partition that is open without an epoch up to date: it needs only what was logged since. No event is taken
   * in during that.
   */
  async #upToDate(known: OpenPartition, opening: Opening, how: Recovering): Promise<OpenPartition> {
    const { row, head } = opening;
    const lost = behind(highWaterMark(logFacts(known.row, known.machine.seq)), logFacts(row, head));
    if (lost !== null) throw this.#lease.lose(rewound(this.#env.id, `D1 is below its high-water mark: ${lost}`));
    const sameLog = known.machine.seq === head && incarnationOf(known.row.epoch) === incarnationOf(row.epoch);
    // A late snapshot shows up when D1 refuses our own snapshot because of it (OPEN3).
    if (sameLog && (this.#groups.begun || known.row.version === row.version)) return known;
    if (this.#groups.begun) this.#lease.fence(`another writer has reached seq ${head}, manifest number ${row.version}`);
    this.#lease.assertNotLost();
    this.#open = null;
    try {
      const same = await catchUp(this.#env, known, opening);
      return same ? known : await recover(this.#env, opening, how);
    } catch (error) {
      this.#lease.assertNotLost();
      this.#open = known;
      throw error;
    }
  }
}

/** Nothing is logged on the line now (OPEN4). */
export const sealed = ({ line }: PartitionId): Failure =>
  new Failure("line_sealed", `line ${line} takes no events: a promotion is under way, or another line is main`);
