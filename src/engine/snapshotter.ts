/**
 * When a partition takes its snapshots, one at a time, and what follows from each.
 *
 * W1. What is due is taken, else the alarm is armed for it (SNAP6, SNAP7); a failure is tried again, ever more seldom.
 * W2. The open partition learns of a snapshot only when it is known to be current (SNAP2).
 */
import type { Address } from "./address.ts";
import { checkpoint, displaced, readOrNull } from "./checkpoint.ts";
import { messageOf } from "./errors.ts";
import { seq, type Seq } from "./ids.ts";
import { TAIL_BYTES } from "./limits.ts";
import { readManifest, stateFileBytes, type Manifest } from "./manifest.ts";
import type { Open } from "./open.ts";
import type { PartitionRow } from "./ports.ts";
import { chainFull, predictRecovery, snapshotAt } from "./policy.ts";
import type { Surroundings } from "./recovery.ts";
import { sweep } from "./sweep.ts";
import type { Damaged } from "./verify.ts";
import { capture } from "./snapshot.ts";
import { limited } from "./store-call.ts";

export type Snapshotted =
  | { readonly tag: "current"; readonly manifest: Manifest }
  | { readonly tag: "nothing" }
  | { readonly tag: "failed"; readonly why: string };

/** What the partition wants to know of, and what it is asked. */
export interface SnapshotEvents {
  fenced(why: string): void;
  saved(open: Open): void;
  /** D1 has less than it had acknowledged. */
  rewound(open: Open, why: string): void;
  /** The log's database is above its limit: all that is archived is to be cut (F4 of room.ts). */
  pressed(): boolean;
}

export class Snapshotter {
  readonly #around: Surroundings;
  readonly #placed: Manifest["placed"] & object;
  readonly #code: string;
  readonly #events: SnapshotEvents;
  #running: Promise<Snapshotted> | null = null;
  #attempt = 0;
  #failures = 0;
  #retryAt = 0;
  #stopped = false;

  constructor(around: Surroundings, { seed, database, partitions }: Address, code: string, events: SnapshotEvents) {
    this.#around = around;
    this.#placed = { seed, database, ...(partitions === undefined ? {} : { partitions }) };
    this.#code = code;
    this.#events = events;
  }

  /** A snapshot of everything that is committed now. One that is under way may have begun too early for that. */
  async upTo(open: Open): Promise<Snapshotted> {
    const wanted = open.fold.seq;
    const result = await this.#running;
    if (result?.tag === "failed" || (result?.tag === "current" && result.manifest.seq >= wanted)) return result;
    return this.#take(open);
  }

  /** Settles when no snapshot is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Takes the snapshot that is due, or arms the alarm for it. */
  schedule(open: Open): void {
    const { clock, host, operator } = this.#around;
    if (open.epoch === null || this.#stopped || this.#running !== null) return;
    const lastMs = open.row.manifest === null || open.whole === null ? 0 : Date.parse(open.whole.at);
    const facts = {
      tailEvents: open.tail.events,
      tailBytes: open.tail.bytes,
      tailSinceMs: open.tail.sinceMs,
      lastMs,
      ...predictRecovery({
        stateBytes: open.whole === null ? 0 : stateFileBytes(open.whole),
        tailEvents: open.tail.events,
        tailBytes: open.tail.bytes,
        rates: open.rates,
      }),
    };
    const due = open.renew ? 0 : snapshotAt(facts, operator.snapshot);
    const at = due === null ? null : Math.max(due, this.#retryAt);
    if (at === null || at > clock.now()) host.arm(at);
    else host.keep(this.#take(open).then(() => undefined));
  }

  #take(open: Open): Promise<Snapshotted> {
    this.#running ??= this.#attemptOne(open).finally(() => {
      this.#running = null;
      this.schedule(open);
    });
    return this.#running;
  }

  async #attemptOne(open: Open): Promise<Snapshotted> {
    const { clock, host, codec } = this.#around;
    if (open.fold.seq === 0) return { tag: "nothing" };
    // Nothing new since the last one: it is the snapshot.
    if (open.whole !== null && open.fold.seq === open.whole.seq && !open.renew)
      return { tag: "current", manifest: open.whole };
    const ground = {
      row: open.row,
      epoch: open.epoch!,
      whole: open.whole,
      code: this.#code,
      placed: this.#placed,
      attempt: this.#attempt++,
      dedupSinceMs: open.fold.dedup.sinceMs,
      stateSize: open.fold.state.size,
      rates: open.rates,
      pressed: this.#events.pressed(),
      ended: () => this.#stopped,
    };
    const result = await checkpoint(this.#around, ground, capture(open.fold, this.#base(open)));
    if (result.tag === "fenced") {
      this.#events.fenced(result.why);
      return { tag: "failed", why: result.why };
    }
    if (result.tag === "failed") {
      const { version } = result.row ?? open.row;
      // One below ours is none that we didn't hear of: D1 was set back (rewound.ts).
      if (version < open.row.version)
        this.#events.rewound(open, `D1 says manifest version ${version} where it had reached ${open.row.version}`);
      else if (result.row !== undefined && version > open.row.version) await this.#learn(open, result.row);
      this.#retryAt =
        clock.now() + retryMs(this.#failures++, this.#events.pressed() || open.tail.bytes > TAIL_BYTES / 2);
      host.note("snapshot failed", { why: result.why, attempt: ground.attempt });
      return result;
    }
    this.#failures = 0;
    this.#retryAt = 0;
    const gone = displaced(open.row, result.row, codec);
    open.row = result.row;
    this.#events.saved(open);
    open.renew = false;
    this.#cover(open, result.manifest, result.archivedBytes);
    await this.#remove(gone);
    if (result.manifest.kind === "full") host.keep(this.#sweep(open));
    return { tag: "current", manifest: result.manifest };
  }

  /** Once for each generation: what crashes left behind goes (SNAP10). Nothing waits for it. */
  async #sweep({ epoch }: Open): Promise<void> {
    const swept = await sweep(this.#around, epoch!, () => this.#stopped);
    if (swept !== 0)
      this.#around.host.note("state files swept", typeof swept === "number" ? { files: swept } : { why: swept });
  }

  /**
   * A drill found damage, while all of it still is in memory: the next snapshot is full and comes at once. If it is the current
   * generation that is damaged, that doesn't count any more (SNAP4); if it is an older one or an archive, the current one
   * takes its place.
   */
  async distrust(open: Open, damaged: Damaged): Promise<void> {
    const { whole } = open;
    await this.#running;
    // What was under way may have begun a new generation; a delta belongs to the old one.
    if (this.#stopped || generationOf(open.whole) !== generationOf(whole)) return;
    const { previous } = open.row;
    if (damaged === "current") open.whole = previous === null ? null : readOrNull(previous, this.#around.codec);
    open.renew = true;
    this.schedule(open);
  }

  /** What the next snapshot builds on: 0 for a full one (SNAP2, SNAP4, CODE4). */
  #base({ whole, row, renew }: Open): Seq {
    if (whole === null || renew || whole.attempt !== row.attempt) return seq(0);
    if (whole.operatorVersion !== this.#around.operator.version || chainFull(whole)) return seq(0);
    return whole.seq;
  }

  /** An earlier attempt of ours took effect without our hearing of it: from here on snapshots build on that (SNAP2). */
  async #learn(open: Open, row: PartitionRow): Promise<void> {
    const gone = displaced(open.row, row, this.#around.codec);
    open.row = row;
    // What it archived isn't known here, so the tail counts for longer than it is until the next snapshot.
    if (row.manifest !== null) this.#cover(open, readManifest(row.manifest, this.#around.codec.crc32), 0);
    await this.#remove(gone);
  }

  /** The tail begins above the manifest: what still counted as due would be due for ever, with nothing left to save. */
  #cover(open: Open, manifest: Manifest, archivedBytes: number): void {
    const { fold, tail } = open;
    open.whole = manifest;
    fold.saved(manifest.seq);
    tail.events = fold.seq - manifest.seq;
    tail.bytes = tail.events === 0 ? 0 : Math.max(0, tail.bytes - archivedBytes);
    tail.sinceMs = tail.events === 0 ? null : this.#around.clock.now();
  }

  /** What fails to go is garbage, not harm: nothing names it any more. */
  async #remove(names: readonly string[]): Promise<void> {
    const { clock, host, objects } = this.#around;
    if (names.length === 0 || this.#stopped) return;
    await limited(clock, "R2", () => objects.delete(names)).catch((error: unknown) =>
      host.note("displaced snapshot not deleted", { error: messageOf(error) }),
    );
  }
}

/** The full file that it is read from, first of all. */
const generationOf = (manifest: Manifest | null): string | null =>
  manifest === null ? null : (manifest.chain?.[0] ?? manifest.snapshot).name;

/** Before a snapshot that failed is tried again, doubling up to 16 minutes. */
export const RETRY_MS = 30_000;

/** Not longer while the log is half full: when R2 is back, it is a snapshot that lets events in again (LOG6). */
const retryMs = (failures: number, filling: boolean): number =>
  filling ? RETRY_MS : RETRY_MS * 2 ** Math.min(failures, 5);
