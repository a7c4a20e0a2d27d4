/**
 * The model of `ledger`: which events a key saw, in which order, each once, since it was last edited; and the quarantine.
 *
 * LEDGERMODEL1. An event that was applied under a newer version throws when an older one replays it (rollback), and stands in that
 *     one's quarantine instead; or it is refused. So of what older code may have read it is only asked that it counts
 *     at most once, and stands where the log allows it; all else is asked to the letter.
 * LEDGERMODEL2. An edit leaves the same in every version, whatever stood there before. An erased key is gone in all of them.
 * LEDGERMODEL3. A command finds what everything before it in the log has left, whether that was in the log when it was decided or not.
 * LEDGERMODEL4. Code that can't migrate a key's state takes no event for it, and quarantines what it replays of it. So
 *     of that key only this is asked once such code has read it: every event that was acknowledged counts or is in the
 *     quarantine, until a command takes it out.
 */
import type { QuarantineLine } from "./decoder.ts";
import { Held } from "./held.ts";
import {
  DELETE,
  ERASE,
  holds,
  isEdit,
  outcomeFlaw,
  PUT,
  refusal,
  RETRY,
  type Logged,
  type Model,
  type Shown,
  type View,
} from "./model.ts";

/** Notes that a key takes before those throw that are told to (`full` in operators.ts). */
const FULL = 3;

/** A note that counts. */
interface Note {
  readonly kind: "note";
  readonly seq: number;
  /** The event that this seq put into the key's list: itself, or the one that was retried. */
  readonly target: Logged;
  /** Other code may have seen it otherwise. */
  open: boolean;
  /** A command took it out of the quarantine, where it was there. */
  dropped: boolean;
}
/** Everything before it is gone. */
interface Edited {
  readonly kind: "put" | "gone";
  readonly seq: number;
  readonly hash: number;
  readonly token: string;
}
type Change = Note | Edited;

export class LedgerModel implements Model {
  readonly #events: (seq: number) => Logged;
  readonly #maxKeys: number;
  readonly #keys = new Map<string, Change[]>();
  readonly #quarantine: Held;
  readonly #erased = new Map<string, number>();
  readonly #tokens = new Map<number, string>();
  /** The key that version 2 can't migrate, and whether that version has ever read it. */
  readonly #unmigratable: string | null;
  #unmended = false;

  constructor(events: (seq: number) => Logged, maxKeys: number, unmigratable: string | null) {
    this.#events = events;
    this.#maxKeys = maxKeys;
    this.#unmigratable = unmigratable;
    this.#quarantine = new Held(events);
  }

  take(event: Logged): string | null {
    if (event.type === RETRY || event.type === DELETE) return this.#command(event);
    if (isEdit(event.type)) return this.#edit(event);
    const wanted = refuses(event, event.version) ? "r" : this.#throws(event, event.version) ? "q" : "a";
    if (wanted === "a" && this.#overfull(event.key)) return this.#tooMany(event);
    const flaw = outcomeFlaw(event, wanted);
    if (flaw !== null || wanted === "r") return flaw;
    if (wanted === "q") {
      this.#quarantine.add(event);
      return null;
    }
    return this.#counts(event, event, from(event) > event.lowest || this.#isUnmended(event.key));
  }

  /** Does the handler throw, where it doesn't refuse? */
  #throws(event: Logged, version: number): boolean {
    return from(event) > version || (event.data["full"] === true && this.#notes(event.key).length >= FULL);
  }

  /** The note counts at this seq. */
  #counts(target: Logged, at: Logged, open: boolean): string | null {
    at.reply = JSON.stringify({ seq: at.seq, now: target.atMs });
    if (open) this.#quarantine.open(target.seq);
    this.#put(target.key, { kind: "note", seq: at.seq, target, open, dropped: false });
    if (at.outcome === null || at.outcome.text === at.reply) return null;
    return `the reply to seq ${at.seq} should be ${at.reply}, it is ${at.outcome.text}`;
  }

  #put(key: string, change: Change): void {
    const changes = this.#keys.get(key);
    if (changes === undefined) this.#keys.set(key, [change]);
    else changes.push(change);
  }

  /** Events that count since the last edit. */
  #notes(key: string): Note[] {
    const changes = this.#keys.get(key) ?? [];
    return changes.slice(changes.findLastIndex(({ kind }) => kind !== "note") + 1) as Note[];
  }

  // ---- keys ----

  #isThere(key: string): boolean {
    return (this.#keys.get(key)?.at(-1)?.kind ?? "gone") !== "gone";
  }

  #count(): number {
    return [...this.#keys.keys()].filter((key) => this.#isThere(key)).length;
  }

  /** Is it one key more than there may be? */
  #overfull(key: string): boolean {
    return this.#maxKeys !== Infinity && !this.#isThere(key) && this.#count() >= this.#maxKeys;
  }

  #tooMany(event: Logged): string | null {
    return outcomeFlaw(event, "r", refusal("too_many_keys", { keys: this.#count(), maxKeys: this.#maxKeys }));
  }

  // ---- edits and commands ----

  #edit(event: Logged): string | null {
    const { key, seq, type, data } = event;
    const wanted = type === ERASE || this.#holds(event);
    if (!wanted) return outcomeFlaw(event, "r", refusal("precondition_failed"));
    if (type === PUT && this.#overfull(key)) return this.#tooMany(event);
    const flaw = outcomeFlaw(event, "a");
    if (flaw !== null) return flaw;
    const { hash = 0, token = "" } = (data["state"] ?? {}) as { hash?: number; token?: string };
    this.#put(key, { kind: type === PUT ? "put" : "gone", seq, hash, token });
    if (type !== ERASE) return null;
    this.#erased.set(key, seq);
    this.#quarantine.erase(key, seq);
    return null;
  }

  /** Where other code may have seen the key otherwise its own word counts. */
  #holds(event: Logged): boolean {
    const notes = this.#notes(event.key);
    if (notes.some(({ open }) => open)) return (event.outcome?.tag ?? "a") === "a";
    const last = this.#keys.get(event.key)?.at(-1);
    if (last === undefined || last.kind === "gone") return holds(event.data, null);
    return holds(event.data, { seq: last.seq, isText: (text) => this.#isText(event, text) });
  }

  #isText({ key, version }: Logged, text: string): boolean {
    const changes = this.#keys.get(key)!;
    const edited = changes.findLast((one): one is Edited => one.kind !== "note");
    const seqs = this.#notes(key).map(({ seq }) => seq);
    // A token that nobody was shown yet is taken from there.
    const said = /"token":"([^"]*)"/.exec(text)?.[1] ?? "";
    const token = this.#tokens.get(seqs.at(-1) ?? edited!.seq) ?? said;
    return text === this.#text(edited, this.#notes(key), token, version, key);
  }

  #command(command: Logged): string | null {
    const at = Number(command.data["seq"]);
    const [there, open] = [this.#quarantine.has(at), this.#quarantine.isOpen(at)];
    const tag = command.outcome?.tag ?? "a";
    const nothing = tag === "r" && command.outcome?.text === refusal("not_quarantined");
    if (nothing)
      return !there || open
        ? null
        : `seq ${at} is in quarantine, and its command ${command.seq} was told that it isn't`;
    if (!there && !open) return `the command ${command.seq} took effect on seq ${at}, which isn't in quarantine`;
    const target = this.#events(at);
    if (tag === "r" && command.outcome!.text.startsWith('["migration_failed"')) {
      const may = command.type === RETRY && this.mayBeUnmigrated(target.key, command.version, 0);
      return may ? null : `the command ${command.seq} on seq ${at} says that key ${target.key} can't be migrated`;
    }
    if (command.type === DELETE) {
      this.#quarantine.remove(at, command.seq);
      if (open) this.#loosen(target, true);
      return outcomeFlaw(command, "a");
    }
    if (refuses(target, command.version)) {
      this.#quarantine.remove(at, command.seq);
      this.#loosen(target, true);
      return outcomeFlaw(command, "r", refusal("not_yet", { from: from(target) }));
    }
    if (this.#throws(target, command.version)) return outcomeFlaw(command, "q");
    if (this.#overfull(target.key)) return this.#tooMany(command);
    const flaw = outcomeFlaw(command, "a");
    if (flaw !== null) return flaw;
    this.#quarantine.remove(at, command.seq);
    if (open) this.#loosen(target, false);
    const doubted = open || from(target) > command.lowest || this.#isUnmended(target.key);
    return this.#counts(target, command, doubted);
  }

  #loosen(target: Logged, dropped: boolean): void {
    for (const one of this.#keys.get(target.key) ?? [])
      if (one.kind === "note" && one.target === target) {
        one.open = true;
        one.dropped ||= dropped;
      }
  }

  #isUnmended(key: string): boolean {
    return this.#unmended && key === this.#unmigratable;
  }

  mayBeUnmigrated(key: string, version: number, floor: number): boolean {
    if (version !== 2 || key !== this.#unmigratable) return false;
    // A state that was put can be migrated.
    const changes = this.#keys.get(key) ?? [];
    const edited = changes.findLast(({ kind }) => kind !== "note");
    return edited?.kind !== "put" || edited.seq > floor;
  }

  readBy(version: number): void {
    if (version === 2 && this.#unmigratable !== null) this.#unmended = true;
    for (const [key, changes] of this.#keys)
      for (const one of changes)
        if (one.kind === "note" && (from(one.target) > version || this.#isUnmended(key))) {
          one.open = true;
          this.#quarantine.open(one.target.seq);
        }
  }

  // ---- what is shown ----

  check(key: string, shown: Shown | null, { version, floor, cut }: View): string | null {
    const changes = (this.#keys.get(key) ?? []).filter(({ seq }) => seq <= cut);
    if (shown === null) return missing(changes, floor);
    const { seqs, token } = JSON.parse(shown.text) as { seqs: number[]; token: string };
    const at = changes.findLastIndex(({ kind, seq }) => kind !== "note" && seq <= shown.seq);
    const later = changes.findIndex(({ kind }, i) => i > at && kind !== "note");
    if (later >= 0 && changes[later]!.seq <= floor)
      return `seq ${shown.seq} is shown, though seq ${changes[later]!.seq} must be`;
    const edited = changes[at] as Edited | undefined;
    const notes = changes.slice(at + 1, later < 0 ? undefined : later) as Note[];
    const must = Math.min(cut, Math.max(floor, shown.seq));
    const flaw = seqs.length === 0 ? bareFlaw(edited, notes, shown, must) : flawOf(notes, seqs, shown, must);
    if (flaw !== null) return `${flaw} (it shows ${seqs.join(" ")})`;
    if (shown.version !== undefined && (shown.version !== 1 || !this.mayBeUnmigrated(key, version, 0)))
      return `it is of version ${shown.version}, and version ${version} can migrate it`;
    const { stamp } = this.#events(shown.seq);
    if (stamp !== shown.stamp) return `it has the stamp ${shown.stamp} instead of ${stamp}`;
    const known = seqs.length === 0 ? edited!.token : this.#tokens.get(shown.seq);
    if (known !== undefined && known !== token) return `its token is ${token}, and was ${known} (ONE5)`;
    this.#tokens.set(shown.seq, token);
    const counted = seqs.map((seq) => notes.find((one) => one.seq === seq)!);
    const text = this.#text(edited, counted, token, shown.version ?? version, key);
    return shown.text === text ? null : `it is ${shown.text} instead of ${text}`;
  }

  #text(edited: Edited | undefined, notes: readonly Note[], token: string, version: number, name: string): string {
    const seqs = notes.map(({ seq }) => seq);
    const hash = notes.reduce((sum, { target }) => step(sum, target.id), edited?.kind === "put" ? edited.hash : 7);
    const more =
      version >= 3 ? { length: seqs.length, twice: seqs.length * 2 } : version === 2 ? { length: seqs.length } : {};
    const key = this.#unmigratable === null ? {} : { key: edited?.kind === "put" ? "put" : name };
    return JSON.stringify({ seqs, hash, token, ...key, ...more });
  }

  checkKept(key: string, shown: Shown | null, quarantine: ReadonlySet<number>, cut: number): string | null {
    const changes = (this.#keys.get(key) ?? []).filter(({ seq }) => seq <= cut);
    const at = changes.findLastIndex(({ kind }) => kind !== "note");
    const before = new Set(changes.slice(0, at + 1).flatMap((one) => (one.kind === "note" ? [one.target] : [])));
    const notes = changes.slice(at + 1) as Note[];
    const seqs = new Set(shown === null ? [] : (JSON.parse(shown.text) as { seqs: number[] }).seqs);
    const counted = new Set(notes.flatMap(({ seq, target }) => (seqs.has(seq) ? [target] : [])));
    const lost = notes.find(
      ({ target, dropped }) => !dropped && !before.has(target) && !counted.has(target) && !quarantine.has(target.seq),
    );
    return lost === undefined ? null : `seq ${lost.target.seq} neither counts nor is it in the quarantine`;
  }

  keys(): Iterable<string> {
    return this.#keys.keys();
  }

  checkQuarantine(lines: readonly QuarantineLine[], view: Omit<View, "version">): string | null {
    return this.#quarantine.check(lines, view);
  }

  erasedUpTo(key: string): number {
    return this.#erased.get(key) ?? 0;
  }
}

const from = (event: Logged): number => Number(event.data["from"]);

/** Does the handler of this version refuse it? */
const refuses = (event: Logged, version: number): boolean => from(event) > version && event.data["polite"] === true;

/** Nothing is shown: may that be? */
function missing(changes: readonly Change[], floor: number): string | null {
  if (changes.some(({ kind, seq }) => kind === "gone" && seq > floor)) return null;
  const known = changes.filter(({ seq }) => seq <= floor);
  const since = known.slice(known.findLastIndex(({ kind }) => kind === "gone") + 1);
  const left = since.find((one) => one.kind === "put" || (one.kind === "note" && !one.open));
  return left === undefined ? null : `nothing is shown, though seq ${left.seq} left a state`;
}

/** A state without notes: what an edit left. */
function bareFlaw(edited: Edited | undefined, notes: readonly Note[], shown: Shown, must: number): string | null {
  if (edited?.kind !== "put" || edited.seq !== shown.seq) return `seq ${shown.seq} left no state of it`;
  const missed = notes.find(({ seq, open }) => !open && seq <= must);
  return missed === undefined ? null : `seq ${missed.seq} is missing`;
}

function flawOf(notes: readonly Note[], seqs: readonly number[], shown: Shown, must: number): string | null {
  const targets = new Set<number>();
  let last = 0;
  for (const seq of seqs) {
    const note = notes.find((one) => one.seq === seq);
    if (note === undefined) return `seq ${seq} didn't happen to it`;
    if (seq <= last) return `seq ${seq} comes after ${last}`;
    if (targets.has(note.target.seq)) return `seq ${note.target.seq} counts twice`;
    targets.add(note.target.seq);
    last = seq;
  }
  if (last !== shown.seq) return `it ends at ${last} and says ${shown.seq}`;
  for (const { seq, open } of notes) if (!open && seq <= must && !seqs.includes(seq)) return `seq ${seq} is missing`;
  return null;
}

function step(hash: number, id: string): number {
  let h = hash;
  for (let i = 0; i < id.length; i++) h = (Math.imul(h, 31) + id.charCodeAt(i)) >>> 0;
  return h;
}
