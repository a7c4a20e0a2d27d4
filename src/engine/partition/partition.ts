/**
 * The life of one partition: the file to read first.
 *
 *   append  ->  admit (dedup, seq, handlers)  ->  group  ->  commit to D1  ->  settle (visible)  ->  answer
 *   alarm or full tail  ->  checkpoint: capture -> R2 -> manifest current, log cut
 *   first call after an eviction or a crash  ->  open: row and tail from D1, snapshot from R2, replay
 *
 * PARTITION1. Nothing is awaited between an event's arrival in order and its seq. Groups commit one at a time, in order
 *     (LOG2).
 * PARTITION2. A group's changes are visible only after its commit is proven (LOG1). Reads show committed state only.
 * PARTITION3. Events take an epoch with their first append (append.ts), snapshots before they begin; reads need none.
 *     An instance that lost its epoch ends for good.
 * PARTITION4. Every wait of a caller has a limit, and every queue a bound (LOG6). Past them the answer is `busy`, never
 *     half a truth.
 */
import type { Address } from "../operator/routing.ts";
import { isHeld } from "../base/aside.ts";
import { quotaOf } from "./quota.ts";
import { OpenCheck } from "./open-check.ts";
import { Opener, REOPENED, sealed, type Use } from "./opener.ts";
import { AdmissionQueue } from "./admission.ts";
import { TimerFiring } from "./firing.ts";
import { GroupCommit, type Admitted } from "./group-commit.ts";
import { exported, type Exported } from "../snapshot/reads.ts";
import { Damage, Failure, messageOf } from "../base/errors.ts";
import { type Seq, seq } from "../base/ids.ts";
import { COMMIT_WAIT_MS, FRESH_MS, LOG_BYTES } from "../base/limits.ts";
import { HighWaterMarkWriter } from "./high-water-mark.ts";
import { Lease } from "../log/lease.ts";
import { metered } from "./metering.ts";
import { explainHead, judgeDamage } from "./freshness.ts";
import { reachesFile } from "../snapshot/rollback-pins.ts";
import { judgeRead } from "../log/fence.ts";
import { factsOf, type PartitionFacts, type OpenPartition } from "../recovery/open-partition.ts";
import { backpressure } from "./backpressure.ts";
import type { QuarantineGroup, QuarantineEntries, SetAside, Wanted } from "../state/quarantine.ts";
import { chunksOf, read, scan, type Scanned } from "../snapshot/reads.ts";
import { logFacts } from "../log/fence.ts";
import { rewound } from "../recovery/rewind-check.ts";
import { DiskSpace } from "./disk-space.ts";
import { busy, WIRE_VERSION, type AppendRequest, type AppendResponse } from "./protocol.ts";
import { TakeIn, type TakeInWish, type TakenIn } from "./take-in.ts";
import { isVerificationDue } from "../checkpoint/policy.ts";
import { RETRY_MS, Checkpointer, type Snapshotted } from "../checkpoint/checkpointer.ts";
import type { KeyEntry } from "../state/keyed-state.ts";
import { limited, persistent } from "../base/retry.ts";
import { noteVerification, verify, type Verified } from "../checkpoint/verify.ts";
import type { Environment } from "../operator/environment.ts";

export class PartitionEngine {
  readonly #env: Environment;
  readonly #address: Address;
  readonly #lease = new Lease();
  readonly #disk: DiskSpace;
  readonly #mark: HighWaterMarkWriter;
  readonly #checkpoints: Checkpointer;
  readonly #groups: GroupCommit;
  readonly #opener: Opener;
  readonly #firing: TimerFiring;
  readonly #queue: AdmissionQueue;
  readonly #takeIn: TakeIn;
  readonly #repeats = new OpenCheck(() => this.#isLineOpen());
  #heardAt = 0;

  /** `logBytes` is the size that the log's database may reach (disk-space.ts). */
  constructor(bare: Omit<Environment, "counters" | "minutes">, address: Address, logBytes: number = LOG_BYTES) {
    const env = metered(bare);
    const lease = this.#lease;
    this.#env = env;
    this.#address = address;
    this.#disk = new DiskSpace(logBytes, env);
    this.#mark = new HighWaterMarkWriter(env, this.#disk, lease);
    lease.onLost((failure) => this.#markRewound(failure));
    this.#checkpoints = new Checkpointer(env, address, lease, {
      damaged: (open, damage) => this.#onDamage(open, damage).catch(() => undefined),
      attempted: (open) => this.#mark.attempted(open),
      saved: (open, manifest) => {
        this.#mark.saved(open, manifest);
        this.#disk.freed();
      },
      unready: () => env.host.keep(this.#opener.ready("snapshots").catch(() => this.#later())),
      overLimit: () => this.#disk.overLimit,
    });
    this.#groups = new GroupCommit(env, quotaOf(env.operator, address), lease, (open, heard) => {
      this.#checkpoints.schedule(open);
      if (!heard) return;
      this.#heardAt = env.clock.now();
      this.#mark.committed(open);
    });
    const full = (): Promise<string | null> => this.#disk.full();
    const save = (open: OpenPartition): Promise<Snapshotted> => this.#checkpoints.upTo(open);
    this.#takeIn = new TakeIn(env, lease, full, save, (open) => {
      this.#checkpoints.schedule(open);
      this.#heardAt = env.clock.now();
      this.#mark.committed(open);
    });
    this.#opener = new Opener(env, address, lease, this.#groups, {
      damaged: (open, damage) => this.#onDamage(open, damage),
      opened: (open, use, answeredAt) => this.#onOpened(open, use, answeredAt),
    });
    this.#firing = new TimerFiring(lease, this.#opener, this.#groups, save);
    this.#queue = new AdmissionQueue(env, lease, this.#opener, this.#groups, this.#firing);
    lease.onLost(({ message }) => env.host.end(message));
  }

  // ---- events in ----

  /** Takes a request's events. Answers once all of them are durable, or says that nothing is known of it. */
  async append(slice: AppendRequest): Promise<AppendResponse> {
    const { operator, clock } = this.#env;
    if (slice.v > WIRE_VERSION || slice.operatorVersion > operator.version) return this.#stepAside(slice);
    const waitMs = Math.max(1, Math.min(COMMIT_WAIT_MS, slice.waitMs ?? COMMIT_WAIT_MS));
    const deadline = clock.now() + waitMs;
    try {
      const open = this.#opener.openFor("events") ?? (await this.#queue.opened(slice.bytes, waitMs));
      if ("tag" in open) return open;
      if (!this.#disk.hasRoom && slice.command !== true) {
        const why = await limited(clock, "D1", () => this.#disk.full(), waitMs);
        if (why !== null) return busy("log_full", why, 30_000);
        this.#lease.assertNotLost();
        this.#mark.due();
      }
      const full = backpressure(open, slice, [this.#groups.pending, this.#queue, this.#repeats]);
      // A snapshot that would make room may be due, and its alarm lost (SNAP6).
      if (full !== null) this.#checkpoints.schedule(open);
      if (full !== null) return full;
      const entered = this.#queue.enter(open, slice, deadline);
      const admission = entered instanceof Promise ? await this.#lasting(open, entered, deadline) : entered;
      if ("tag" in admission) return admission;
      const logged = await this.#groups.durable(admission, Math.max(1, deadline - clock.now()));
      if (
        !logged &&
        !(await limited(clock, "D1", () => this.#repeats.isOpen(slice), Math.max(1, deadline - clock.now())))
      )
        throw sealed(this.#env.id);
      const { statuses, details } = admission;
      return { v: WIRE_VERSION, tag: "decided", statuses, details, stamp: open.machine.stamp };
    } catch (error) {
      if (error === REOPENED && clock.now() < deadline)
        return this.append({ ...slice, waitMs: deadline - clock.now() });
      if (error instanceof Failure)
        return busy(error.code, error.message, error.code === "log_rewound" ? 30_000 : undefined);
      throw error;
    }
  }

  /**
   * CODE1: newer code calls. This instance finishes its groups and ends, so the next call finds an object with the
   * newer code. The platform may keep this object on its code (aside.ts).
   */
  async #stepAside({ v, operatorVersion }: AppendRequest): Promise<AppendResponse> {
    const { clock, host, operator, code } = this.#env;
    const ours = { code, operatorVersion: operator.version };
    const why = `the caller runs version ${operatorVersion} of the operator and ${v} of the protocol, this object ${operator.version} and ${WIRE_VERSION}`;
    if (isHeld(host.aside(), ours, clock.now()))
      return busy(
        "object_older",
        `${why}; it ended for the newer code, but the platform started the same code again, as in a gradual deployment: finish the deployment or roll it back`,
        10_000,
      );
    await limited(clock, "the log", () => this.#groups.idle(), COMMIT_WAIT_MS).catch(() => undefined);
    if (!this.#lease.lost) host.keepAside({ v: 1, ...ours, atMs: clock.now() });
    this.#lease.fence(why);
    return busy("superseded", `${why}; the object has ended for the newer code: send it again`, 100);
  }

  /**
   * D1 has less than it acknowledged to this instance. The next instance reads the mark and refuses (rewind-check.ts).
   */
  #markRewound({ code }: Failure): void {
    if (code === "log_rewound" && this.#opener.open !== null) this.#mark.refused(this.#opener.open);
  }

  #onOpened(open: OpenPartition, use: Use, answeredAt: number): void {
    this.#heardAt = answeredAt;
    this.#mark.opened(open);
    if (use !== "reads") this.#checkpoints.schedule(open);
    // A read-only instance can't repair a fallback, so arm the alarm, which takes an epoch.
    else if (open.renew) this.#env.host.arm(this.#env.clock.now());
  }

  async #isLineOpen(): Promise<boolean> {
    const { clock, log } = this.#env;
    // The next read waits for this one, so it must end.
    const { open } = await persistent(clock, "D1", () => log.explain(seq(0)));
    if (this.#opener.open !== null) this.#opener.open.sealed = !open;
    return open;
  }

  /** True if the line was sealed when D1 was asked last. */
  get sealed(): boolean {
    return this.#opener.open?.sealed ?? false;
  }

  /** Takes in the log of the line that this one replays. @throws Failure, Damage */
  async takeIn(wish: TakeInWish): Promise<TakenIn> {
    const open = await this.#opener.ready("snapshots");
    return this.#takeIn.run(open, wish);
  }

  // ---- state out ----

  /**
   * Returns the committed state of the keys, from the first on. Returns fewer if they exceed `maxChars`, but at least
   * one.
   */
  async read(keys: readonly string[], maxChars: number = Number.POSITIVE_INFINITY): Promise<(KeyEntry | null)[]> {
    return this.#reading((open) => read(open, keys, maxChars));
  }

  /**
   * Returns committed keys above `after`, in the order of their UTF-8 bytes. Stops at `limit` or at about `maxBytes`.
   */
  async scan(prefix: string, after: string, limit: number, maxBytes: number): Promise<Scanned> {
    return this.#reading((open) => scan(chunksOf(open, prefix, after, true), prefix, after, limit, maxBytes));
  }

  /** Returns every key that begins with the prefix, as of now (reads.ts). */
  async export(prefix: string): Promise<Exported> {
    return this.#reading(async (open) => exported(open, this.#address.partition, prefix));
  }

  /** Returns the wanted quarantined events above `after`, in order. Stops at `limit` or at about `maxChars`. */
  async quarantined(after: Seq, limit: number, maxChars: number, wanted?: Wanted): Promise<QuarantineEntries> {
    return (await this.#current()).machine.quarantine.page(after, limit, maxChars, wanted);
  }

  async quarantineGroups(): Promise<QuarantineGroup[]> {
    return (await this.#current()).machine.quarantine.groups();
  }

  /** Returns the entry or the settlement of a quarantined event, or null if nothing is known of it. */
  async setAside(target: Seq): Promise<SetAside | null> {
    const { machine } = await this.#current();
    const left = machine.quarantine.inLog(target);
    if (left === undefined) return null;
    return "how" in left
      ? { tag: "settled", settled: left, outcome: machine.settledAs(left) ?? null }
      : { tag: "waits", entry: left };
  }

  async facts(): Promise<PartitionFacts> {
    return factsOf(await this.#current());
  }

  /** Reads from the open partition. Reads once more if a later snapshot has replaced the files in the meantime. */
  async #reading<T>(read: (open: OpenPartition) => Promise<T>): Promise<T> {
    for (let round = 0; round < 2; round++) {
      const open = await this.#current();
      try {
        return await limited(this.#env.clock, "the states", () => read(open), COMMIT_WAIT_MS);
      } catch (error) {
        if (!(error instanceof Damage)) throw error;
        await this.#onDamage(open, error);
      }
    }
    throw new Failure("store_unavailable", "the state's files are being replaced");
  }

  /** Waits for a request whose keys are being loaded. @throws Failure if they can't be loaded */
  async #lasting(open: OpenPartition, entered: Promise<Admitted>, deadlineMs: number): Promise<Admitted> {
    const { clock } = this.#env;
    try {
      return await limited(clock, "the states", () => entered, Math.max(1, deadlineMs - clock.now()));
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await this.#onDamage(open, error);
      throw new Failure("store_unavailable", `the state's files are being replaced: ${error.message}`);
    }
  }

  /**
   * Handles a file of the state that couldn't be read. Either a later snapshot has replaced it, or it is corrupt. If it
   * is corrupt, the next instance recovers without it, since the memory of this instance builds on it (SNAP4).
   *
   * @throws Failure if this instance must end
   */
  async #onDamage(open: OpenPartition, damage: Damage): Promise<void> {
    const { id, clock, host, log, cache } = this.#env;
    const row = await persistent(clock, "D1", () => log.row());
    const known = this.#opener.open ?? open;
    const verdict = judgeDamage(row, this.#lease.epoch, open, known, damage.object);
    if (verdict.tag === "rewound") throw this.#lease.lose(rewound(id, verdict.why));
    if (verdict.tag === "fenced") this.#lease.fence(verdict.why);
    this.#lease.assertNotLost();
    if (verdict.tag === "replaced") {
      // A file of the older generation: a delta would keep that generation as the fallback.
      if (this.#lease.epoch !== null && reachesFile(row?.previous ?? null, damage.object, this.#env.codec))
        host.keep(this.#checkpoints.distrust(known, "older"));
      if (this.#lease.epoch !== null || this.#opener.open !== open) return;
      if (this.#groups.begun) this.#lease.fence(`${damage.object} was replaced, or can't be read: ${damage.message}`);
      this.#opener.forget();
      return;
    }
    cache.distrust(damage.object!);
    host.note("a state file is corrupt", { object: damage.object, error: damage.message });
    this.#lease.fence(`${damage.object} is corrupt: ${damage.message}`);
    this.#lease.assertNotLost();
  }

  /** Returns the open partition, as fresh as D1 says. If D1 hasn't been heard for FRESH_MS, it is asked first. */
  async #current(): Promise<OpenPartition> {
    const { clock } = this.#env;
    const open =
      this.#opener.openFor("reads") ??
      (await limited(clock, "opening the partition", () => this.#opener.ready("reads"), COMMIT_WAIT_MS));
    // A line that was sealed may be open again, or replaced.
    if (clock.now() - this.#heardAt < FRESH_MS && !open.sealed) return open;
    const { row } = open;
    const { epoch } = this.#lease;
    const before = logFacts(row, open.machine.seq);
    const known = await explainHead(this.#env, before.head);
    // Either D1 doesn't answer, or its answer is about the time before the epoch was taken.
    if (known === null || this.#lease.epoch !== epoch) return open;
    open.sealed = !known.open;
    const verdict = judgeRead(known, epoch, before, this.#groups);
    if (verdict.tag === "rewound") throw this.#lease.lose(rewound(this.#env.id, verdict.why));
    if (verdict.tag === "fenced") this.#lease.fence(verdict.why);
    this.#lease.assertNotLost();
    // While a partition that is behind catches up, or fails to, every read asks D1 again.
    if (verdict.tag === "fresh") this.#heardAt = clock.now();
    if (verdict.tag !== "behind") return open;
    return limited(clock, "opening the partition", () => this.#opener.again(open), COMMIT_WAIT_MS);
  }

  // ---- snapshots ----

  /** Takes a snapshot of everything that is committed now. */
  async snapshot(): Promise<Snapshotted> {
    const open = await limited(
      this.#env.clock,
      "opening the partition",
      () => this.#opener.ready("snapshots"),
      COMMIT_WAIT_MS,
    );
    return limited(this.#env.clock, "the snapshot", () => this.#checkpoints.upTo(open), COMMIT_WAIT_MS);
  }

  /** Rebuilds the state beside the live one and compares the two (verify.ts). */
  async verify(): Promise<Verified> {
    const open = await this.#current();
    const { whole } = open;
    const found = await verify(this.#env, open);
    if (found.tag === "not_rebuilt" && found.damaged !== null && this.#lease.epoch !== null && open.whole === whole)
      this.#env.host.keep(this.#checkpoints.distrust(open, found.damaged));
    return found;
  }

  /** Runs for the alarm, and for the cron that stands in for a lost alarm. Never rejects (SNAP6). */
  async wake(): Promise<void> {
    const { clock, host, counters } = this.#env;
    counters.add({ wakes: 1 });
    try {
      if (await this.#fired()) return;
      const open = await this.#opener.ready("snapshots");
      this.#checkpoints.schedule(open);
      await this.#checkpoints.idle();
      // `#current` also asks D1 whether the log is complete, if D1 hasn't been heard for a while.
      const { machine } = await this.#current();
      // Verify about once a day, so that a state which would not recover is noticed while the live one still exists.
      const due = isVerificationDue(clock.jitter(), machine.operator.snapshot.everyMs, machine.state.size);
      if (due) noteVerification(await this.verify(), host);
    } catch (error) {
      host.note("alarm failed", { error: messageOf(error) });
      this.#later();
    }
  }

  /** Fires the timers that are due. Returns true if there were some: then nothing else is done in this turn. */
  async #fired(): Promise<boolean> {
    const { clock } = this.#env;
    const open = await this.#opener.ready("reads");
    if (open.sealed || !this.#firing.isDue(open, clock.now())) return false;
    // A snapshot makes room.
    if (!this.#disk.hasRoom && (await this.#disk.full()) !== null) return false;
    const ready = await this.#opener.ready("events");
    try {
      return await this.#firing.forAlarm(ready, clock.now());
    } catch (error) {
      if (error instanceof Damage) await this.#onDamage(ready, error);
      throw error;
    } finally {
      this.#checkpoints.schedule(this.#opener.open ?? ready);
    }
  }

  #later(): void {
    this.#env.host.arm(this.#env.clock.now() + RETRY_MS);
  }
}
