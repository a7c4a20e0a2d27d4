/**
 * The contents of snapshots and archives, as the oracle reads them: exactly what the log says.
 *
 * SAVED1. A snapshot, with all that it builds on, holds the states, the quarantine, the ids and the outcomes of its
 *     seq, and nothing that was erased by then (SNAP1, ONE3).
 * SAVED2. An archive holds rows of the log, as they were logged (LOG5).
 * SAVED3. The object's mark knows of each archived row. Otherwise D1 could be restored to a point before a row that R2
 *     holds, and nobody would notice (MARK3 of high-water-mark.ts).
 * SAVED4. Objects of an instance that lived before its database was restored are of another log; they are kept for a
 *     writer that resumes from it.
 */
import {
  decodeArchive,
  decodeSnapshot,
  manifestIn,
  type DecodedSnapshot,
  type LoggedOutcome,
  type QuarantineLine,
} from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Instance } from "./instance.ts";
import type { Shown } from "./model.ts";
import { upTo, type Past, type Truth } from "./truth.ts";
import type { World } from "./world.ts";

/** A state, the quarantine, and the outcomes that are more than "applied". */
interface Whole {
  readonly seq: number;
  readonly operatorVersion: number;
  readonly entries: Map<string, Shown>;
  readonly quarantine: Map<number, QuarantineLine>;
  readonly answers: Map<number, LoggedOutcome>;
}

const attemptOf = (name: string): string => /\/(?:\d{10}-)?(\d{10}-\d{6}-[^/.]+)(?:\.\d+)?\.kf[sm]$/.exec(name)![1]!;

export class Saved {
  readonly #world: World;
  readonly #fail: (what: string) => void;
  /** The contents of a partition's snapshots with all that they build on, by seq and version: the one that was written last. */
  readonly #states: Record<string, Map<string, Whole>> = {};
  /** The same by attempt. */
  readonly #attempts = new Map<string, Whole>();
  /** Of snapshots of several files, by attempt: what is written so far. */
  readonly #parts = new Map<string, DecodedSnapshot["entries"][number][]>();
  /** Rows that were ever archived, in whatever log. */
  readonly #archived = new Map<Slot, Set<string>>();
  /** The log that a snapshot was taken of, by attempt. */
  readonly #logs = new Map<string, Past>();

  constructor(world: World, fail: (what: string) => void) {
    this.#world = world;
    this.#fail = fail;
  }

  /** The log up to a snapshot. */
  logOf(attempt: string): Past {
    return this.#logs.get(attempt)!;
  }

  /** Rows of the log that ever stood in an archive, by their first seq. */
  archivedOf(slot: Slot): number[] {
    const archived = this.#archived.get(slot);
    const rows = this.#world.oracle.truth(slot.name).rows.filter((row) => archived?.has(named(row)));
    return rows.map(({ seq }) => seq);
  }

  /** Keys of a snapshot whose states can't be migrated, sorted. */
  unmigratedIn(attempt: string): string[] {
    const entries = [...(this.#attempts.get(attempt)?.entries ?? [])];
    return entries.flatMap(([key, { version }]) => (version === undefined ? [] : [key])).sort();
  }

  put(by: Instance, name: string, bytes: Uint8Array): void {
    const truth = this.#world.oracle.truth(by.slot.name);
    if (name.endsWith(".kfm")) {
      if (this.#world.config.travelMs > 0) this.#ofLog(by, truth, manifestIn(bytes));
      return this.#archive(by, truth, bytes);
    }
    const file = decodeSnapshot(bytes);
    if (by.past === null) this.#erased(by, truth, file);
    const snapshot = this.#joined(name, file);
    if (snapshot === null) return;
    const attempt = attemptOf(name);
    const whole = this.#whole(by, attempt, snapshot);
    if (by.past !== null) return;
    const wrong = (what: string): void => this.#fail(`${by.name} wrote a snapshot at ${snapshot.seq}: ${what}`);
    if (snapshot.seq > truth.head) return wrong(`the log ends at ${truth.head} (SNAP1)`);
    if (snapshot.operatorVersion !== by.version) wrong(`it says version ${snapshot.operatorVersion}`);
    const view = { version: by.version, floor: snapshot.seq, cut: snapshot.seq };
    if (whole === null) return wrong(`it builds on ${snapshot.base}, where no snapshot is (SNAP2)`);
    const { entries, answers, quarantine } = whole;
    if (entries.size !== snapshot.keys) wrong(`it says ${snapshot.keys} keys, and they are ${entries.size}`);
    for (const key of new Set([...truth.model.keys(), ...entries.keys()])) {
      const flaw = truth.model.check(key, entries.get(key) ?? null, view);
      if (flaw !== null) wrong(`key ${key}: ${flaw} (SNAP1)`);
    }
    const held = truth.model.checkQuarantine([...quarantine.values()], view);
    if (held !== null) wrong(`${held} (SNAP1)`);
    const waiting = new Set(quarantine.keys());
    for (const key of truth.model.keys()) {
      const lost = truth.model.checkKept(key, entries.get(key) ?? null, waiting, snapshot.seq);
      if (lost !== null) wrong(`key ${key}: ${lost} (IN4)`);
    }
    const { first, last, prints } = snapshot.dedup;
    if (last !== snapshot.seq || prints !== last - Math.max(first, snapshot.base + 1) + 1)
      wrong(`its ids go from ${first} to ${last}, and are ${prints} (ONE3)`);
    const clock = truth.events[snapshot.seq - 1]?.atMs ?? 0;
    for (const event of truth.events.slice(0, snapshot.seq)) {
      if (!truth.remembers(event, snapshot.seq + 1, clock)) continue;
      if (event.seq < first) wrong(`the id of seq ${event.seq} isn't in it (ONE3)`);
      const { outcome } = event;
      const must = outcome !== null && (outcome.tag !== "a" || clock - event.atMs <= this.#world.config.repliesMs);
      if (must && answers.get(event.seq)?.text !== outcome.text)
        wrong(`the outcome of seq ${event.seq} isn't in it (ONE3)`);
    }
  }

  /** An instance that lived before its database was restored may have read the log anew since: stamps tell which it saved. */
  #ofLog({ past }: Instance, truth: Truth, manifest: string): void {
    const { attempt, seq, stamp } = JSON.parse(manifest) as { attempt: string; seq: number; stamp: number };
    const knows = past?.takes.some(({ row }) => row.last === seq && row.stamp === stamp) === true;
    this.#logs.set(attempt, upTo(knows ? past : truth.past, seq));
  }

  /** No secret of an event whose key was erased since stands in what is written after that. */
  #erased(by: Instance, truth: Truth, { seq, text }: DecodedSnapshot): void {
    for (const [, id] of text.matchAll(/secret of ([a-z]+-\d+-\d+)/g)) {
      const events = truth.events.filter((one) => one.id === id && one.seq <= seq);
      const erased = events.length > 0 ? truth.model.erasedUpTo(events[0]!.key) : 0;
      if (erased <= seq && events.every((one) => one.seq < erased))
        this.#fail(`${by.name} wrote a snapshot at ${seq} with what ${id} said, which seq ${erased} erased`);
    }
  }

  /** Returns the file with the parts before it, or null if further parts follow. */
  #joined(name: string, read: DecodedSnapshot): DecodedSnapshot | null {
    if (read.part === null) return read;
    const [number, last] = read.part;
    const attempt = name.replace(/\.\d+\.kfs$/, "");
    const before = number === 1 ? [] : this.#parts.get(attempt);
    if (before === undefined) this.#fail(`${name} was written before the parts below it`);
    const entries = [...(before ?? []), ...read.entries];
    this.#parts.set(attempt, entries);
    this.#world.trace.count("parts of snapshots");
    return last === 1 ? { ...read, entries } : null;
  }

  /** The state that a recovery would read from it and the files that it builds on, or null if there are none. */
  #whole(by: Instance, attempt: string, snapshot: DecodedSnapshot): Whole | null {
    const { base, seq, operatorVersion, entries, answers, quarantine } = snapshot;
    const states = (this.#states[by.slot.name] ??= new Map<string, Whole>());
    const none = { entries: [], answers: [], quarantine: [] };
    const below =
      base === 0 ? none : (this.#current(by.slot, base, operatorVersion) ?? states.get(`${base} ${operatorVersion}`));
    if (below === undefined) return null;
    const whole: Whole = {
      seq,
      operatorVersion,
      entries: new Map(below.entries),
      answers: new Map([...below.answers, ...answers]),
      quarantine: new Map(below.quarantine),
    };
    for (const line of quarantine) {
      if (line.event === undefined) whole.quarantine.delete(line.seq);
      else whole.quarantine.set(line.seq, line);
    }
    for (const [key, entry] of entries) {
      if (entry === null) whole.entries.delete(key);
      else whole.entries.set(key, entry);
    }
    states.set(`${seq} ${operatorVersion}`, whole);
    this.#attempts.set(attempt, whole);
    return whole;
  }

  /** Of the manifest that is current, if it is of this seq. */
  #current({ name, address }: Slot, seq: number, version: number): Whole | undefined {
    const row = this.#world.database(address.database).rows.get(name);
    const whole = row === undefined ? undefined : this.#attempts.get(row.attempt);
    return whole?.seq === seq && whole.operatorVersion === version ? whole : undefined;
  }

  #archive(by: Instance, truth: Truth, bytes: Uint8Array): void {
    const archived = this.#archived.get(by.slot) ?? new Set();
    this.#archived.set(by.slot, archived);
    const { mark } = by.slot;
    for (const row of decodeArchive(bytes)) {
      archived.add(named(row));
      if (mark === null || (lives(row.epoch) >= lives(mark.epoch) && mark.head < row.last))
        this.#fail(
          `${by.name} archived seq ${row.last}, though its object knows of ${mark?.head ?? "nothing"} (MARK3)`,
        );
      const logged = truth.rows.find((one) => one.seq === row.seq);
      if (by.past !== null && logged?.group !== row.group) continue;
      if (
        logged === undefined ||
        logged.last !== row.last ||
        logged.stamp !== row.stamp ||
        logged.payload !== row.payload
      )
        this.#fail(`${by.name} archived a segment at ${row.seq} that isn't in the log (LOG5)`);
      truth.archived.add(row.seq);
    }
  }
}

const lives = (epoch: number): number => Math.floor(epoch / 1_000_000);

const named = ({ seq, group }: { readonly seq: number; readonly group: string }): string => `${seq} ${group}`;
