/**
 * The life of one partition: the file to read first.
 *
 *   append  ->  admit (dedup, seq, handlers)  ->  group  ->  commit to D1  ->  settle (visible)  ->  answer
 *   alarm or full tail  ->  checkpoint: capture -> R2 -> manifest current, log cut
 *   first call after an eviction or a crash  ->  open: row and tail from D1, snapshot from R2, replay
 *
 * I1. Nothing is awaited between an event's arrival in order and its seq; groups commit one at a time, in order (LOG2).
 * I2. What a group changes is visible only after its commit is proven (LOG1); reads show committed state only.
 * I3. Events take an epoch with their first append (commit.ts), snapshots before they begin; reading needs none. Who lost it ends for good.
 * I4. Every wait of a caller has a limit, every queue a bound (LOG6); past them the answer is `busy`, never half a truth.
 */
import type { Address } from "./address.ts";
import { overspent, sharesOf } from "./budget.ts";
import { Committer } from "./committer.ts";
import { Entrance, type Admitted } from "./entrance.ts";
import { exported, type Exported } from "./export.ts";
import { Damage, Failure, messageOf } from "./errors.ts";
import { lifeOf, type Epoch, type Seq } from "./ids.ts";
import { COMMIT_WAIT_MS, FRESH_MS, LOG_BYTES, OPEN_ATTEMPTS } from "./limits.ts";
import { Marking } from "./marking.ts";
import { metered, type Metered } from "./metering.ts";
import { asked, doubtOf, wordOf } from "./freshness.ts";
import { factsOf, type Facts, type Open } from "./open.ts";
import { peek, takeEpoch } from "./opening.ts";
import { overfull } from "./overfull.ts";
import type { Opening } from "./ports.ts";
import type { QuarantinePage } from "./quarantine.ts";
import { read, scan, type Scanned } from "./reading.ts";
import { opened } from "./rates.ts";
import { recover, type Surroundings } from "./recovery.ts";
import { catchUp } from "./replay.ts";
import { behind, factsAt, markOf, rewoundText } from "./rewound.ts";
import { Room } from "./room.ts";
import { busy, WIRE_VERSION, type Slice, type SliceResult } from "./slice.ts";
import { isDrillDue } from "./policy.ts";
import { RETRY_MS, Snapshotter, type Snapshotted } from "./snapshotter.ts";
import type { Entry } from "./state.ts";
import { limited, persistent } from "./store-call.ts";
import { noteDrill, verify, type Verified } from "./verify.ts";

/** What it is opened for: snapshots alone need an epoch from the beginning. */
type Use = "reads" | "events" | "snapshots";

export class Partition {
  readonly #around: Metered;
  readonly #address: Address;
  readonly #code: string;
  readonly #perDay: number;
  readonly #commits: Committer;
  readonly #snapshots: Snapshotter;
  readonly #entrance: Entrance;
  readonly #room: Room;
  readonly #marking: Marking;
  #opened: Open | null = null;
  #opening: { readonly takes: boolean; readonly done: Promise<Open> } | null = null;
  #ended: string | null = null;
  #heardAt = 0;

  /** `logBytes`: size that the log's database may reach (room.ts). */
  constructor(bare: Surroundings, address: Address, code: string, logBytes: number = LOG_BYTES) {
    const around = metered(bare);
    this.#around = around;
    this.#address = address;
    this.#code = code;
    const fenced = (why: string): void => this.#end(why);
    const rewound = (open: Open, why: string): void => void this.#rewound(open, why);
    this.#room = new Room(logBytes, around);
    this.#marking = new Marking(around, this.#room);
    this.#snapshots = new Snapshotter(around, address, code, {
      fenced,
      damaged: (open, damage) => this.#doubt(open, damage).catch(() => undefined),
      rewound,
      saved: (open) => {
        this.#marking.saved(open);
        this.#room.freed();
      },
      unready: () => around.host.keep(this.#ready("snapshots").catch(() => this.#later())),
      pressed: () => this.#room.pressed,
    });
    const share = sharesOf(around.operator, address);
    this.#perDay = share.maxEventsPerDay;
    this.#commits = new Committer(around, code, share, {
      settled: (open, heard) => {
        this.#snapshots.schedule(open);
        if (!heard) return;
        this.#heardAt = around.clock.now();
        this.#marking.committed(open);
      },
      fenced,
      rewound,
      untaken: async () => void (this.#opening?.takes === true && (await this.#opening.done.catch(() => undefined))),
    });
    this.#entrance = new Entrance(around.clock, around.host, {
      admit: (open, slice) => this.#admit(open, slice),
      durable: (admission, limitMs) => this.#commits.durable(admission, limitMs),
    });
  }

  // ---- events in ----

  /** Takes a slice of events and answers once all of them are durable, or says that it isn't known. */
  async append(slice: Slice): Promise<SliceResult> {
    const { operator, clock } = this.#around;
    if (slice.v > WIRE_VERSION || slice.operatorVersion > operator.version) return this.#stepAside(slice);
    const waitMs = Math.max(1, Math.min(COMMIT_WAIT_MS, slice.waitMs ?? COMMIT_WAIT_MS));
    const deadline = clock.now() + waitMs;
    try {
      const open =
        this.#openFor("events") ?? (await this.#entrance.opened(slice.bytes, waitMs, () => this.#ready("events")));
      if ("tag" in open) return open;
      if (!this.#room.calm && slice.command !== true) {
        const why = await limited(clock, "D1", () => this.#room.full(), waitMs);
        if (why !== null) return busy("log_full", why, 30_000);
        this.#assertNotEnded();
        this.#marking.due();
      }
      const full = overfull(open, slice, [this.#commits.pending, this.#entrance]);
      // What would make room may be due, and its alarm lost (SNAP6).
      if (full !== null) this.#snapshots.schedule(open);
      if (full !== null) return full;
      const entered = this.#entrance.enter(open, slice, deadline);
      const admission = entered instanceof Promise ? await this.#lasting(open, entered, deadline) : entered;
      if ("tag" in admission) return admission;
      await this.#commits.durable(admission, Math.max(1, deadline - clock.now()));
      return { v: WIRE_VERSION, tag: "decided", statuses: admission.statuses, details: admission.details };
    } catch (error) {
      if (error instanceof Failure)
        return busy(error.code, error.message, error.code === "log_rewound" ? 30_000 : undefined);
      throw error;
    }
  }

  /** In the order of arrival, with the slice's keys in memory (entrance.ts). */
  #admit(open: Open, slice: Slice): Admitted {
    const unfit = slice.producer === undefined ? null : open.fold.producers.unfit(slice.producer);
    if (unfit !== null) return { v: WIRE_VERSION, tag: "unfit", ...unfit };
    if (open !== this.#opened) throw new Failure("store_unavailable", "the partition was opened anew meanwhile");
    const spent = overspent(open.fold.dedup, slice, this.#perDay, this.#around.clock.now());
    return spent ?? this.#commits.admit(open, slice);
  }

  /** CODE1: newer code asks; what is under way is finished, and the next call finds an object that runs it. */
  async #stepAside({ v, operatorVersion }: Slice): Promise<SliceResult> {
    await limited(this.#around.clock, "the log", () => this.#commits.idle(), COMMIT_WAIT_MS).catch(() => undefined);
    const why = `the caller runs version ${operatorVersion} of the operator and ${v} of the protocol, this object ${this.#around.operator.version} and ${WIRE_VERSION}`;
    this.#end(why);
    return busy("superseded", `${why}; it has stepped aside`, 100);
  }

  /** Ends this instance for good: whoever calls next finds a new one (I3). */
  #end(why: string, failure = new Failure("fenced", why)): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    this.#snapshots.stop();
    this.#entrance.close(failure);
    this.#commits.abandon(failure);
    this.#around.host.end(why);
  }

  /** D1 has less than it acknowledged to us. The next instance refuses (E2, E4 of rewound.ts). */
  #rewound(open: Open, why: string): Failure {
    const failure = new Failure("log_rewound", rewoundText(this.#around.id, why));
    if (this.#ended === null) this.#marking.refused(open);
    this.#end(why, failure);
    return failure;
  }

  // ---- opening ----

  /** The open partition. One opening at a time; what failed is tried anew by the next call. */
  async #ready(use: Use): Promise<Open> {
    for (let round = 0; round < OPEN_ATTEMPTS; round++) {
      this.#assertNotEnded();
      const open = this.#openFor(use);
      if (open !== null) return open;
      if (this.#opening === null) this.#beginOpening(use);
      const { takes, done } = this.#opening!;
      // One that was begun for another use need not do for this one, whatever becomes of it.
      if (takes || use !== "snapshots") await done;
      else await done.catch(() => undefined);
    }
    throw new Failure("store_unavailable", "the partition could not be opened for writing");
  }

  /** Whoever makes the row of a new partition takes its first epoch. */
  #openFor(use: Use): Open | null {
    const open = this.#ended === null ? this.#opened : null;
    if (open === null || open.epoch !== null || use === "reads") return open;
    return use === "events" && open.row.epoch > 0 ? open : null;
  }

  #beginOpening(use: Use): void {
    const takes = use === "snapshots" || (use === "events" && this.#opened !== null);
    const done = this.#open(use, takes).finally(() => {
      this.#opening = null;
    });
    done.catch((error: unknown) => {
      if (takes && error instanceof Failure && error.code === "fenced") this.#end(error.message);
    });
    this.#opening = { takes, done };
  }

  async #open(use: Use, takes: boolean): Promise<Open> {
    // A group that is on its way may take the epoch itself.
    if (takes) await this.#commits.idle();
    if (takes && this.#openFor("snapshots") !== null) return this.#opened!;
    const begun = this.#around.clock.now();
    const known = this.#opened;
    const opening = takes
      ? await takeEpoch(this.#around, this.#address, this.#code, known?.row.epoch === 0, () => this.#assertNotEnded())
      : await peek(this.#around, this.#address.seed);
    // What took it while D1 was asked was later than what D1 said.
    if (!takes && this.#openFor("snapshots") !== null) return this.#opened!;
    const answeredAt = this.#around.clock.now();
    const epoch = takes ? opening.row.epoch : null;
    const open = await this.#upToDate(known, opening, epoch, answeredAt - begun);
    open.rates = opened(open.rates, answeredAt - begun, opening.rows.length);
    open.row = { ...open.row, epoch: opening.row.epoch };
    open.epoch = epoch;
    this.#opened = open;
    this.#heardAt = answeredAt;
    if (use !== "reads") this.#snapshots.schedule(open);
    // Whoever only reads can't mend what it fell back from; the alarm takes an epoch.
    else if (open.renew) this.#around.host.arm(this.#around.clock.now());
    return open;
  }

  /** Who was open without an epoch needs but what was logged since. No event is taken in beside that (I1). */
  async #upToDate(known: Open | null, opening: Opening, epoch: Epoch | null, openMs: number): Promise<Open> {
    if (known === null) return recover(this.#around, opening, epoch, openMs);
    const lost = behind(markOf(factsAt(known.row, known.fold.seq)), factsAt(opening.row, opening.head));
    if (lost !== null) throw this.#rewound(known, `D1 says ${lost}`);
    const sameLog = known.fold.seq === opening.head && lifeOf(known.row.epoch) === lifeOf(opening.row.epoch);
    // A late snapshot of the writer before takes nothing from our groups. We learn of it when ours is refused for it.
    if (sameLog && (this.#commits.begun || known.row.version === opening.row.version)) return known;
    if (this.#commits.begun) this.#end(`others have written up to seq ${opening.head}, version ${opening.row.version}`);
    this.#assertNotEnded();
    this.#opened = null;
    try {
      const same = await catchUp(this.#around, known, opening);
      return same ? known : await recover(this.#around, opening, epoch, openMs);
    } catch (error) {
      this.#opened = known;
      throw error;
    }
  }

  #assertNotEnded(): void {
    if (this.#ended !== null) throw new Failure("fenced", this.#ended);
  }

  // ---- state out ----

  /** The committed state of keys, from the first on: fewer where they come to more than `maxChars`, but one at least. */
  async read(keys: readonly string[], maxChars: number = Number.POSITIVE_INFINITY): Promise<(Entry | null)[]> {
    return this.#reading((open) => read(open, keys, maxChars));
  }

  /** Committed keys in the order of their UTF-8 bytes, above `after`; stops at `limit` or at about `maxBytes`. */
  async scan(prefix: string, after: string, limit: number, maxBytes: number): Promise<Scanned> {
    return this.#reading((open) => scan(open, prefix, after, limit, maxBytes));
  }

  /** Every key that begins with the prefix, as of now (export.ts). */
  async export(prefix: string): Promise<Exported> {
    return this.#reading(async (open) => exported(open, this.#address.partition, prefix));
  }

  /** Quarantined events above `after`, in order; stops at `limit` or at about `maxChars`. */
  async quarantined(after: Seq, limit: number, maxChars: number): Promise<QuarantinePage> {
    return (await this.#current()).fold.quarantine.page(after, limit, maxChars);
  }

  async facts(): Promise<Facts> {
    return factsOf(await this.#current());
  }

  /** Reads from the open partition; once more where files were read that a later snapshot has replaced meanwhile. */
  async #reading<T>(read: (open: Open) => Promise<T>): Promise<T> {
    for (let round = 0; round < 2; round++) {
      const open = await this.#current();
      try {
        return await limited(this.#around.clock, "the states", () => read(open), COMMIT_WAIT_MS);
      } catch (error) {
        if (!(error instanceof Damage)) throw error;
        await this.#doubt(open, error);
      }
    }
    throw new Failure("store_unavailable", "the state's files are being replaced");
  }

  /** What waits for keys to be loaded. @throws Failure where they can't be */
  async #lasting(open: Open, entered: Promise<Admitted>, deadlineMs: number): Promise<Admitted> {
    const { clock } = this.#around;
    try {
      return await limited(clock, "the states", () => entered, Math.max(1, deadlineMs - clock.now()));
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await this.#doubt(open, error);
      throw new Failure("store_unavailable", `the state's files are being replaced: ${error.message}`);
    }
  }

  /**
   * A file of the state couldn't be read. Either a later snapshot has replaced it, or it is damaged: then the next instance
   * recovers without it, since what this one has in memory builds on it (SNAP4).
   *
   * @throws Failure where this instance can't go on
   */
  async #doubt(open: Open, damage: Damage): Promise<void> {
    const { clock, host, log, cache } = this.#around;
    const row = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.row());
    const known = this.#opened ?? open;
    const word = doubtOf(row, open, known, damage.object);
    if (word.tag === "rewound") throw this.#rewound(known, word.why);
    if (word.tag === "fenced") this.#end(word.why);
    this.#assertNotEnded();
    if (word.tag === "replaced") {
      if (open.epoch !== null || this.#opened !== open) return;
      if (this.#commits.begun) this.#end(`${damage.object} was replaced, or can't be read: ${damage.message}`);
      this.#opened = null;
      return;
    }
    cache.distrust(damage.object!);
    host.note("a state file is damaged", { object: damage.object, error: damage.message });
    this.#end(`${damage.object} is damaged: ${damage.message}`);
    this.#assertNotEnded();
  }

  /** Open, and as fresh as D1 says: what hasn't heard of its epoch for a while asks before it answers. */
  async #current(): Promise<Open> {
    const { clock } = this.#around;
    const open =
      this.#openFor("reads") ??
      (await limited(clock, "opening the partition", () => this.#ready("reads"), COMMIT_WAIT_MS));
    if (clock.now() - this.#heardAt < FRESH_MS) return open;
    const { epoch, row } = open;
    const before = factsAt(row, open.fold.seq);
    const known = await asked(this.#around, before.head);
    // D1 doesn't answer; or what it said is about the time before the epoch was taken.
    if (known === null || open.epoch !== epoch) return open;
    const word = wordOf(known, epoch, before, this.#commits);
    if (word.tag === "rewound") throw this.#rewound(open, word.why);
    if (word.tag === "fenced") this.#end(word.why);
    this.#assertNotEnded();
    // While what is behind catches up, or can't, it is not as fresh as D1 for anybody.
    if (word.tag === "fresh") this.#heardAt = clock.now();
    if (word.tag !== "behind") return open;
    if (this.#opened === open && this.#opening === null) this.#beginOpening("reads");
    const again = this.#opening;
    return again === null ? open : limited(clock, "opening the partition", () => again.done, COMMIT_WAIT_MS);
  }

  // ---- snapshots ----

  /** Takes a snapshot of everything that is committed now. */
  async snapshot(): Promise<Snapshotted> {
    const open = await limited(
      this.#around.clock,
      "opening the partition",
      () => this.#ready("snapshots"),
      COMMIT_WAIT_MS,
    );
    return limited(this.#around.clock, "the snapshot", () => this.#snapshots.upTo(open), COMMIT_WAIT_MS);
  }

  /** Rebuilds the state in the shadow and compares it with the live one (verify.ts). */
  async verify(): Promise<Verified> {
    const open = await this.#current();
    const { whole } = open;
    const found = await verify(this.#around, open, this.#code);
    if (found.tag === "not_rebuilt" && found.damaged !== null && open.epoch !== null && open.whole === whole)
      this.#around.host.keep(this.#snapshots.distrust(open, found.damaged));
    return found;
  }

  /** The alarm, and the cron sweep that stands in for a lost one. Never rejects (SNAP6). */
  async wake(): Promise<void> {
    const { host, counters } = this.#around;
    counters.add({ wakes: 1 });
    try {
      const open = await this.#ready("snapshots");
      this.#snapshots.schedule(open);
      await this.#snapshots.idle();
      // Also asks D1 whether all is there, where nothing was heard of it for a while.
      const { fold } = await this.#current();
      // A drill about once a day, so that what would not come back is noticed while it still is there.
      const due = isDrillDue(host.jitter(), fold.operator.snapshot.everyMs, fold.state.size);
      if (due) noteDrill(await this.verify(), host);
    } catch (error) {
      host.note("alarm failed", { error: messageOf(error) });
      this.#later();
    }
  }

  #later(): void {
    this.#around.host.arm(this.#around.clock.now() + RETRY_MS);
  }
}
