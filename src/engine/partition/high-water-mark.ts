/**
 * When the mark of what D1 has said is written (REWIND2 of rewind-check.ts): a row of the object's own storage each time.
 *
 * MARK1. With each snapshot, and with the first commit of an opening where the mark is older than MARK_MS: a partition that wakes up
 *     for every event would pay as much for the marks as for the log. So what is set back by more than MARK_MS is always noticed.
 * MARK2. At once where it isn't the truth any more, or disk-space.ts has found something that is to outlive the instance.
 */
import { incarnationOf, type Epoch } from "../base/ids.ts";
import { MARK_MS } from "../base/limits.ts";
import { stateFiles, type Manifest } from "../snapshot/manifest.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Clock, Host } from "../base/ports.ts";
import { logFacts, highWaterMark } from "../log/fence.ts";
import type { HighWaterMark } from "../base/records.ts";
import type { Lease } from "../log/lease.ts";
import type { DiskSpace } from "./disk-space.ts";

export class HighWaterMarkWriter {
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #room: DiskSpace;
  readonly #lease: Lease;
  /** Whose first commit it knows of. */
  #marked: Epoch | null = null;
  #found = false;

  constructor({ host, clock }: { readonly host: Host; readonly clock: Clock }, room: DiskSpace, lease: Lease) {
    this.#host = host;
    this.#clock = clock;
    this.#room = room;
    this.#lease = lease;
  }

  /** A commit was heard of. */
  committed(open: OpenPartition): void {
    if (this.#marked === this.#lease.epoch) return;
    const found = this.#found;
    this.#found = false;
    this.#marked = this.#lease.epoch;
    if (found || !isYoung(this.#host.highWaterMark(), open, this.#clock.now())) this.#keep(open, {});
  }

  /** With the next commit the mark is to hold what disk-space.ts has found. */
  due(): void {
    this.#found = true;
    this.#marked = null;
  }

  /** A snapshot became current. */
  saved(open: OpenPartition, manifest: Manifest): void {
    this.#marked = this.#lease.epoch;
    this.#keep({ row: open.row, machine: open.machine, whole: manifest }, {});
  }

  /** D1 has less than it had acknowledged. The mark tells the next instance, which refuses (E4). */
  refused(open: OpenPartition): void {
    this.#keep(open, { refused: true });
  }

  #keep(
    { row, machine, whole }: Pick<OpenPartition, "row" | "machine" | "whole">,
    more: Pick<HighWaterMark, "refused">,
  ): void {
    const kept = more.refused === true ? {} : this.#room.kept();
    const files = whole === null ? {} : { files: stateFiles(whole) };
    this.#host.keepHighWaterMark({
      ...highWaterMark(logFacts(row, machine.seq)),
      atMs: this.#clock.now(),
      ...files,
      ...kept,
      ...more,
    });
  }
}

/** A clock that was set back makes it old. */
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
