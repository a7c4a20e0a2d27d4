/**
 * The ports of timelines in memory, with the same guards as the SQL of d1-timelines.ts, written independently. Both
 * pass timelines-contract.ts.
 */
import { FIRST_LINE, parsePartitionName, partitionName, type Stamp } from "../engine/base/ids.ts";
import { FORMER_MAIN_MS, TIMELINES } from "../engine/base/limits.ts";
import type { Directory, LineState, LineStore } from "../engine/base/ports.ts";
import {
  type Ancestors,
  type ChangedSum,
  type Main,
  partsIn,
  type Readers,
  type Timeline,
} from "../engine/base/records.ts";
import type { MemoryLine } from "./memory-line.ts";
import type { MemoryDatabase } from "./memory-log.ts";

const MAIN: Main = {
  line: FIRST_LINE,
  switches: 0,
  state: "idle",
  promotion: 0,
  target: null,
  former: null,
  begunMs: 0,
  etag: null,
  done: null,
};

export class MemoryDirectory implements Directory {
  readonly timelines: Map<number, Timeline>;
  readonly #savepoints: MemoryDatabase["savepoints"];
  #main = MAIN;
  #number = FIRST_LINE;

  /** `db`: the first database. */
  constructor(db: MemoryDatabase) {
    this.timelines = db.timelines;
    this.#savepoints = db.savepoints;
  }

  /** Main as it is. */
  get now(): Main {
    return this.#main;
  }

  async all(): Promise<{ readonly main: Main; readonly all: readonly Timeline[] }> {
    return { main: this.#main, all: [...this.timelines.values()] };
  }

  async main(): Promise<Main> {
    return this.#main;
  }

  async add(start: Parameters<Directory["add"]>[0], nowMs: number): Promise<Timeline | "gone" | "full"> {
    const { name, parent, at, expiresMs, replay, split, unstarted } = start;
    const there = [...this.timelines.values()].find((one) => one.name === name);
    if (there !== undefined) return there;
    const counted = [...this.timelines.values()].filter((one) => one.state !== "removing" || one.name !== null);
    if (counted.length >= TIMELINES) return "full";
    if (this.timelines.get(parent)?.state !== "ready") return "gone";
    const line = (this.#number += 1);
    const made = { line, name, parent, at, createdMs: nowMs, expiresMs, state: "making", replaced: 0 } as const;
    const row: Timeline = {
      ...made,
      ...(replay === undefined ? {} : { replay }),
      ...(split === undefined ? {} : { split }),
      ...(unstarted === undefined ? {} : { unstarted }),
    };
    this.timelines.set(line, row);
    return row;
  }

  async ready(line: number): Promise<Timeline["state"] | "gone"> {
    if (this.timelines.get(line)?.state === "making") this.#change(line, { state: "ready" });
    return this.timelines.get(line)?.state ?? "gone";
  }

  async withdraw(line: number, free: readonly number[] = [], unsaved = false): ReturnType<Directory["withdraw"]> {
    const { line: main, state, target, former } = this.#main;
    const row = this.timelines.get(line);
    if (row === undefined) return "gone";
    if (row.state === "removing") return "removing";
    if (line === main) return "main";
    const children = [...this.timelines.values()].filter(({ parent }) => parent === line);
    if (children.some((one) => !free.includes(one.line))) return "parent";
    const saved = [...this.#savepoints.values()].some((one) => one.line === line && !one.name.startsWith("@"));
    if (saved && unsaved) return "saved";
    if (state !== "idle" && (target === line || former === line)) return "promotion";
    this.#change(line, { state: "removing" });
    return "removing";
  }

  async drop(line: number): Promise<void> {
    if (this.timelines.get(line)?.state === "removing") this.timelines.delete(line);
  }

  async replace(line: number): Promise<void> {
    const { line: main, state, target } = this.#main;
    const row = this.timelines.get(line);
    const isParent = [...this.timelines.values()].some(({ parent }) => parent === line);
    if (row?.replay === undefined || isParent || line === main || (state !== "idle" && target === line)) return;
    this.#change(line, { state: "removing", name: null });
  }

  async begin(promotion: number, target: number, nowMs: number): Promise<Main | "no_target"> {
    const row = this.timelines.get(target);
    if (row?.state !== "ready") return "no_target";
    const isNext = this.#main.state === "idle" && this.#main.promotion + 1 === promotion;
    const { line: main } = this.#main;
    const follows = row.unstarted === true ? row.parent : row.replay?.source;
    if (isNext && target !== main && row.replaced === 0 && (follows ?? main) === main)
      this.#main = { ...this.#main, state: "sealing", promotion, target, begunMs: nowMs };
    return this.#main;
  }

  async switch(promotion: number, etag: string, done: string, end: Stamp | null = null): Promise<Main> {
    if (this.#is("sealing", promotion)) {
      const { line: former, target, switches, begunMs } = this.#main;
      this.#main = { ...this.#main, line: target!, former, switches: switches + 1, state: "opening", etag, done };
      this.#change(former, { name: null, expiresMs: begunMs + FORMER_MAIN_MS, replaced: switches + 1 });
      const { replay, unstarted, ...promoted } = this.timelines.get(target!)!;
      const replayed = replay === undefined ? {} : { replayed: replay.source };
      const started = unstarted === undefined ? {} : { at: end ?? promoted.at, replayed: former };
      this.timelines.set(target!, { ...promoted, ...replayed, ...started, name: null, expiresMs: null });
    }
    return this.#main;
  }

  async abort(promotion: number): Promise<Main> {
    if (this.#is("sealing", promotion)) this.#main = { ...this.#main, state: "aborting" };
    return this.#main;
  }

  async idle(promotion: number): Promise<void> {
    if (this.#is("aborting", promotion) || this.#is("opening", promotion))
      this.#main = { ...this.#main, state: "idle" };
  }

  #is(state: Main["state"], promotion: number): boolean {
    return this.#main.state === state && this.#main.promotion === promotion;
  }

  #change(line: number, to: Partial<Timeline>): void {
    this.timelines.set(line, { ...this.timelines.get(line)!, ...to });
  }
}

/** True unless the line takes the rows of another one, or nothing yet. */
const takesEvents = ({ replaying, unstarted }: MemoryLine): boolean => replaying !== true && unstarted !== true;

/** Returns the partitions, as operator/number, that start from one of the past. */
function startingFrom(name: string, past: Ancestors): string[] {
  const { line, operator, partition } = parsePartitionName(name);
  const one = past.find((ancestor) => ancestor.line === line);
  if (one === undefined) return [];
  const parts = partsIn(one.split, operator);
  return Array.from({ length: parts }, (_, i) => {
    const started = partitionName({ line, operator, partition: partition * parts + i });
    return started.slice(started.indexOf("/") + 1);
  });
}

/** Partitions whose rows one call deletes. */
const AT_ONCE = 20;

export class MemoryLines implements LineStore {
  readonly #db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.#db = db;
  }

  async add(line: number, floor: Stamp, state: LineState): Promise<void> {
    const { lines } = this.#db;
    if (lines.has(line)) return;
    lines.set(line, state === "open" ? { floor, open: true } : { floor, open: false, [state]: true });
  }

  async drop(line: number): Promise<"more" | "done"> {
    const { lines, rows, segments, kept, savepoints, changed } = this.#db;
    lines.set(line, { floor: 0, open: false, ...lines.get(line), removed: true });
    const left = (): string[] => [...rows.keys()].filter((name) => parsePartitionName(name).line === line);
    for (const name of left().slice(0, AT_ONCE)) for (const map of [rows, segments, kept, changed]) map.delete(name);
    for (const [number, savepoint] of savepoints) if (savepoint.line === line) savepoints.delete(number);
    return left().length > 0 ? "more" : "done";
  }

  async readers({ line, at, past }: Parameters<LineStore["readers"]>[0]): Promise<Readers> {
    const { rows, kept, savepoints } = this.#db;
    const placeOf = (name: string): string => name.slice(name.indexOf("/") + 1);
    const isOnLine = (name: string): boolean => parsePartitionName(name).line === line;
    const saved = [...savepoints.values()].filter((one) => one.line === line).map((one) => one.at);
    const found = new Set<string>();
    for (const [name, { startSeq, snapshotStamp }] of rows) {
      const { points = [], retainFrom = 0, archiveFrom = 0 } = kept.get(name) ?? {};
      const stamps = [snapshotStamp, ...points.filter(({ intact }) => intact).map((one) => one.stamp)];
      const isOwn = retainFrom > at && archiveFrom > 1 && saved.every((one) => one >= Math.min(...stamps));
      if (isOnLine(name) && startSeq > 0 && !isOwn) found.add(placeOf(name));
      for (const place of startingFrom(name, past)) if (!rows.has(`${line}/${place}`)) found.add(place);
    }
    return { partitions: found.size, first: [...found].sort()[0] ?? null };
  }

  async seal(lines: readonly number[], promotion: number): Promise<void> {
    for (const line of lines)
      this.#set(line, promotion - 1, (row) => (takesEvents(row) ? { ...row, open: false, promotion } : row));
  }

  async unseal(lines: readonly number[], promotion: number): Promise<void> {
    for (const line of lines) this.#set(line, promotion, (row) => ({ ...row, open: takesEvents(row), promotion }));
  }

  async open(line: number, promotion: number): Promise<void> {
    this.#set(line, promotion, (row) => ({ ...row, open: true, replaying: false, unstarted: false, promotion }));
  }

  async changed(line: number): Promise<readonly ChangedSum[]> {
    return [...this.#db.changed]
      .filter(([name, noted]) => parsePartitionName(name).line === line && noted.size > 0)
      .map(([partition, noted]) => ({
        partition,
        count: noted.size,
        sum: [...noted.values()].reduce((sum, { print }) => sum + print, 0),
      }))
      .sort((a, b) => (a.partition < b.partition ? -1 : 1));
  }

  /** Changes the line if no promotion above `last` has changed it. */
  #set(line: number, last: number, to: (row: MemoryLine) => MemoryLine): void {
    const row = this.#db.lines.get(line);
    if (row !== undefined && row.removed !== true && (row.promotion ?? 0) <= last) this.#db.lines.set(line, to(row));
  }
}
