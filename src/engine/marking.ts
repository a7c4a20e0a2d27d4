/**
 * When the mark of what D1 has said is written (E2 of rewound.ts): a row of the object's own storage each time.
 *
 * A1. With each snapshot, and with the first commit of an opening where the mark is older than MARK_MS: a partition that wakes up
 *     for every event would pay as much for the marks as for the log. So what is set back by more than MARK_MS is always noticed.
 * A2. At once where it isn't the truth any more, or room.ts has found something that is to outlive the instance.
 */
import { lifeOf, type Epoch } from "./ids.ts";
import { MARK_MS } from "./limits.ts";
import { stateFiles, type Manifest } from "./manifest.ts";
import type { Open } from "./open.ts";
import type { Clock, Host } from "./ports.ts";
import { factsAt, markOf, type Mark } from "./rewound.ts";
import type { Room } from "./room.ts";

export class Marking {
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #room: Room;
  /** Whose first commit it knows of. */
  #marked: Epoch | null = null;
  #found = false;

  constructor({ host, clock }: { readonly host: Host; readonly clock: Clock }, room: Room) {
    this.#host = host;
    this.#clock = clock;
    this.#room = room;
  }

  /** A commit was heard of. */
  committed(open: Open): void {
    if (this.#marked === open.epoch) return;
    const found = this.#found;
    this.#found = false;
    this.#marked = open.epoch;
    if (found || !isYoung(this.#host.mark(), open, this.#clock.now())) this.#keep(open, {});
  }

  /** With the next commit the mark is to hold what room.ts has found. */
  due(): void {
    this.#found = true;
    this.#marked = null;
  }

  /** A snapshot became current. */
  saved(open: Open, manifest: Manifest): void {
    this.#marked = open.epoch;
    this.#keep({ ...open, whole: manifest }, {});
  }

  /** D1 has less than it had acknowledged. The mark tells the next instance, which refuses (E4). */
  refused(open: Open): void {
    this.#keep(open, { refused: true });
  }

  #keep({ row, fold, whole }: Pick<Open, "row" | "fold" | "whole">, more: Pick<Mark, "refused">): void {
    const kept = more.refused === true ? {} : this.#room.kept();
    const files = whole === null ? {} : { files: stateFiles(whole) };
    this.#host.keepMark({ ...markOf(factsAt(row, fold.seq)), atMs: this.#clock.now(), ...files, ...kept, ...more });
  }
}

/** A clock that was set back makes it old. */
function isYoung(mark: Mark | null, { row }: Open, nowMs: number): boolean {
  if (mark === null || mark.refused === true || mark.atMs === undefined) return false;
  const ageMs = nowMs - mark.atMs;
  return lifeOf(mark.epoch) === lifeOf(row.epoch) && mark.version === row.version && ageMs >= 0 && ageMs < MARK_MS;
}
