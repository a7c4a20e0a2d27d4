/**
 * Timelines: lines of history under names. A timeline starts at a moment of another one, with its state, and goes its
 * own way from there (past-state.ts). Making one stops and wakes nothing, and costs some small writes for each
 * database, whatever the number of keys and partitions.
 *
 * LINE1. A line is a number that is given once, by the first database, and is in all names of rows, objects and Durable
 *     Objects. `main`, `main~1` and the users' names point to lines. So what a removed timeline left behind never meets
 *     a later one of the same name.
 * LINE2. A timeline counts once its moment is held on the line that it starts from, and every database has its row.
 *     Each step follows from the rows: the same call finishes one that broke off.
 * LINE3. A line isn't removed while it is main, while others start from it, or while it is being promoted. The same
 *     statement that marks it checks all of that. From then on no timeline can start from it.
 * LINE4. A removed line takes no more rows: without its row in a database, appends and openings fail. Its rows
 *     in D1 and its objects in R2 are deleted before its number is forgotten.
 * LINE6. A former main expires FORMER_MAIN_MS after it was replaced. It stays as long as another line reads it, or a user
 *     has a savepoint of it. A line reads those of its past no more once none of its partitions does: each that they
 *     know has a row, and has given up all moments up to the line's start, or began with nothing. A savepoint that it
 *     keeps has a snapshot of the line's own. Nothing of that is ever undone, so it may be found before the mark.
 * LINE7. A line may have several partitions for one of its parent (SHARE1), and may be made before it starts: then it
 *     has its parent's events up to the parent's end, and the promotion that seals the parent says where that is. Until
 *     then nothing of it is read or written. The end of a sealed line needs no savepoint: a line's newest state is
 *     never given up.
 */
import { savepointPrefix, stamp, type Stamp } from "../base/ids.ts";
import type { Clock, Directory, LineStore, ObjectStore } from "../base/ports.ts";
import {
  type Ancestor,
  type Ancestors,
  type Main,
  partsIn,
  type Readers,
  type Replay,
  type Split,
  type Timeline,
} from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import type { SavepointFiles } from "./savepoint-object.ts";
import { removeSavepoint, type Stores, takeSavepoint } from "./savepoints.ts";

export const MAIN = "main";

/** The stores of all databases, those of the first one first. */
export interface TimelineStores {
  readonly directory: Directory;
  readonly lines: readonly LineStore[];
  /** The savepoints of a line, which hold the starts of others. */
  savepoints(line: number): { readonly files: SavepointFiles; readonly stores: Stores };
}

export type Made =
  | { readonly tag: "made"; readonly timeline: Timeline; readonly isNew: boolean }
  /** The name stands for a timeline that starts elsewhere, or is being removed. */
  | { readonly tag: "conflict"; readonly timeline: Timeline }
  /** Retention has given up the moment, or the line is being removed. */
  | { readonly tag: "gone" }
  | { readonly tag: "full" };

export interface Start {
  readonly name: string;
  readonly parent: number;
  readonly at: Stamp;
  /** The caller named this moment, so no other one will do. */
  readonly exact: boolean;
  /** Null if it stays until somebody removes it. */
  readonly expiresMs: number | null;
  /** Missing if the line takes events of its own. */
  readonly replay?: Replay;
  readonly split?: Split;
  readonly unstarted?: true;
}

/**
 * Makes a timeline that starts at a settled stamp of another line (LINE2), or at that line's end (LINE7).
 */
export async function makeTimeline(clock: Clock, stores: TimelineStores, start: Start): Promise<Made> {
  const { directory, lines } = stores;
  const { parent, at, exact, replay, split, unstarted } = start;
  const row = await persistent(clock, "D1", () => directory.add(start, clock.now()));
  if (typeof row === "string") return { tag: row };
  const isOther = JSON.stringify([row.replay, row.split, row.unstarted]) !== JSON.stringify([replay, split, unstarted]);
  if (row.state === "removing" || row.parent !== parent || isOther || (exact && row.at !== at))
    return { tag: "conflict", timeline: row };
  if (row.state === "ready") return { tag: "made", timeline: row, isNew: false };
  if (unstarted === undefined) {
    const holds = stores.savepoints(parent);
    const held = await takeSavepoint(holds.files, holds.stores, holdOf(row.line), row.at, true);
    if (held.tag !== "taken") {
      // Another call may have come further, or a removal may be half done. So all of it goes.
      await removeTimeline(clock, stores, holds.files.objects, row);
      return { tag: held.tag === "full" ? "full" : "gone" };
    }
  }
  const state = unstarted === true ? "unstarted" : replay === undefined ? "open" : "replaying";
  // The floor of a line that is unstarted is raised when it is opened (PROMOTION6).
  const floor = unstarted === true ? stamp(0) : row.at;
  await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.add(row.line, floor, state))));
  const now = await persistent(clock, "D1", () => directory.ready(row.line));
  return now === "ready"
    ? { tag: "made", timeline: { ...row, state: now }, isNew: true }
    : { tag: "conflict", timeline: row };
}

/** The name of the savepoint that holds a line's start. No user's savepoint has such a name. */
const holdOf = (line: number): string => `@${line}`;

/** Returns true for a user's savepoint, false for the start of a line. */
export const isNamed = ({ name }: { readonly name: string }): boolean => !name.startsWith("@");

export type Removed =
  | { readonly tag: "removed" }
  /** More is left than one call may delete: call again. */
  | { readonly tag: "removing" }
  | { readonly tag: "refused"; readonly why: "main" | "parent" | "promotion" | "saved" };

/**
 * Removes a timeline and all that it left in D1 and R2, as far as one call may go (LINE3, LINE4). If `unsaved`, a
 * user's savepoint keeps it.
 */
export async function removeTimeline(
  clock: Clock,
  stores: TimelineStores,
  objects: ObjectStore,
  { line, parent }: Timeline,
  unsaved = false,
): Promise<Removed> {
  const { directory, lines } = stores;
  const readers = await readersOf(clock, stores, line);
  const free = readers.filter(({ partitions }) => partitions === 0).map((one) => one.line);
  // A line that replays its log may have another parent, which the mark doesn't see.
  if (unsaved && free.length < readers.length) return { tag: "refused", why: "parent" };
  const marked = await persistent(clock, "D1", () => directory.withdraw(line, free, unsaved));
  if (marked !== "removing" && marked !== "gone") return { tag: "refused", why: marked };
  for (let rounds = ROUNDS; ; rounds--) {
    const left = await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.drop(line))));
    const deleted = await Promise.all(
      [`${line}/`, savepointPrefix(line)].map((prefix) => deleteSome(clock, objects, prefix)),
    );
    if (deleted.every((some) => some === 0) && !left.includes("more")) break;
    if (rounds === 0) return { tag: "removing" };
  }
  if (parent !== null) {
    const holds = stores.savepoints(parent);
    await removeSavepoint(holds.files, holds.stores, holdOf(line));
  }
  await persistent(clock, "D1", () => directory.drop(line));
  return { tag: "removed" };
}

/** A line that starts from another one, and its partitions that read that one still. */
export interface Reader extends Readers {
  readonly line: number;
}

/** Returns the lines that start from a line, or replay its log. One counts as a reader while it is made or removed. */
export async function readersOf(
  clock: Clock,
  { directory, lines }: Pick<TimelineStores, "directory" | "lines">,
  line: number,
): Promise<readonly Reader[]> {
  const timelines = await persistent(clock, "D1", () => directory.all());
  const children = timelines.all.filter(({ parent, replay }) => parent === line || replay?.source === line);
  return Promise.all(
    children.map(async (child): Promise<Reader> => {
      if (child.state !== "ready" || child.replay?.source === line)
        return { line: child.line, partitions: 1, first: null };
      const of = { line: child.line, at: child.at, past: ancestorsOf(timelines, child.line) };
      const found = await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.readers(of))));
      const partitions = found.reduce((sum, one) => sum + one.partitions, 0);
      return { line: child.line, partitions, first: found.find(({ first }) => first !== null)?.first ?? null };
    }),
  );
}

/** Returns how many objects it deleted. */
async function deleteSome(clock: Clock, objects: ObjectStore, prefix: string): Promise<number> {
  const { names } = await persistent(clock, "R2", () => objects.list(prefix, ""));
  if (names.length > 0) await persistent(clock, "R2", () => objects.delete(names));
  return names.length;
}

/** Rounds of one call. Each deletes up to 1,000 objects, and some thousand rows of each database. */
const ROUNDS = 20;

/** All timelines, and which line is main. */
export interface Timelines {
  readonly main: Main;
  readonly all: readonly Timeline[];
}

/** Returns the timeline that a name points to. Returns null if there is none, or not all of it. */
export const timelineOf = (timelines: Timelines, name: string): Timeline | null =>
  timelines.all.find((one) => one.state === "ready" && nameOf(timelines, one) === name) ?? null;

/** Returns the names of a timeline: `main`, `main~1`, or its own. */
export function nameOf({ main, all }: Timelines, { line, name }: Pick<Timeline, "line" | "name">): string {
  if (line === main.line) return MAIN;
  return name ?? `main~${formerMains(all).findIndex((one) => one.line === line) + 1}`;
}

const formerMains = (all: readonly Timeline[]): Timeline[] =>
  all.filter(({ replaced }) => replaced > 0).sort((a, b) => b.replaced - a.replaced);

/** Returns where a line starts, where the line starts that it starts from, and so on up to one that is there no more. */
export function ancestorsOf({ all }: Timelines, line: number): Ancestors {
  const found: Ancestor[] = [];
  let split: Split = {};
  for (let one = all.find((other) => other.line === line); one?.parent != null;) {
    const { parent, at } = one;
    split = together(split, one.split ?? {});
    found.push({ line: parent, at, ...(Object.keys(split).length === 0 ? {} : { split }) });
    one = all.find((other) => other.line === parent);
  }
  return found;
}

function together(a: Split, b: Split): Split {
  const operators = Object.keys({ ...a, ...b });
  return Object.fromEntries(operators.map((name) => [name, partsIn(a, name) * partsIn(b, name)]));
}
