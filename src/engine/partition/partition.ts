/**
 * The life of one partition: the file to read first.
 *
 *   append  ->  admit (dedup, seq, handlers)  ->  group  ->  commit to D1  ->  settle (visible)  ->  answer
 *   alarm or full tail  ->  checkpoint: capture -> R2 -> manifest current, log cut
 *   first call after an eviction or a crash  ->  open: row and tail from D1, snapshot from R2, replay
 *
 * PARTITION1. Nothing is awaited between an event's arrival in order and its seq; groups commit one at a time, in order (LOG2).
 * PARTITION2. What a group changes is visible only after its commit is proven (LOG1); reads show committed state only.
 * PARTITION3. Events take an epoch with their first append (append.ts), snapshots before they begin; reading needs none. Who lost it ends for good.
 * PARTITION4. Every wait of a caller has a limit, every queue a bound (LOG6); past them the answer is `busy`, never half a truth.
 */
import type { Address } from "../operator/routing.ts";
import { isHeld } from "../base/aside.ts";
import { overQuota, quotaOf } from "./quota.ts";
import { GroupCommit } from "./group-commit.ts";
import { Opener, type Use } from "./opener.ts";
import { AdmissionQueue, type Admitted } from "./admission.ts";
import { exported, type Exported } from "./reads.ts";
import { Damage, Failure, messageOf } from "../base/errors.ts";
import type { Seq } from "../base/ids.ts";
import { COMMIT_WAIT_MS, FRESH_MS, LOG_BYTES, OPEN_ATTEMPTS } from "../base/limits.ts";
import { HighWaterMarkWriter } from "./high-water-mark.ts";
import { metered } from "./metering.ts";
import type { Environment } from "../recovery/environment.ts";
import { explainHead, judgeDamage } from "./freshness.ts";
import { judgeRead } from "../log/fence.ts";
import { factsOf, type PartitionFacts, type OpenPartition } from "../recovery/open-partition.ts";
import { backpressure } from "./backpressure.ts";
import type { QuarantineGroup, QuarantinePage, SetAside, Wanted } from "../state/quarantine.ts";
import { read, scan, type Scanned } from "./reads.ts";
import type { Surroundings } from "../recovery/environment.ts";
import { logFacts } from "../log/fence.ts";
import { rewoundText } from "../recovery/rewind-check.ts";
import { DiskSpace } from "./disk-space.ts";
import { busy, WIRE_VERSION, type AppendRequest, type AppendResponse } from "./protocol.ts";
import { isDrillDue } from "../checkpoint/policy.ts";
import { RETRY_MS, Checkpointer, type Snapshotted } from "../checkpoint/checkpointer.ts";
import type { Entry } from "../state/keyed-state.ts";
import { limited, persistent } from "../base/retry.ts";
import { noteDrill, verify, type Verified } from "../checkpoint/verify.ts";

const ANEW = new Failure("store_unavailable", "the partition was opened anew while keys were loaded");

export class Partition {
  readonly #around: Environment;
  readonly #address: Address;
  readonly #code: string;
  readonly #perDay: number;
  readonly #commits: GroupCommit;
  readonly #snapshots: Checkpointer;
  readonly #entrance: AdmissionQueue;
  readonly #door: Opener;
  readonly #room: DiskSpace;
  readonly #marking: HighWaterMarkWriter;
  #ended: string | null = null;
  #heardAt = 0;

  /** `logBytes`: size that the log's database may reach (disk-space.ts). */
  constructor(bare: Surroundings, address: Address, code: string, logBytes: number = LOG_BYTES) {
    const env = metered({ ...bare, code });
    this.#around = env;
    this.#address = address;
    this.#code = code;
    const fenced = (why: string): void => this.#end(why);
    const rewound = (open: OpenPartition, why: string): void => void this.#rewound(open, why);
    this.#room = new DiskSpace(logBytes, env);
    this.#marking = new HighWaterMarkWriter(env, this.#room);
    this.#snapshots = new Checkpointer(env, address, code, {
      fenced,
      damaged: (open, damage) => this.#doubt(open, damage).catch(() => undefined),
      rewound,
      saved: (open, manifest) => {
        this.#marking.saved(open, manifest);
        this.#room.freed();
      },
      unready: () => env.host.keep(this.#door.ready("snapshots").catch(() => this.#later())),
      overLimit: () => this.#room.overLimit,
    });
    const share = quotaOf(env.operator, address);
    this.#perDay = share.maxEventsPerDay;
    this.#commits = new GroupCommit(env, code, share.maxKeys, {
      settled: (open, heard) => {
        this.#snapshots.schedule(open);
        if (!heard) return;
        this.#heardAt = env.clock.now();
        this.#marking.committed(open);
      },
      fenced,
      rewound,
      taking: () => this.#door.taking(),
    });
    this.#door = new Opener(env, address, code, {
      assertNotEnded: () => this.#assertNotEnded(),
      end: fenced,
      rewound: (open, why) => this.#rewound(open, why),
      doubt: (open, damage) => this.#doubt(open, damage),
      opened: (open, use, answeredAt) => this.#welcome(open, use, answeredAt),
      groups: this.#commits,
    });
    this.#entrance = new AdmissionQueue(env.clock, env.host, {
      admit: (open, slice) => this.#admit(open, slice),
      durable: (admission, limitMs) => this.#commits.durable(admission, limitMs),
    });
  }

  // ---- events in ----

  /** Takes a slice of events and answers once all of them are durable, or says that it isn't known. */
  async append(slice: AppendRequest): Promise<AppendResponse> {
    const { operator, clock } = this.#around;
    if (slice.v > WIRE_VERSION || slice.operatorVersion > operator.version) return this.#stepAside(slice);
    const waitMs = Math.max(1, Math.min(COMMIT_WAIT_MS, slice.waitMs ?? COMMIT_WAIT_MS));
    const deadline = clock.now() + waitMs;
    try {
      const open =
        this.#door.openFor("events") ??
        (await this.#entrance.opened(slice.bytes, waitMs, () => this.#door.ready("events")));
      if ("tag" in open) return open;
      if (!this.#room.hasRoom && slice.command !== true) {
        const why = await limited(clock, "D1", () => this.#room.full(), waitMs);
        if (why !== null) return busy("log_full", why, 30_000);
        this.#assertNotEnded();
        this.#marking.due();
      }
      const full = backpressure(open, slice, [this.#commits.pending, this.#entrance]);
      // What would make room may be due, and its alarm lost (SNAP6).
      if (full !== null) this.#snapshots.schedule(open);
      if (full !== null) return full;
      const entered = this.#entrance.enter(open, slice, deadline);
      const admission = entered instanceof Promise ? await this.#lasting(open, entered, deadline) : entered;
      if ("tag" in admission) return admission;
      await this.#commits.durable(admission, Math.max(1, deadline - clock.now()));
      return { v: WIRE_VERSION, tag: "decided", statuses: admission.statuses, details: admission.details };
    } catch (error) {
      if (error === ANEW && clock.now() < deadline) return this.append({ ...slice, waitMs: deadline - clock.now() });
      if (error instanceof Failure)
        return busy(error.code, error.message, error.code === "log_rewound" ? 30_000 : undefined);
      throw error;
    }
  }

  /** In the order of arrival, with the slice's keys in memory (admission.ts). */
  #admit(open: OpenPartition, slice: AppendRequest): Admitted {
    const unfit = slice.producer === undefined ? null : open.machine.producers.unfit(slice.producer);
    if (unfit !== null) return { v: WIRE_VERSION, tag: "unfit", ...unfit };
    if (open !== this.#door.open) throw ANEW;
    const { operator, clock } = this.#around;
    const spent = overQuota(open.machine.dedup, slice, this.#perDay, operator.dedup.maxIds, clock.now());
    return spent ?? this.#commits.admit(open, slice);
  }

  /** CODE1: newer code asks; what is under way is finished, and the next call finds an object that runs it, unless the platform keeps
   *  this object on its code (aside.ts). */
  async #stepAside({ v, operatorVersion }: AppendRequest): Promise<AppendResponse> {
    const { clock, host, operator } = this.#around;
    const ours = { code: this.#code, operatorVersion: operator.version };
    const why = `the caller runs version ${operatorVersion} of the operator and ${v} of the protocol, this object ${operator.version} and ${WIRE_VERSION}`;
    if (isHeld(host.aside(), ours, clock.now()))
      return busy(
        "object_older",
        `${why}; it stepped aside, and the platform started the same code again, as in a gradual deployment: finish the deployment or roll it back`,
        10_000,
      );
    await limited(clock, "the log", () => this.#commits.idle(), COMMIT_WAIT_MS).catch(() => undefined);
    if (this.#ended === null) host.keepAside({ v: 1, ...ours, atMs: clock.now() });
    this.#end(why);
    return busy("superseded", `${why}; it has stepped aside`, 100);
  }

  /** Ends this instance for good: whoever calls next finds a new one (PARTITION3). */
  #end(why: string, failure = new Failure("fenced", why)): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    this.#snapshots.stop();
    this.#entrance.close(failure);
    this.#commits.abandon(failure);
    this.#door.forget();
    this.#around.host.end(why);
  }

  /** D1 has less than it acknowledged to us. The next instance refuses (REWIND2, REWIND4 of rewind-check.ts). */
  #rewound(open: OpenPartition, why: string): Failure {
    const failure = new Failure("log_rewound", rewoundText(this.#around.id, why));
    if (this.#ended === null) this.#marking.refused(open);
    this.#end(why, failure);
    return failure;
  }

  #welcome(open: OpenPartition, use: Use, answeredAt: number): void {
    this.#heardAt = answeredAt;
    if (use !== "reads") this.#snapshots.schedule(open);
    // Whoever only reads can't mend what it fell back from; the alarm takes an epoch.
    else if (open.renew) this.#around.host.arm(this.#around.clock.now());
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

  /** Every key that begins with the prefix, as of now (reads.ts). */
  async export(prefix: string): Promise<Exported> {
    return this.#reading(async (open) => exported(open, this.#address.partition, prefix));
  }

  /** The wanted ones of the quarantined events above `after`, in order; stops at `limit` or at about `maxChars`. */
  async quarantined(after: Seq, limit: number, maxChars: number, wanted?: Wanted): Promise<QuarantinePage> {
    return (await this.#current()).machine.quarantine.page(after, limit, maxChars, wanted);
  }

  async quarantineGroups(): Promise<QuarantineGroup[]> {
    return (await this.#current()).machine.quarantine.groups();
  }

  /** What became of an event that was set aside; null: nothing is known of it. */
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

  /** Reads from the open partition; once more where files were read that a later snapshot has replaced meanwhile. */
  async #reading<T>(read: (open: OpenPartition) => Promise<T>): Promise<T> {
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
  async #lasting(open: OpenPartition, entered: Promise<Admitted>, deadlineMs: number): Promise<Admitted> {
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
  async #doubt(open: OpenPartition, damage: Damage): Promise<void> {
    const { clock, host, log, cache } = this.#around;
    const row = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.row());
    const known = this.#door.open ?? open;
    const word = judgeDamage(row, open, known, damage.object);
    if (word.tag === "rewound") throw this.#rewound(known, word.why);
    if (word.tag === "fenced") this.#end(word.why);
    this.#assertNotEnded();
    if (word.tag === "replaced") {
      if (open.epoch !== null || this.#door.open !== open) return;
      if (this.#commits.begun) this.#end(`${damage.object} was replaced, or can't be read: ${damage.message}`);
      this.#door.forget();
      return;
    }
    cache.distrust(damage.object!);
    host.note("a state file is damaged", { object: damage.object, error: damage.message });
    this.#end(`${damage.object} is damaged: ${damage.message}`);
    this.#assertNotEnded();
  }

  /** Open, and as fresh as D1 says: what hasn't heard of its epoch for a while asks before it answers. */
  async #current(): Promise<OpenPartition> {
    const { clock } = this.#around;
    const open =
      this.#door.openFor("reads") ??
      (await limited(clock, "opening the partition", () => this.#door.ready("reads"), COMMIT_WAIT_MS));
    if (clock.now() - this.#heardAt < FRESH_MS) return open;
    const { epoch, row } = open;
    const before = logFacts(row, open.machine.seq);
    const known = await explainHead(this.#around, before.head);
    // D1 doesn't answer; or what it said is about the time before the epoch was taken.
    if (known === null || open.epoch !== epoch) return open;
    const word = judgeRead(known, epoch, before, this.#commits);
    if (word.tag === "rewound") throw this.#rewound(open, word.why);
    if (word.tag === "fenced") this.#end(word.why);
    this.#assertNotEnded();
    // While what is behind catches up, or can't, it is not as fresh as D1 for anybody.
    if (word.tag === "fresh") this.#heardAt = clock.now();
    if (word.tag !== "behind") return open;
    return limited(clock, "opening the partition", () => this.#door.again(open), COMMIT_WAIT_MS);
  }

  // ---- snapshots ----

  /** Takes a snapshot of everything that is committed now. */
  async snapshot(): Promise<Snapshotted> {
    const open = await limited(
      this.#around.clock,
      "opening the partition",
      () => this.#door.ready("snapshots"),
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
      const open = await this.#door.ready("snapshots");
      this.#snapshots.schedule(open);
      await this.#snapshots.idle();
      // Also asks D1 whether all is there, where nothing was heard of it for a while.
      const { machine } = await this.#current();
      // A drill about once a day, so that what would not come back is noticed while it still is there.
      const due = isDrillDue(host.jitter(), machine.operator.snapshot.everyMs, machine.state.size);
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
