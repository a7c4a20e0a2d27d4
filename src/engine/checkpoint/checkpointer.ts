/**
 * Scheduling: when a partition takes its snapshots, one at a time, and what follows from each.
 *
 * SCHEDULE1. A snapshot that is due is taken, else the alarm is armed for it (SNAP6, SNAP7). A failed snapshot is tried
 *     again, less and less often.
 * SCHEDULE2. The open partition learns of a snapshot only when the snapshot is known to be current (SNAP2).
 * SCHEDULE3. Garbage collection deletes the files that a snapshot displaced. Nothing waits for it (SNAP10).
 */
import type { Address } from "../operator/routing.ts";
import { checkpoint } from "./checkpoint.ts";
import { Damage, Failure, messageOf } from "../base/errors.ts";
import { StateMachine } from "../state/state-machine.ts";
import { seq, type Epoch } from "../base/ids.ts";
import { TAIL_BYTES } from "../base/limits.ts";
import { openingBytes, readManifest, snapshotCounts, stateFiles, type Manifest } from "../snapshot/manifest.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { reachedNames, readOrNull } from "../snapshot/rollback-pins.ts";
import type { PartitionRow } from "../base/records.ts";
import { filesKept, predictRecovery, snapshotAt } from "./policy.ts";
import { collectGarbage } from "./garbage-collection.ts";
import type { Damaged } from "./verify.ts";
import { finishCapture, beginCapture, type Counted, type Captured } from "../snapshot/capture.ts";
import type { Totals } from "../state/keyed-state.ts";
import { sleep } from "../base/retry.ts";
import type { Lease } from "../log/lease.ts";
import { rewound } from "../recovery/rewind-check.ts";
import { StoredState } from "../snapshot/stored-state.ts";
import type { Environment } from "../operator/environment.ts";

export type Snapshotted =
  | { readonly tag: "current"; readonly manifest: Manifest }
  | { readonly tag: "nothing" }
  | { readonly tag: "failed"; readonly why: string };

/** Calls from the checkpointer to the partition: news of snapshots, and questions. */
interface SnapshotEvents {
  /** A file that holds state can't be read. Resolves when the consequences are known. Never rejects. */
  damaged(open: OpenPartition, damage: Damage): Promise<void>;
  /** A snapshot of everything that is committed now begins. Resolves when it may write to R2. */
  attempted(open: OpenPartition): Promise<void>;
  saved(open: OpenPartition, manifest: Manifest): void;
  /** A snapshot is due, and there is no epoch yet. Call `schedule` when the epoch is taken. */
  unready(): void;
  /**
   * Returns true if the log's database is above its limit. Then a snapshot cuts all that is archived (SPACE4 of
   * disk-space.ts).
   */
  overLimit(): boolean;
}

export class Checkpointer {
  readonly #env: Environment;
  readonly #placed: Manifest["placed"] & object;
  readonly #lease: Lease;
  readonly #events: SnapshotEvents;
  #running: Promise<Snapshotted> | null = null;
  #attempt = 0;
  #failures = 0;
  #failedAt = 0;
  #collecting = false;
  #collectedAt: number;
  /** The name after which the next garbage collection resumes. */
  #collectAfter = "";

  constructor(env: Environment, { seed, database, partitions }: Address, lease: Lease, events: SnapshotEvents) {
    this.#env = env;
    this.#placed = { seed, database, ...(partitions === undefined ? {} : { partitions }) };
    this.#lease = lease;
    this.#events = events;
    this.#collectedAt = env.clock.now();
  }

  /**
   * Takes a snapshot of everything that is committed now. A snapshot that is under way may have begun too early for
   * that.
   *
   * @throws Failure fenced
   */
  async upTo(open: OpenPartition): Promise<Snapshotted> {
    const wanted = open.machine.seq;
    const running = await this.#running;
    const does = running?.tag === "failed" || (running?.tag === "current" && running.manifest.seq >= wanted);
    const result = does ? running : await this.#take(open);
    // If this instance ended during the snapshot, its failure says nothing about the partition. The next instance takes
    // the snapshot.
    if (result.tag === "failed" && this.#lease.lost) throw new Failure("fenced", `the object has ended: ${result.why}`);
    return result;
  }

  /** Settles when no snapshot is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Takes the snapshot that is due, or arms the alarm for it. */
  schedule(open: OpenPartition): void {
    const { clock, host, operator } = this.#env;
    if (this.#lease.lost || this.#running !== null) return;
    const lastMs = open.row.manifest === null || open.whole === null ? 0 : Date.parse(open.whole.at);
    const facts = {
      tailEvents: open.tail.events,
      tailBytes: open.tail.bytes,
      tailSinceMs: open.tail.sinceMs,
      lastMs,
      changedBytes: open.machine.state.changedBytes,
      openings: open.row.epoch - (open.whole?.epoch ?? 0),
      ...predictRecovery({
        openingBytes: open.whole === null ? 0 : openingBytes(open.whole),
        tailEvents: open.tail.events,
        tailBytes: open.tail.bytes,
        rates: open.rates,
      }),
    };
    const due = open.renew ? 0 : snapshotAt(facts, { ...operator.snapshot, memoryBytes: operator.memoryBytes });
    // Compute the delay now, not at the failure: the events since then may not allow so long a wait.
    const retryAt = this.#failures === 0 ? 0 : this.#failedAt + retryMs(this.#failures, this.#events.overLimit(), open);
    const at = due === null ? null : Math.max(due, retryAt);
    if (at === null || at > clock.now()) host.arm(earlier(at, open.sealed ? null : wakeAt(open)));
    else if (this.#lease.epoch === null) this.#events.unready();
    else host.keep(this.#take(open).then(() => undefined));
  }

  #take(open: OpenPartition): Promise<Snapshotted> {
    this.#running ??= this.#attempted(open).finally(() => {
      this.#running = null;
      this.#next(open);
    });
    return this.#running;
  }

  /** An exception is a failure like any other: the snapshot is tried again, less and less often (SCHEDULE1). */
  async #attempted(open: OpenPartition): Promise<Snapshotted> {
    const { row } = open;
    try {
      return await this.#takeOne(open);
    } catch (error) {
      const why = `the snapshot failed: ${messageOf(error)}`;
      // The row already names the new snapshot, and memory may match neither snapshot. The next instance opens on the
      // new one.
      if (open.row !== row) this.#lease.fence(`adopting a snapshot failed: ${messageOf(error)}`);
      this.#failed(why);
      return { tag: "failed", why };
    }
  }

  #failed(why: string): void {
    const { clock, host, counters } = this.#env;
    counters.add({ snapshotFailures: 1 });
    this.#failedAt = clock.now();
    this.#failures += 1;
    host.note("snapshot failed", { why, attempt: this.#attempt - 1 });
  }

  /** Nobody hears of an exception here, so the alarm must be armed. */
  #next(open: OpenPartition): void {
    try {
      this.schedule(open);
    } catch (error) {
      const { clock, host } = this.#env;
      host.note("snapshot failed", {
        why: `scheduling the next snapshot failed: ${messageOf(error)}`,
        attempt: this.#attempt,
      });
      host.arm(clock.now() + RETRY_MS);
    }
  }

  async #takeOne(open: OpenPartition): Promise<Snapshotted> {
    const { id, clock, host, counters } = this.#env;
    if (open.machine.seq === 0) return { tag: "nothing" };
    // If no event is new, the last snapshot is the result.
    if (open.whole !== null && open.machine.seq === open.whole.seq && !open.renew) {
      this.#maybeCollectGarbage(open, false);
      return { tag: "current", manifest: open.whole };
    }
    const ground = {
      row: open.row,
      epoch: this.#lease.epoch!,
      whole: open.whole,
      placed: this.#placed,
      attempt: this.#attempt++,
      dedupSinceMs: open.machine.dedup.sinceMs,
      stored: open.loader.stored,
      rates: open.rates,
      quarantined: open.machine.quarantine.events,
      pressed: this.#events.overLimit(),
      ended: () => this.#lease.lost,
    };
    const captured = await inTurns(finishCapture(this.#capture(open)), () => sleep(clock, 0));
    await this.#events.attempted(open);
    const result = await checkpoint(this.#env, ground, captured);
    if (result.tag === "fenced") {
      this.#lease.fence(result.why);
      return { tag: "failed", why: result.why };
    }
    if (result.tag === "failed") {
      // If the damage ends the instance, the callers hear of that end.
      if (result.damage !== undefined) await this.#events.damaged(open, result.damage);
      const { version } = result.row ?? open.row;
      // If D1's manifest version is lower than ours, D1 was restored to an older point (rewind-check.ts).
      if (version < open.row.version)
        this.#lease.lose(
          rewound(id, `D1 is below its high-water mark: manifest number ${version} instead of ${open.row.version}`),
        );
      else if (result.row !== undefined && version > open.row.version)
        await this.#adoptUnheard(open, result.row).catch((error: unknown) =>
          host.note("a promoted snapshot is not read yet", { error: messageOf(error) }),
        );
      this.#failed(result.why);
      return result;
    }
    counters.add(snapshotCounts(result.manifest));
    this.#failures = 0;
    open.row = result.row;
    this.#events.saved(open, result.manifest);
    open.renew = false;
    if (captured.base === 0) this.#recount(open, captured.totals, result.counted);
    await this.#adopt(open, result.manifest, result.stored, result.archivedBytes);
    this.#maybeCollectGarbage(open, result.manifest.kind === "full");
    return { tag: "current", manifest: result.manifest };
  }

  /**
   * Applies retention and deletes the files that crashes left behind (SNAP10), once for each generation and once an
   * hour. While the current snapshot isn't known to be intact, all older snapshots count, so nothing is collected.
   */
  #maybeCollectGarbage(open: OpenPartition, full: boolean): void {
    const now = this.#env.clock.now();
    if (this.#collecting || this.#lease.lost || open.whole?.attempt !== open.row.attempt) return;
    if (!full && now - this.#collectedAt < GARBAGE_MS) return;
    this.#collectedAt = now;
    this.#collecting = true;
    this.#env.host.keep(this.#collectGarbage(this.#lease.epoch!).finally(() => (this.#collecting = false)));
  }

  async #collectGarbage(epoch: Epoch): Promise<void> {
    const collected = await collectGarbage(this.#env, epoch, () => this.#lease.lost, this.#collectAfter);
    if (collected.tag === "fenced") return this.#lease.fence(collected.why);
    const { tag, ...facts } = collected;
    if (collected.tag === "collected") this.#collectAfter = collected.next;
    if (collected.tag === "skipped" || collected.files + collected.archives > 0)
      this.#env.host.note(tag === "collected" ? "garbage collected" : "garbage collection skipped", facts);
  }

  /**
   * A verification found damage while all of the state is still in memory, so the next snapshot is full and due at
   * once. If the current generation is corrupt, it no longer counts (SNAP4). If an older generation or an archive is
   * corrupt, the current generation takes its place.
   */
  async distrust(open: OpenPartition, damaged: Damaged): Promise<void> {
    const { whole } = open;
    await this.#running;
    // A snapshot that was under way may have begun a new generation. A delta belongs to the old one.
    if (this.#lease.lost || generationOf(open.whole) !== generationOf(whole)) return;
    const { previous } = open.row;
    if (damaged === "current") open.whole = previous === null ? null : readOrNull(previous, this.#env.codec);
    open.renew = true;
    this.schedule(open);
  }

  /** Captures the content of the next snapshot, and decides which files it builds on (SNAP2, SNAP4, CODE4). */
  #capture({ machine, whole, row, renew, loader: { stored } }: OpenPartition): Captured {
    const files = stored?.files ?? [];
    const again = renew || whole?.attempt !== row.attempt || whole.operatorVersion !== this.#env.operator.version;
    const kept = again ? 0 : filesKept(whole);
    const base = kept === 0 ? 0 : files[kept - 1]!.footer.seq;
    return beginCapture(machine, seq(base), kept, files.length - kept);
  }

  /** An earlier attempt of ours took effect unheard. Later snapshots build on it (SNAP2). */
  async #adoptUnheard(open: OpenPartition, row: PartitionRow): Promise<void> {
    const { codec } = this.#env;
    const manifest = row.manifest === null ? null : readManifest(row.manifest, codec.crc32);
    const stored = manifest === null ? null : await this.#openedAfterwards(manifest, row.seed);
    if (manifest !== null) this.#env.counters.add(snapshotCounts(manifest));
    open.row = row;
    // The size of its archive isn't known here, so the tail counts as too large until the next snapshot.
    if (manifest !== null) await this.#adopt(open, manifest, stored!, 0);
    this.#failures = 0;
  }

  /** Opens the files of a snapshot that took effect unheard. Everything in them except states is already in memory. */
  async #openedAfterwards(manifest: Manifest, seed: number): Promise<StoredState> {
    try {
      // A snapshot with a distrusted file must not become the older generation with the next snapshot (SNAP4).
      const doubted = this.#env.cache.distrusted(stateFiles(manifest).map(({ name }) => name));
      if (doubted.length > 0) throw new Damage(`${doubted.join(", ")} was found corrupt before`);
      return await StoredState.open(this.#env, manifest, new StateMachine(this.#env.operator, seed), true);
    } catch (error) {
      // Nothing can be built on this snapshot, or beside it. The next instance recovers without it.
      if (error instanceof Damage) {
        if (error.object !== null) this.#env.cache.distrust(error.object);
        this.#lease.fence(`manifest ${manifest.number} is current, but can't be read: ${error.message}`);
      }
      throw error;
    }
  }

  /** A full snapshot has counted all keys, so its totals replace the running ones. */
  #recount({ machine }: OpenPartition, believed: Totals, counted: Counted): void {
    const truth = { ...counted, exact: true };
    if (counted.unmigrated.keys > 0)
      this.#env.host.note("keys can't be migrated", { keys: counted.unmigrated.keys, seq: machine.seq });
    const same = believed.keys === truth.keys && believed.size === truth.size;
    if (believed.exact && !(same && String(believed.digest) === String(truth.digest)))
      this.#env.host.note("the state differs from its counters", { seq: machine.seq, keys: truth.keys });
    machine.state.correct(believed, truth);
  }

  async #adopt(open: OpenPartition, manifest: Manifest, stored: StoredState, archivedBytes: number): Promise<void> {
    const { clock, codec, cache } = this.#env;
    open.covered(manifest, stored, archivedBytes, clock.now());
    stored.queue(open.machine);
    for (const _ of open.machine.dropSaved(manifest.seq, manifest.kind === "full")) await sleep(clock, 0);
    cache.keep(reachedNames(open.row, codec));
  }
}

/** Timers wake the partition once a second at most. They fire with their own due times. */
const TICK_MS = 1_000;

/** Returns the time at which a timer may be due, or null if none is pending. */
function wakeAt({ machine: { timers } }: OpenPartition): number | null {
  return timers.next === Number.POSITIVE_INFINITY ? null : Math.ceil(timers.next / TICK_MS) * TICK_MS;
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);

/** The name of the full file that the generation begins with. */
const generationOf = (manifest: Manifest | null): string | null =>
  manifest === null ? null : (manifest.chain?.[0] ?? manifest.snapshot).name;

/** Time between two garbage collections of one generation. Each costs two statements and a listing or two. */
export const GARBAGE_MS = 3_600_000;

/** Delay before a failed snapshot is tried again. The delay doubles, up to 16 minutes. */
export const RETRY_MS = 30_000;

/**
 * The delay stays short while the log or the memory is half full: when R2 is back, only a snapshot lets events in again
 * (LOG6).
 */
function retryMs(failures: number, filling: boolean, { tail, machine }: OpenPartition): number {
  const pressed = filling || tail.bytes > TAIL_BYTES / 2 || machine.state.changedBytes > machine.operator.memoryBytes;
  return pressed ? RETRY_MS : RETRY_MS * 2 ** Math.min(failures - 1, 5);
}

async function inTurns<T>(steps: Generator<void, T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await pause();
  }
}
