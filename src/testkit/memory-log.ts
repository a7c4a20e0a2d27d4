/**
 * The log port in memory, with the same guards as the SQL of d1-log.ts, written independently. Both pass
 * log-contract.ts.
 */
import { Failure } from "../engine/base/errors.ts";
import type { Epoch, PartitionId, Seq, Stamp } from "../engine/base/ids.ts";
import { epoch, FIRST_LINE, partitionName, parsePartitionName, seq, stamp } from "../engine/base/ids.ts";
import { PAGE_BYTES, PAGE_ROWS, PINS, POINTS } from "../engine/base/limits.ts";
import type { Appended, Floor, Log, SavepointStore } from "../engine/base/ports.ts";
import type {
  ChangedOutcome,
  Explanation,
  LogStart,
  Opening,
  SegmentPage,
  PartitionRow,
  Pin,
  Point,
  Promotion,
  Retention,
  Roots,
  Savepoint,
  Timeline,
} from "../engine/base/records.ts";
import type { Segment } from "../engine/base/records.ts";
import { FIRST_TIMELINE, type MemoryLine } from "./memory-line.ts";
import { memorySavepoints } from "./memory-savepoints.ts";

interface Kept {
  points: Point[];
  pins: Pin[];
  retainFrom: number;
  archiveFrom: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const NO_LINE: MemoryLine = { floor: 0, open: false };

/** The content of one D1 database. */
export class MemoryDatabase {
  readonly rows = new Map<string, Mutable<PartitionRow>>();
  readonly segments = new Map<string, Segment[]>();
  /** The writer of the last epoch, by partition. */
  readonly writers = new Map<string, string>();
  /** The most bytes that the database ever held, like a file that never shrinks. The bytes above `used` are free. */
  size = 0;
  /** Restore points, pins and limits of retention, by partition. */
  readonly kept = new Map<string, Kept>();
  readonly savepoints = new Map<number, Mutable<Savepoint> & { readonly line: number }>();
  /** The lines of history, by number. */
  readonly lines = new Map<number, MemoryLine>([[FIRST_LINE, { floor: 0, open: true }]]);
  /** The lines under their names, by number. Only the first database has them. */
  readonly timelines = new Map<number, Timeline>([[FIRST_LINE, FIRST_TIMELINE]]);
  /** Changed outcomes, by partition and seq. */
  readonly changed = new Map<string, Map<number, ChangedOutcome>>();
  /** Rows of a page. A small number gives a short log several pages. */
  readonly pageRows: number;
  /** True if `size` is kept, which costs a sum over all rows for each append. */
  counted = false;
  /** The number of the last savepoint. */
  number = 0;

  constructor(pageRows = PAGE_ROWS) {
    this.pageRows = pageRows;
  }

  get used(): number {
    return [...this.segments.values()].flat().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The first line, which most tests have alone. */
  get first(): MemoryLine {
    return this.lines.get(FIRST_LINE)!;
  }

  /** The floor that `append` checks. `now`: the database's own clock. */
  floorPort(now: () => number, line = FIRST_LINE): Floor {
    const one = (): MemoryLine => this.lines.get(line)!;
    const isOn = (name: string): boolean => parsePartitionName(name).line === line;
    return {
      facts: async () => ({ floor: stamp(one().floor), nowMs: now() }),
      newest: async () =>
        stamp(
          Math.max(
            0,
            ...[...this.rows].flatMap(([name, row]) => (isOn(name) ? [row.snapshotStamp] : [])),
            ...[...this.segments].flatMap(([name, rows]) => (isOn(name) ? [rows.at(-1)?.stamp ?? 0] : [])),
          ),
        ),
      raise: async (to) => {
        one().floor = Math.max(one().floor, to);
      },
    };
  }

  savepointStore(line = FIRST_LINE): SavepointStore {
    return memorySavepoints(this, line);
  }

  /** Rows above the partition's snapshot. */
  tail(name: string): readonly Segment[] {
    const { snapshotSeq } = this.rows.get(name)!;
    return (this.segments.get(name) ?? []).filter(({ seq }) => seq > snapshotSeq);
  }

  log(id: PartitionId): Log {
    return new MemoryLog(this, id);
  }
}

class MemoryLog implements Log {
  readonly #db: MemoryDatabase;
  readonly #name: string;
  readonly #number: number;

  constructor(db: MemoryDatabase, id: PartitionId) {
    this.#db = db;
    this.#name = partitionName(id);
    this.#number = id.line;
  }

  get #line(): MemoryLine {
    const line = this.#db.lines.get(this.#number);
    return line === undefined || line.removed === true ? NO_LINE : line;
  }

  get size(): number {
    return this.#db.size;
  }

  async used(): Promise<number> {
    return this.#db.used;
  }

  get #segments(): Segment[] {
    return this.#db.segments.get(this.#name) ?? [];
  }

  async peek(): Promise<Opening | null> {
    const row = this.#db.rows.get(this.#name);
    return row === undefined
      ? null
      : { row: this.#shown(row), head: this.#head().seq, open: this.#line.open, ...this.#above(row.snapshotSeq) };
  }

  async open(writer: string): Promise<Opening | null> {
    const row = this.#db.rows.get(this.#name);
    if (row === undefined) return null;
    this.#db.writers.set(this.#name, writer);
    row.epoch = epoch(this.#held() + 1);
    return this.peek();
  }

  async create(seed: number, start: LogStart): Promise<Opening | null> {
    if (this.#db.rows.has(this.#name) || this.#line === NO_LINE || this.#line.unstarted === true) return this.peek();
    this.#db.rows.set(this.#name, {
      epoch: epoch(0),
      seed,
      startSeq: start.seq,
      version: 0,
      attempt: "",
      snapshotSeq: start.seq,
      snapshotStamp: start.stamp,
      manifest: null,
      previousSeq: seq(0),
      previous: null,
      pins: "[]",
    });
    return this.peek();
  }

  async lastAt(at: Stamp): Promise<LogStart | null> {
    const row = this.#db.rows.get(this.#name);
    const last = this.#segments.findLast((one) => one.stamp <= at);
    if (last !== undefined) return { seq: last.last, stamp: last.stamp };
    return row === undefined || row.snapshotStamp > at ? null : { seq: row.snapshotSeq, stamp: row.snapshotStamp };
  }

  async page(after: Seq): Promise<SegmentPage & { readonly epoch: PartitionRow["epoch"] }> {
    return { ...this.#above(after), epoch: this.#held() };
  }

  #above(after: number): SegmentPage {
    const tail = this.#segments.filter((row) => row.seq > after);
    let bytes = 0;
    const rows = tail.slice(0, this.#db.pageRows).filter((row, i) => (bytes += row.bytes) <= PAGE_BYTES || i === 0);
    return { rows, more: rows.length < tail.length };
  }

  async below(before: Seq): Promise<readonly Segment[]> {
    let bytes = 0;
    return this.#segments
      .filter((row) => row.seq < before)
      .toReversed()
      .slice(0, this.#db.pageRows)
      .filter((row, i) => (bytes += row.bytes) <= PAGE_BYTES || i === 0);
  }

  async append(rows: readonly Segment[], under: Epoch, line: "open" | "replaying" = "open"): Promise<Appended> {
    const takes = line === "open" ? this.#line.open : this.#line.replaying === true;
    if (!this.#db.rows.has(this.#name) || !takes) return "refused";
    let { seq: head, stamp: last } = this.#head();
    if (under !== this.#held()) return "refused";
    for (const row of rows) {
      if (row.group !== rows[0]!.group) return "refused";
      if (row.seq !== head + 1 || row.stamp <= last || row.stamp <= this.#line.floor) return "refused";
      head = row.last;
      last = row.stamp;
    }
    this.#db.segments.set(this.#name, [...this.#segments, ...rows]);
    if (this.#db.counted) this.#db.size = Math.max(this.#db.size, this.#db.used);
    return "appended";
  }

  #head(): { seq: Seq; stamp: PartitionRow["snapshotStamp"] } {
    const last = this.#segments.at(-1);
    const row = this.#row();
    return last === undefined
      ? { seq: row.snapshotSeq, stamp: row.snapshotStamp }
      : { seq: last.last, stamp: last.stamp };
  }

  /** The epoch that holds (place.ts). */
  #held(): Epoch {
    return epoch(Math.max(this.#row().epoch, this.#segments.at(-1)?.epoch ?? 0));
  }

  #shown(row: PartitionRow): PartitionRow {
    return { ...row, epoch: this.#held() };
  }

  #row(): Mutable<PartitionRow> {
    const row = this.#db.rows.get(this.#name);
    if (row === undefined) throw new Error("the partition has no row");
    return row;
  }

  #headWriter(): string | undefined {
    return (JSON.parse(this.#segments.at(-1)!.stats) as { writer?: string }).writer;
  }

  async explain(at: Seq): Promise<Explanation> {
    const row = this.#row();
    const found = this.#segments.find((one) => one.seq === at);
    const head = this.#head();
    return {
      epoch: this.#held(),
      writer: (this.#held() > row.epoch ? this.#headWriter() : this.#db.writers.get(this.#name)) ?? "",
      version: row.version,
      head: head.seq,
      headStamp: head.stamp,
      floor: stamp(this.#line.floor),
      open: this.#line.open,
      replaying: this.#line.replaying === true,
      group: found?.group ?? null,
      stamp: found?.stamp ?? null,
    };
  }

  get #kept(): Kept {
    let kept = this.#db.kept.get(this.#name);
    if (kept === undefined)
      this.#db.kept.set(this.#name, (kept = { points: [], pins: [], retainFrom: 0, archiveFrom: 0 }));
    return kept;
  }

  #pinned(version: number): boolean {
    return this.#kept.pins.some((pin) => pin.version === version);
  }

  #replace(point: Point): void {
    const { points } = this.#kept;
    const there = points.find(({ version }) => version === point.version);
    const held = this.#pinned(point.version) || this.#savepoints().some((at) => at >= point.stamp);
    if (there === undefined && points.length >= POINTS && !held) return;
    const changed = there === undefined ? point : { ...there, replacedMs: point.replacedMs };
    const others = points.filter((one) => one !== there);
    this.#kept.points = [...others, changed].sort((a, b) => a.version - b.version);
  }

  async noteChanged(changed: readonly ChangedOutcome[]): Promise<void> {
    const noted = this.#db.changed.get(this.#name) ?? new Map<number, ChangedOutcome>();
    for (const one of changed) noted.set(one.seq, one);
    this.#db.changed.set(this.#name, noted);
  }

  async changed(after: Seq, limit: number): Promise<readonly ChangedOutcome[]> {
    const noted = [...(this.#db.changed.get(this.#name)?.values() ?? [])];
    return noted
      .filter(({ seq }) => seq > after)
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit);
  }

  async promote(to: Promotion): Promise<"current" | "refused"> {
    const row = this.#row();
    if (this.#held() !== to.epoch || row.version !== to.version || to.seq > this.#head().seq) return "refused";
    for (const point of to.replaced) this.#replace(point);
    this.#db.writers.set(this.#name, to.writer);
    Object.assign(row, {
      epoch: to.epoch,
      version: row.version + 1,
      attempt: to.attempt,
      manifest: to.manifest,
      snapshotSeq: to.seq,
      snapshotStamp: to.stamp,
      previous: to.previous,
      previousSeq: to.previousSeq,
      pins: to.pins,
    });
    this.#db.segments.set(
      this.#name,
      this.#segments.filter((one) => one.last > to.cutSeq),
    );
    return "current";
  }

  async row(): Promise<PartitionRow | null> {
    const row = this.#db.rows.get(this.#name);
    return row === undefined ? null : this.#shown(row);
  }

  async roots(): Promise<Roots | null> {
    if (this.#db.lines.get(this.#number)?.removed === true) throw new Failure("line_gone", "the line was removed");
    const row = this.#db.rows.get(this.#name);
    if (row === undefined) return null;
    const { points, pins, retainFrom, archiveFrom } = this.#kept;
    const kept = { points: [...points], pins: [...pins], retainFrom: stamp(retainFrom), archiveFrom };
    return { row: this.#shown(row), savepoints: this.#savepoints(), ...kept };
  }

  #savepoints(): Stamp[] {
    const held = [...this.#db.savepoints.values()].filter(({ line }) => line === this.#number);
    return held.map(({ at }) => at).sort((a, b) => a - b);
  }

  async retain(to: Retention): Promise<Roots | null> {
    const row = this.#row();
    if (!(this.#held() === to.epoch && row.version === to.version)) return null;
    const { savepoints } = (await this.roots())!;
    if (JSON.stringify(savepoints) !== JSON.stringify(to.savepoints)) return this.roots();
    const kept = this.#kept;
    kept.points = kept.points.filter(({ version }) => !to.drop.includes(version) || this.#pinned(version));
    kept.retainFrom = Math.max(kept.retainFrom, to.retainFrom);
    kept.archiveFrom = Math.max(kept.archiveFrom, to.archiveFrom);
    return this.roots();
  }

  async pin(pin: Pin): Promise<"pinned" | "gone" | "full"> {
    const { manifest } = this.#row();
    const current = manifest?.startsWith("{") ? (JSON.parse(manifest) as { number: number }).number : 0;
    const kept = this.#kept;
    if (kept.pins.some(({ version, name }) => version === pin.version && name === pin.name)) return "pinned";
    if (current !== pin.version && !kept.points.some(({ version }) => version === pin.version)) return "gone";
    if (kept.pins.length >= PINS) return "full";
    kept.pins = [...kept.pins, pin].sort((a, b) => a.version - b.version || (a.name < b.name ? -1 : 1));
    return "pinned";
  }

  async unpin(version: number, name: string): Promise<void> {
    this.#kept.pins = this.#kept.pins.filter((one) => one.version !== version || one.name !== name);
  }
}
