/**
 * Decides when the high-water mark is written (REWIND2 of rewind-check.ts). Each mark costs a row of the object's own
 * storage.
 *
 * MARK1. The mark is written when a snapshot has become current. It is also written with the first commit of
 *     an opening if the mark is older than MARK_MS. A partition that wakes up for every event would otherwise pay as
 *     much for marks as for the log. So a restore to a point more than MARK_MS older is always noticed.
 * MARK2. The mark is written at once if it is no longer true, or if disk-space.ts has found a fact that must outlive
 *     the instance.
 * MARK3. The mark is written before an attempt at a snapshot writes to R2, and the attempt waits until the mark is
 *     durable. So R2 never holds a row of the log that the mark doesn't know of. If D1 is restored to a point before
 *     such a row, the restore is noticed, even if the attempt never became current. Without this the partition would
 *     resume in the same incarnation, and no reader could tell that the attempt's rows were given up (incarnation.ts).
 * MARK4. On a line that starts from another one, an opening writes the mark if it doesn't name the state's files. They
 *     are the other line's until the line has a snapshot of its own. So the next opening knows what to fetch ahead, and
 *     if the other line is needed.
 */
import { incarnationOf, type Epoch } from "../base/ids.ts";
import { MARK_MS } from "../base/limits.ts";
import { stateFiles, type Manifest } from "../snapshot/manifest.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Clock, Host } from "../base/ports.ts";
import { limited } from "../base/retry.ts";
import { logFacts, highWaterMark } from "../log/fence.ts";
import type { HighWaterMark, StateFile } from "../base/records.ts";
import type { Lease } from "../log/lease.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { Environment } from "../operator/environment.ts";

export class HighWaterMarkWriter {
  readonly #host: Host;
  /** The line starts from another one. */
  readonly #starts: boolean;
  readonly #clock: Clock;
  readonly #room: DiskSpace;
  readonly #lease: Lease;
  /** The epoch whose first commit has been noted. */
  #marked: Epoch | null = null;
  #found = false;

  constructor({ host, clock, origin }: Environment, room: DiskSpace, lease: Lease) {
    this.#host = host;
    this.#starts = origin !== undefined;
    this.#clock = clock;
    this.#room = room;
    this.#lease = lease;
  }

  /** The partition is open (MARK4). */
  opened(open: OpenPartition): void {
    if (!this.#starts) return;
    const mark = this.#host.highWaterMark();
    const names = (files: readonly StateFile[] = []): string => files.map(({ name }) => name).join();
    if (mark === null || (mark.refused !== true && names(mark.files) !== names(filesOf(open))))
      void this.#keep(open, {});
  }

  /** D1 acknowledged a commit. */
  committed(open: OpenPartition): void {
    if (this.#marked === this.#lease.epoch) return;
    const found = this.#found;
    this.#found = false;
    this.#marked = this.#lease.epoch;
    if (found || !isYoung(this.#host.highWaterMark(), open, this.#clock.now())) void this.#keep(open, {});
  }

  /** A snapshot begins. Resolves when it may write to R2 (MARK3). */
  attempted(open: OpenPartition): Promise<void> {
    this.#marked = this.#lease.epoch;
    return limited(this.#clock, "the object's own storage", () => this.#keep(open, {}));
  }

  /** The next commit writes a mark with what disk-space.ts has found. */
  due(): void {
    this.#found = true;
    this.#marked = null;
  }

  /** A snapshot became current. */
  saved(open: OpenPartition, manifest: Manifest): void {
    this.#marked = this.#lease.epoch;
    void this.#keep({ row: open.row, machine: open.machine, whole: manifest, files: [] }, {});
  }

  /**
   * D1 has less than it had acknowledged. The next instance reads the mark and refuses (REWIND4 of rewind-check.ts).
   */
  refused(open: OpenPartition): void {
    void this.#keep(open, { refused: true });
  }

  #keep(
    open: Pick<OpenPartition, "row" | "machine" | "whole" | "files">,
    more: Pick<HighWaterMark, "refused">,
  ): Promise<void> {
    const kept = more.refused === true ? {} : this.#room.kept();
    const { row, machine } = open;
    const known = filesOf(open);
    const files = known.length === 0 ? {} : { files: known };
    return this.#host.keepHighWaterMark({
      ...highWaterMark(logFacts(row, machine.seq)),
      atMs: this.#clock.now(),
      ...files,
      ...kept,
      ...more,
    });
  }
}

const filesOf = ({ whole, files }: Pick<OpenPartition, "whole" | "files">): readonly StateFile[] =>
  whole === null ? files : stateFiles(whole);

/** A mark from the future counts as old: the clock was turned back. */
function isYoung(mark: HighWaterMark | null, { row }: OpenPartition, nowMs: number): boolean {
  if (mark === null || mark.refused === true || mark.atMs === undefined) return false;
  const ageMs = nowMs - mark.atMs;
  return (
    incarnationOf(mark.epoch) === incarnationOf(row.epoch) &&
    mark.version === row.version &&
    ageMs >= 0 &&
    ageMs < MARK_MS
  );
}
