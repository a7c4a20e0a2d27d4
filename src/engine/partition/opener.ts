/**
 * The way into a partition: what it knows once it is open, and how it comes to know it.
 *
 * OPEN1. One opening at a time; what failed is tried anew by the next call.
 * OPEN2. Reads and events open without an epoch; events take theirs with their first append (append.ts), a snapshot takes it before it
 *     begins, and so do events where other code wrote before. An opening that takes one waits for the group that may be taking it, and the other way round (M3 of
 *     group-commit.ts).
 * OPEN3. Groups build on what was known when they were begun. Where others have written since, they never get into the log, so the instance
 *     ends; a late snapshot of the writer before takes nothing from them.
 */
import type { Address } from "../operator/routing.ts";
import { Prefetch } from "../snapshot/prefetch.ts";
import { Damage, Failure } from "../base/errors.ts";
import { codeOf } from "../state/state-machine.ts";
import { incarnationOf, type Epoch } from "../base/ids.ts";
import { OPEN_ATTEMPTS } from "../base/limits.ts";
import type { Environment } from "../recovery/environment.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { peek, takeEpoch } from "../recovery/open-log.ts";
import type { Opening } from "../base/records.ts";
import { withOpening } from "../recovery/recovery-rates.ts";
import { recover } from "../recovery/recovery.ts";
import { catchUp } from "../recovery/replay.ts";
import { behind, logFacts, highWaterMark } from "../log/fence.ts";
import type { Lease } from "../log/lease.ts";
import type { GroupCommit } from "./group-commit.ts";
import { rewound } from "../recovery/rewind-check.ts";

/** What it is opened for: snapshots alone need an epoch from the beginning. */
export type Use = "reads" | "events" | "snapshots";

/** The partition hears of openings. */
export interface OpenerEvents {
  /** D1 answered at that time. */
  opened(open: OpenPartition, use: Use, answeredAt: number): void;
  /** A file of what is open can't be read. Resolves when it is known what follows. */
  damaged(open: OpenPartition, damage: Damage): Promise<void>;
}

export class Opener {
  readonly #env: Environment;
  readonly #address: Address;
  readonly #code: string;
  readonly #lease: Lease;
  readonly #groups: GroupCommit;
  readonly #events: OpenerEvents;
  #open: OpenPartition | null = null;
  #opening: { readonly takes: boolean; readonly done: Promise<OpenPartition> } | null = null;

  constructor(
    env: Environment,
    address: Address,
    code: string,
    lease: Lease,
    groups: GroupCommit,
    events: OpenerEvents,
  ) {
    this.#env = env;
    this.#address = address;
    this.#code = code;
    this.#lease = lease;
    this.#groups = groups;
    this.#events = events;
    lease.onLost(() => this.forget());
  }

  /** What is open, for whatever use; null: nothing. */
  get open(): OpenPartition | null {
    return this.#open;
  }

  /** Null: it has to be waited for (`ready`). Whoever makes the row of a new partition takes its first epoch. */
  openFor(use: Use): OpenPartition | null {
    const open = this.#open;
    if (open === null || use === "reads") return open;
    if (!open.machine.dedup.whole) return null;
    if (this.#lease.epoch !== null) return open;
    return use === "events" && open.row.epoch > 0 && this.#follows(open) ? open : null;
  }

  /** Did this very code write last, as far as is known (CODE1)? Older code might fence by the partition's row alone. */
  #follows({ machine, whole }: OpenPartition): boolean {
    const ours = codeOf({ operatorVersion: this.#env.operator.version, code: this.#code });
    const tail = [...machine.replayedFrom];
    return tail.length > 0 ? tail.every((code) => code === ours) : whole === null || codeOf(whole) === ours;
  }

  /** @throws Failure; Damage where the files behind it can't be read */
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
      // One that was begun for another use need not do for this one, whatever becomes of it.
      if (takes || use !== "snapshots") await done;
      else await done.catch(() => undefined);
    }
    throw new Failure("store_unavailable", "the partition could not be opened for writing");
  }

  /** Others have written: opens anew for reading. */
  async again(open: OpenPartition): Promise<OpenPartition> {
    if (this.#open === open && this.#opening === null) this.#begin("reads");
    return this.#opening === null ? open : this.#opening.done;
  }

  /** The next call opens anew; where the instance has ended it hears of that. */
  forget(): void {
    this.#open = null;
  }

  #begin(use: Use): void {
    const takes = use === "snapshots" || (use === "events" && this.#open !== null);
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
    // A claim that was under way may have taken the epoch.
    if (takes && this.openFor("snapshots") !== null) return this.#open!;
    const begun = clock.now();
    const known = this.#open;
    const asked = takes
      ? takeEpoch(this.#env, this.#address, this.#code, known?.row.epoch === 0, this.#lease)
      : peek(this.#env, this.#address.seed);
    const ahead = known === null ? this.#prefetch(use === "reads") : null;
    const opening = await asked;
    // What took it while D1 was asked was later than what D1 said.
    if (!takes && this.openFor("snapshots") !== null) return this.#open!;
    const answeredAt = clock.now();
    const openMs = answeredAt - begun;
    const epoch = takes ? opening.row.epoch : null;
    const env = ahead === null ? this.#env : { ...this.#env, ahead };
    const open = await (known === null
      ? recover(env, opening, epoch, openMs, use === "reads").finally(() => ahead?.close())
      : this.#upToDate(known, opening, epoch, openMs, use === "reads"));
    if (use !== "reads") await this.#loadIds(open);
    this.#lease.assertNotLost();
    open.rates = withOpening(open.rates, openMs, opening.rows.length);
    open.tookEpoch(opening.row.epoch);
    if (epoch !== null) this.#lease.hold(epoch);
    // Other code may migrate what the code of the snapshot could not.
    open.renew ||= open.whole?.unmigrated !== undefined && open.whole.code !== this.#code;
    this.#open = open;
    this.#events.opened(open, use, answeredAt);
    return open;
  }

  /** While D1 is asked: what of the files will be asked for, if they are those that the mark knows. */
  #prefetch(apart: boolean): Prefetch | null {
    const files = this.#env.host.highWaterMark()?.files;
    return files === undefined ? null : new Prefetch(this.#env, files, apart);
  }

  /** Reads leave ids in the files where they are many (FILE2 of file-reader.ts); nothing else can do without. */
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

  /** Who was open without an epoch needs but what was logged since. No event is taken in beside that. */
  async #upToDate(
    known: OpenPartition,
    opening: Opening,
    epoch: Epoch | null,
    openMs: number,
    apart: boolean,
  ): Promise<OpenPartition> {
    const { row, head } = opening;
    const lost = behind(highWaterMark(logFacts(known.row, known.machine.seq)), logFacts(row, head));
    if (lost !== null) throw this.#lease.lose(rewound(this.#env.id, `D1 says ${lost}`));
    const sameLog = known.machine.seq === head && incarnationOf(known.row.epoch) === incarnationOf(row.epoch);
    // Of the late snapshot we learn when ours is refused for it (OPEN3).
    if (sameLog && (this.#groups.begun || known.row.version === row.version)) return known;
    if (this.#groups.begun) this.#lease.fence(`others have written up to seq ${head}, version ${row.version}`);
    this.#lease.assertNotLost();
    this.#open = null;
    try {
      const same = await catchUp(this.#env, known, opening);
      return same ? known : await recover(this.#env, opening, epoch, openMs, apart);
    } catch (error) {
      this.#lease.assertNotLost();
      this.#open = known;
      throw error;
    }
  }
}
