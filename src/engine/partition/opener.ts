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

/** What it is opened for: snapshots alone need an epoch from the beginning. */
export type Use = "reads" | "events" | "snapshots";

/** What the door needs of its partition, and tells it. */
export interface House {
  /** @throws Failure fenced where the instance has ended */
  assertNotEnded(): void;
  end(why: string): void;
  rewound(open: OpenPartition, why: string): Failure;
  /** D1 answered at that time. */
  opened(open: OpenPartition, use: Use, answeredAt: number): void;
  /** A file of what is open can't be read; resolves when it is known what follows. */
  doubt(open: OpenPartition, damage: Damage): Promise<void>;
  readonly groups: { readonly begun: boolean; idle(): Promise<void> };
}

export class Opener {
  readonly #around: Environment;
  readonly #address: Address;
  readonly #code: string;
  readonly #house: House;
  #open: OpenPartition | null = null;
  #opening: { readonly takes: boolean; readonly done: Promise<OpenPartition> } | null = null;

  constructor(env: Environment, address: Address, code: string, house: House) {
    this.#around = env;
    this.#address = address;
    this.#code = code;
    this.#house = house;
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
    if (open.epoch !== null) return open;
    return use === "events" && open.row.epoch > 0 && this.#follows(open) ? open : null;
  }

  /** Did this very code write last, as far as is known (CODE1)? Older code might fence by the partition's row alone. */
  #follows({ machine, whole }: OpenPartition): boolean {
    const ours = codeOf({ operatorVersion: this.#around.operator.version, code: this.#code });
    const tail = [...machine.replayedFrom];
    return tail.length > 0 ? tail.every((code) => code === ours) : whole === null || codeOf(whole) === ours;
  }

  /** @throws Failure; Damage where the files behind it can't be read */
  async ready(use: Use): Promise<OpenPartition> {
    for (let round = 0; round < OPEN_ATTEMPTS; round++) {
      this.#house.assertNotEnded();
      const open = this.openFor(use);
      if (open !== null) return open;
      if (this.#opening === null && this.#open?.machine.dedup.whole === false) {
        await this.#remember(this.#open);
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

  /** Settles when the opening has ended that takes an epoch; null: none is on its way. */
  taking(): Promise<unknown> | null {
    return this.#opening?.takes === true ? this.#opening.done.catch(() => undefined) : null;
  }

  #begin(use: Use): void {
    const takes = use === "snapshots" || (use === "events" && this.#open !== null);
    const done = this.#enter(use, takes).finally(() => {
      this.#opening = null;
    });
    done.catch((error: unknown) => {
      if (takes && error instanceof Failure && error.code === "fenced") this.#house.end(error.message);
    });
    this.#opening = { takes, done };
  }

  async #enter(use: Use, takes: boolean): Promise<OpenPartition> {
    const { clock } = this.#around;
    // A group that is on its way may take the epoch itself.
    if (takes) await this.#house.groups.idle();
    if (takes && this.openFor("snapshots") !== null) return this.#open!;
    const begun = clock.now();
    const known = this.#open;
    const ended = (): void => this.#house.assertNotEnded();
    const asked = takes
      ? takeEpoch(this.#around, this.#address, this.#code, known?.row.epoch === 0, ended)
      : peek(this.#around, this.#address.seed);
    const ahead = known === null ? this.#ahead(use === "reads") : null;
    const opening = await asked;
    // What took it while D1 was asked was later than what D1 said.
    if (!takes && this.openFor("snapshots") !== null) return this.#open!;
    const answeredAt = clock.now();
    const openMs = answeredAt - begun;
    const epoch = takes ? opening.row.epoch : null;
    const env = ahead === null ? this.#around : { ...this.#around, ahead };
    const open = await (known === null
      ? recover(env, opening, epoch, openMs, use === "reads").finally(() => ahead?.close())
      : this.#upToDate(known, opening, epoch, openMs, use === "reads"));
    if (use !== "reads") await this.#remember(open);
    this.#house.assertNotEnded();
    open.rates = withOpening(open.rates, openMs, opening.rows.length);
    open.row = { ...open.row, epoch: opening.row.epoch };
    open.epoch = epoch;
    // Other code may migrate what the code of the snapshot could not.
    open.renew ||= open.whole?.unmigrated !== undefined && open.whole.code !== this.#code;
    this.#open = open;
    this.#house.opened(open, use, answeredAt);
    return open;
  }

  /** While D1 is asked: what of the files will be asked for, if they are those that the mark knows. */
  #ahead(apart: boolean): Prefetch | null {
    const files = this.#around.host.highWaterMark()?.files;
    return files === undefined ? null : new Prefetch(this.#around, files, apart);
  }

  /** Reads leave ids in the files where they are many (FILE2 of file-reader.ts); nothing else can do without. */
  async #remember(open: OpenPartition): Promise<void> {
    const { machine, loader } = open;
    if (machine.dedup.whole) return;
    try {
      await loader.stored!.loadIds(machine);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await this.#house.doubt(open, error);
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
    const { groups } = this.#house;
    const { row, head } = opening;
    const lost = behind(highWaterMark(logFacts(known.row, known.machine.seq)), logFacts(row, head));
    if (lost !== null) throw this.#house.rewound(known, `D1 says ${lost}`);
    const sameLog = known.machine.seq === head && incarnationOf(known.row.epoch) === incarnationOf(row.epoch);
    // Of the late snapshot we learn when ours is refused for it (OPEN3).
    if (sameLog && (groups.begun || known.row.version === row.version)) return known;
    if (groups.begun) this.#house.end(`others have written up to seq ${head}, version ${row.version}`);
    this.#house.assertNotEnded();
    this.#open = null;
    try {
      const same = await catchUp(this.#around, known, opening);
      return same ? known : await recover(this.#around, opening, epoch, openMs, apart);
    } catch (error) {
      this.#house.assertNotEnded();
      this.#open = known;
      throw error;
    }
  }
}
