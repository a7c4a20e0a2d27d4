/**
 * Writes which line is main, and main's past, after D1 has lost it. A statement changes nothing if the database knows
 * as much: the directory counts switches up, and each row is added once.
 *
 * DIRECTORY1. The lines come before the directory, and the directory before any partition. So what broke off is done
 *     again by the same call.
 * DIRECTORY2. The numbers of lines go on far above all that R2 and the databases show, since lines may have been made
 *     that left nothing there (LINE1).
 */
import type { Stamp } from "../engine/base/ids.ts";
import type { Split } from "../engine/base/records.ts";
import { FORMER_MAIN_MS } from "../engine/base/limits.ts";
import { nameFailure } from "./not-migrated.ts";

/** A line of main's past, or main. */
export interface RebuiltLine {
  readonly line: number;
  /** The line that it starts from, and the moment. Null and 0 for the first one. */
  readonly parent: number | null;
  readonly at: Stamp;
  /** The switch that replaced it as main. 0 for main, and for a timeline that never was main. */
  readonly replaced: number;
  readonly isMain: boolean;
  /** From the parent to the line. Missing if no operator has other partitions. */
  readonly split?: Split;
}

export interface RebuiltDirectory {
  readonly switches: number;
  /** Main, and the lines of its past that R2 has anything of. */
  readonly lines: readonly RebuiltLine[];
  /** Lines that are there no more. */
  readonly removed: readonly number[];
  /** The highest number of a line that R2 shows. */
  readonly highest: number;
}

/** A timeline that never was main keeps its state where it is known. */
const LINE = `INSERT INTO lines (line, state, floor) VALUES (?1, ?2, ?3) ON CONFLICT (line) DO UPDATE
  SET state = excluded.state WHERE ?4 AND lines.state IN ('open', 'sealed')`;

const REMOVED = `INSERT INTO lines (line, state, floor) VALUES (?1, 'removed', 0) ON CONFLICT (line) DO UPDATE SET state = 'removed'`;

/** Adds the lines to one database. Main takes events, and what was main takes none any more. */
export async function storeLines(
  db: D1Database,
  { lines, removed }: Pick<RebuiltDirectory, "lines" | "removed">,
  floor: Stamp,
): Promise<void> {
  const rows = lines.map(({ line, replaced, isMain }) =>
    db.prepare(LINE).bind(line, replaced > 0 ? "sealed" : "open", floor, isMain || replaced > 0 ? 1 : 0),
  );
  const gone = removed.map((line) => db.prepare(REMOVED).bind(line));
  await nameFailure(() => db.batch([...rows, ...gone]));
}

const TIMELINE = `INSERT INTO timelines (line, name, parent, at, created_at, expires_at, state, replaced, split)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'ready', ?7, ?8)
  ON CONFLICT (line) DO UPDATE SET name = excluded.name, expires_at = excluded.expires_at, replaced = excluded.replaced`;
/** A number that was in the table once isn't given again. */
const NUMBERS = [
  "INSERT INTO timelines (line, at, created_at, state) SELECT ?1, 0, 0, 'removing' WHERE ?1 > (SELECT MAX(line) FROM timelines)",
  "DELETE FROM timelines WHERE line = ?1 AND state = 'removing' AND parent IS NULL AND created_at = 0",
];
const FORGET = "DELETE FROM timelines WHERE line = ?1";
const DIRECTORY = "UPDATE directory SET main = ?1, switches = ?2, promotion = ?3 WHERE switches < ?2";
const NEWEST = "SELECT MAX(line) AS line, MAX(promotion) AS promotion FROM lines";

/** Lines that left nothing have numbers in this gap. */
const GAP = 1_000;

/** Writes the directory. `databases`: all of them, the first one first. */
export async function storeDirectory(
  databases: readonly D1Database[],
  { switches, lines, removed, highest }: RebuiltDirectory,
  nowMs: number,
): Promise<void> {
  const known = await Promise.all(
    databases.map((db) =>
      nameFailure(() => db.prepare(NEWEST).first<{ readonly line: number; readonly promotion: number }>()),
    ),
  );
  const newest = Math.max(highest, ...known.map((one) => one!.line));
  // A seal needs a higher number than the last promotion left in any database (PROMOTION1).
  const promotion = Math.max(switches, ...known.map((one) => one!.promotion));
  const first = databases[0]!;
  const main = lines.find(({ isMain }) => isMain)!;
  const rows = lines.map(({ line, parent, at, replaced, isMain, split }) => {
    const name = isMain || replaced > 0 ? null : `line-${line}`;
    return first
      .prepare(TIMELINE)
      .bind(
        line,
        name,
        parent,
        at,
        nowMs,
        isMain ? null : nowMs + FORMER_MAIN_MS,
        replaced,
        split === undefined ? null : JSON.stringify(split),
      );
  });
  await nameFailure(() =>
    first.batch([
      ...removed.map((line) => first.prepare(FORGET).bind(line)),
      ...rows,
      ...NUMBERS.map((sql) => first.prepare(sql).bind(newest + GAP)),
      first.prepare(DIRECTORY).bind(main.line, switches, promotion),
    ]),
  );
}

const HOLD = `INSERT OR IGNORE INTO savepoints (number, line, name, at, created_at, state) VALUES (?1, ?2, ?3, ?4, ?5, 'held')`;
const HELD = "SELECT number FROM savepoints WHERE line = ?1 AND name = ?2";

/** Holds where each line starts, in all databases under one number. `databases`: the first one first. */
export async function storeStarts(
  databases: readonly D1Database[],
  { lines, removed }: Pick<RebuiltDirectory, "lines" | "removed">,
  nowMs: number,
): Promise<void> {
  for (const { line, parent, at } of lines) {
    if (parent === null || removed.includes(parent)) continue;
    const name = `@${line}`;
    const held = await Promise.all(
      databases.map((db) =>
        nameFailure(() => db.prepare(HELD).bind(parent, name).first<{ readonly number: number }>()),
      ),
    );
    let number = held.find((one) => one !== null)?.number ?? null;
    for (const db of databases) {
      await nameFailure(() => db.prepare(HOLD).bind(number, parent, name, at, nowMs).run());
      number ??= (await nameFailure(() => db.prepare(HELD).bind(parent, name).first<{ readonly number: number }>()))!
        .number;
    }
  }
}
