/**
 * The oracle: knows what the stores really did, and says whether what the engine does and answers is right. It shares no
 * code with the engine.
 *
 * Checked all the time: the log itself (truth.ts); one effective writer for each epoch; no write by an instance that ended
 * itself (LOG2); answers tell what is in the log, the first outcome and reply included, and call an event new once (LOG1,
 * ONE1); reads show states that the log gives, never older than what the instance showed or found (LOG1); every snapshot
 * and archive holds exactly what the log says (SNAP1, LOG5); what becomes current is there, and names no generation
 * that is known to be damaged (SNAP2, SNAP4); nothing reachable is deleted; names are used once; bounded queues (LOG6).
 */
import { FRESH_MS, STORE_TIMEOUT_MS } from "../../src/engine/base/limits.ts";
import type { Appended } from "../../src/engine/base/ports.ts";
import type { PartitionRow, Point, Promotion, Retention, Roots } from "../../src/engine/base/records.ts";
import type { Segment } from "../../src/engine/base/records.ts";
import { Calls } from "./calls.ts";
import type { OperatorName } from "./configuration.ts";
import { filesOf, reached, type QuarantineLine } from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Instance } from "./instance.ts";
import { Kept } from "./kept.ts";
import { isCommand, isEdit, type Logged, type Shown } from "./model.ts";
import { Saved } from "./saved.ts";
import { Truth, type Past } from "./truth.ts";
import type { World } from "./world.ts";

const WRITES = new Set(["append", "open", "create", "promote", "put", "delete"]);

/** When a promotion was sent, and the files that were known to be damaged by then: it may act much later. */
interface Sent {
  readonly sentMs: number;
  readonly damaged: ReadonlySet<string>;
}

/** Of a manifest's text: the keys whose states can't be migrated. There is one such key at most. */
interface Unmigrated {
  readonly attempt: string;
  readonly unmigrated?: { readonly keys: number; readonly some: readonly (readonly [key: string, version: number])[] };
}

export class Oracle {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #truths = new Map<string, Truth>();
  readonly #taken = new Map<string, number>();
  /** Stamp of each group as it was last sent. */
  readonly #stamps = new Map<string, number>();
  /** Up to where the log of a partition was cut. */
  readonly #cuts = new Map<string, number>();
  /** Every name that was ever put, and whether the engine deleted it. */
  readonly #names = new Map<string, "there" | "deleted">();

  /** The highest that a partition ever had. */
  readonly #highest = new Map<string, { readonly epoch: number; readonly version: number }>();
  /** Events that were logged, and are lost since their database was restored to an older point. */
  readonly #givenUp = new Set<string>();
  /** The oracle of retention. */
  readonly kept: Kept;
  /** The oracle of snapshots and archives. */
  readonly saved: Saved;
  /** The oracle of answers to events. */
  readonly calls: Calls;

  constructor(world: World) {
    this.#world = world;
    this.kept = new Kept(world, (what) => this.fail(what));
    this.saved = new Saved(world, (what) => this.fail(what));
    this.calls = new Calls(world, (what) => this.fail(what));
  }

  fail(what: string): void {
    this.violations.push(what);
    this.#world.trace.say("VIOLATION", () => what);
  }

  truth(slot: string): Truth {
    let truth = this.#truths.get(slot);
    if (truth === undefined) {
      truth = new Truth(this.#world.config, slot.split("/")[1] as OperatorName);
      this.#truths.set(slot, truth);
    }
    return truth;
  }

  head(slot: string): number {
    return this.truth(slot).head;
  }

  // ---- databases that are restored to an older point ----

  /** The partition's past in the database is this one from now on: somebody has restored the database, or decided so. */
  travelled(slot: Slot, past: Past): void {
    const { name, address } = slot;
    const before = this.truth(name);
    const truth = Truth.from(this.#world.config, address.operator as OperatorName, past);
    this.#truths.set(name, truth);
    for (const one of before.byName.keys()) if (!truth.byName.has(one)) this.#givenUp.add(one);
    for (const row of this.saved.archivedOf(slot)) truth.archived.add(row);
    const database = this.#world.database(address.database);
    const epoch = Math.max(database.rows.get(name)?.epoch ?? 0, truth.rows.at(-1)?.epoch ?? 0);
    this.#taken.set(name, epoch);
    this.#cuts.set(name, (database.segments.get(name)?.[0]?.seq ?? truth.head + 1) - 1);
    for (const one of slot.instances) one.travelled();
    this.kept.travelled(slot);
  }

  /** Somebody has decided with which row it continues: no writer and no snapshot of before comes again (ADOPT2 of adopt.ts). */
  begins({ short, name }: Slot, { epoch, version }: PartitionRow): void {
    const highest = this.#highest.get(name) ?? { epoch: 0, version: 0 };
    if (Math.floor(epoch / 1_000_000) <= Math.floor(highest.epoch / 1_000_000) || version < highest.version)
      this.fail(
        `${short} resumes with epoch ${epoch} and version ${version}, though ${highest.epoch} and ${highest.version} were taken (LOG2, SNAP2)`,
      );
  }

  /** This much of it will be known, whatever D1 says: it stands in R2, or in the object's own storage. */
  reached({ name }: Slot, epoch: number, version: number): void {
    const highest = this.#highest.get(name) ?? { epoch: 0, version: 0 };
    this.#highest.set(name, { epoch: Math.max(highest.epoch, epoch), version: Math.max(highest.version, version) });
  }

  /** It was acknowledged, and is lost with the database that knew of it. */
  isGivenUp(name: string): boolean {
    return this.#givenUp.has(name);
  }

  /**
   * An instance that began after the database was restored doesn't resume from there if its object knows of more
   * (REWIND1). Facts of an earlier incarnation don't count.
   */
  mustNotGoOn({ slot, mark, name, generation }: Instance): void {
    // An instance that lived then has other means of finding out.
    if (generation !== this.#world.generation(slot.address.database)) return;
    const lives = (epoch: number): number => Math.floor(epoch / 1_000_000);
    const { rows, segments } = this.#world.database(slot.address.database);
    const row = rows.get(slot.name);
    if (mark === null || row === undefined) return;
    const tail = segments.get(slot.name)?.at(-1);
    const epoch = Math.max(row.epoch, tail?.epoch ?? 0);
    const head = tail?.last ?? row.snapshotSeq;
    if (lives(epoch) > lives(mark.epoch)) return;
    if (epoch < mark.epoch || row.version < mark.version || head < mark.head)
      this.fail(
        `${name} resumes from epoch ${epoch}, version ${row.version}, seq ${head}, though its object knows of ${mark.epoch}, ${mark.version}, ${mark.head}`,
      );
  }

  // ---- instances ----

  began(by: Instance): void {
    this.truth(by.slot.name).readBy(by.version);
  }

  died(by: Instance): void {
    this.calls.died(by);
  }

  called(by: Instance, method: string): void {
    if (by.ended !== null && WRITES.has(method))
      this.fail(`${by.name} calls ${method} after it ended itself: ${by.ended}`);
  }

  // ---- the log ----

  opened(by: Instance, epoch: number): void {
    const { name } = by.slot;
    const { owners } = this.truth(name);
    const owner = owners.get(epoch);
    if (owner !== undefined) this.fail(`${by.name} and ${owner.name} both have epoch ${epoch} (LOG2)`);
    owners.set(epoch, by);
    this.#taken.set(name, Math.max(this.#taken.get(name) ?? 0, epoch));
    by.epoch = epoch;
  }

  appended(by: Instance, rows: readonly Segment[], held: number, verdict: Appended): void {
    const { trace } = this.#world;
    const { name } = by.slot;
    let taken = this.#taken.get(name) ?? 0;
    const truth = this.truth(name);
    const [{ group, stamp }] = rows as readonly [Segment];
    if ((this.#stamps.get(group) ?? stamp) !== stamp) trace.count("stamps made anew");
    this.#stamps.set(group, stamp);
    if (verdict === "refused") {
      trace.count("commits refused");
      if (held < taken) trace.count("zombie writes refused");
      else if (held < rows[0]!.epoch) trace.count("claims refused");
      else this.#headKnown(by, truth, rows[0]!);
      return;
    }
    trace.count("commits");
    // It had heard of nothing that is gone.
    if (by.past !== null && truth.isBegunBy(by.past)) by.past = null;
    if (by.past === null) this.mustNotGoOn(by);
    if (held !== taken)
      this.fail(`${by.name} logged ${rows[0]!.seq} on epoch ${held}, though ${taken} was taken (LOG2)`);
    if (held < rows[0]!.epoch) {
      trace.count("claims");
      taken = rows[0]!.epoch;
      this.opened(by, taken);
    }
    const lowest = Math.min(by.version, ...this.#world.host.running(by.slot).map((one) => one.version));
    for (const row of rows) {
      if (row.epoch !== taken)
        this.fail(`${by.name} logged ${row.seq} with epoch ${row.epoch}, though ${taken} was taken (LOG2)`);
      // After D1 was restored to an older point two may hold the same one (headKnown).
      const lived = by.generation !== this.#world.generation(by.slot.address.database);
      if (!lived && truth.owners.get(row.epoch) !== by)
        this.fail(`${by.name} logged ${row.seq} with an epoch that isn't its own`);
      const { head } = truth;
      const flaw = truth.take(row, lowest, this.#world.clock.now());
      if (flaw !== null) this.fail(`${by.slot.name}: ${flaw}`);
      for (const event of truth.events.slice(head)) this.#countLogged(event);
    }
  }

  /** So that what the simulator is for can be seen to happen. */
  #countLogged({ type, outcome, data }: Logged): void {
    const { trace } = this.#world;
    const code = outcome?.tag === "r" ? (JSON.parse(outcome.text) as [string])[0] : null;
    if (code === "too_many_keys") trace.count("too many keys");
    if (!isCommand(type)) return;
    if (code === "precondition_failed") trace.count("edits refused");
    else if (code === "not_quarantined") trace.count("commands on nothing");
    else if (isEdit(type) && code === null) trace.count(type.endsWith("erase") ? "erasures" : "edits");
    else if (type.endsWith("retry")) trace.count(outcome?.tag === "q" ? "retries that threw again" : "retries applied");
    else if (code === null) trace.count("quarantined events deleted");
    if (Array.isArray(data["if"]) && code === null) trace.count("edits by tag");
  }

  /** Who holds the epoch knows where the log ends: only its own group, sent again, may be refused for its seq. */
  #headKnown(by: Instance, truth: Truth, row: Segment): void {
    // Where its database was restored to an older point since, its epoch may be another's as well; the seq keeps them apart.
    if (by.generation !== this.#world.generation(by.slot.address.database)) return;
    const there = truth.rows.find((one) => one.seq === row.seq);
    if (row.seq > truth.head + 1 || (row.seq <= truth.head && there?.group !== row.group))
      this.fail(`${by.name} holds epoch ${row.epoch} and begins at ${row.seq}, the log ends at ${truth.head} (LOG2)`);
  }

  promoted(by: Instance, to: Promotion, verdict: "current" | "refused", before: PartitionRow, sent: Sent): void {
    const { trace } = this.#world;
    if (verdict === "refused") {
      trace.count("promotions refused");
      if (to.epoch < (this.#taken.get(by.slot.name) ?? 0)) trace.count("zombie writes refused");
      const cut = (this.#world.database(by.slot.address.database).segments.get(by.slot.name)?.[0]?.seq ?? 1) - 1;
      if (cut > (this.#cuts.get(by.slot.name) ?? 0))
        this.fail(`${by.name} was refused, and cut the log up to ${cut} (SNAP2)`);
      return;
    }
    trace.count("snapshots");
    if (by.past === null) this.mustNotGoOn(by);
    if ((JSON.parse(to.manifest) as { kind: string }).kind === "delta") trace.count("deltas");
    const { name } = by.slot;
    const truth = this.truth(name);
    const after = this.#world.database(by.slot.address.database).rows.get(name)!;
    const wrong = (what: string): void => this.fail(`${by.name} made version ${to.version + 1} current: ${what}`);
    if (to.epoch !== (this.#taken.get(name) ?? 0))
      wrong(`with epoch ${to.epoch}, though another one was taken (SNAP2)`);
    if (after.version !== before.version + 1) wrong(`the version went from ${before.version} to ${after.version}`);
    if (to.seq < before.snapshotSeq && !this.#rolledBack(before, to))
      wrong(`it is at ${to.seq}, the one before at ${before.snapshotSeq} (SNAP2)`);
    if (to.seq > truth.head) wrong(`it is at ${to.seq}, the log ends at ${truth.head} (SNAP1)`);
    for (const file of reached(after)) {
      if (this.#names.get(file) !== "there" && !this.kept.isLost(file)) wrong(`${file} is not there`);
    }
    const archive = (JSON.parse(to.manifest) as { archive: { name: string } }).archive.name;
    if (this.#names.get(archive) !== "there") wrong(`its archive ${archive} is not there (LOG5)`);
    if (to.previous !== null && to.previous === to.manifest) wrong("it is its own older generation (SNAP4)");
    const damaged = to.previous === null ? undefined : filesOf(to.previous).find((file) => sent.damaged.has(file));
    if (damaged !== undefined) wrong(`${damaged} is known to be damaged and counts as a generation (SNAP4)`);
    const own = new Set(filesOf(to.manifest));
    const shared = to.previous === null ? undefined : filesOf(to.previous).find((file) => own.has(file));
    if (shared !== undefined) wrong(`${shared} is in both generations (SNAP4)`);
    const { attempt, unmigrated } = JSON.parse(to.manifest) as Unmigrated;
    const failing = this.saved.unmigratedIn(attempt);
    if (failing.length > 0) trace.count("snapshots with what can't be migrated");
    if (
      (unmigrated?.some ?? [])
        .map(([key]) => key)
        .sort()
        .join(" ") !== failing.join(" ") ||
      (unmigrated?.keys ?? 0) !== failing.length
    )
      wrong(`it says that ${JSON.stringify(unmigrated)} can't be migrated, and those are ${JSON.stringify(failing)}`);
    this.#cut(by, before, wrong);
    this.kept.promoted(by, before, to, sent.sentMs);
  }

  retained(by: Instance, retention: Retention, before: readonly Point[], roots: Roots | null): void {
    this.kept.retained(by, retention, before, this.#taken.get(by.slot.name) ?? 0, roots);
  }

  /** After a rollback older code begins again from its own last snapshot. */
  #rolledBack(before: PartitionRow, to: Promotion): boolean {
    const version = (text: string): number => (JSON.parse(text) as { operatorVersion: number }).operatorVersion;
    return before.manifest !== null && version(before.manifest) > version(to.manifest);
  }

  /** D1 holds the end of the log, and archives hold the rest (LOG4, LOG5). */
  #cut(by: Instance, before: PartitionRow, wrong: (what: string) => void): void {
    const { name, address } = by.slot;
    const truth = this.truth(name);
    const kept = this.#world.database(address.database).segments.get(name) ?? [];
    const from = kept[0]?.seq ?? truth.head + 1;
    if (kept.length > 0 && truth.rows.at(-kept.length)?.seq !== from) wrong("the log in D1 is not the end of the log");
    const cutBefore = this.#cuts.get(name) ?? 0;
    if (from - 1 > Math.max(cutBefore, before.snapshotSeq))
      wrong(`the log is cut up to ${from - 1}, the manifest before is at ${before.snapshotSeq} (LOG5)`);
    this.#cuts.set(name, from - 1);
    for (const { seq } of truth.rows) {
      if (seq >= from) break;
      if (!truth.archived.has(seq)) wrong(`the segment at ${seq} was cut and stands in no archive (LOG5)`);
    }
  }

  // ---- objects ----

  putting(by: Instance, name: string): void {
    if (this.#names.has(name)) this.fail(`${by.name} uses the name ${name} again (SNAP2)`);
  }

  put(by: Instance, name: string, bytes: Uint8Array): void {
    this.#names.set(name, "there");
    const [, version = 0, epoch] = /\/(?:(\d{10})-)?(\d{10})-\d{6}-[^/]+$/.exec(name)!;
    this.reached(by.slot, Number(epoch), Number(version));
    this.saved.put(by, name, bytes);
  }

  deleted(by: Instance, names: readonly string[]): void {
    this.kept.deleting(by, names);
    for (const name of names) this.#names.set(name, "deleted");
  }

  /** Names that were deleted, of the partition's. */
  deletedOf(slot: Slot): string[] {
    const own = [...this.#names].filter(([name, is]) => is === "deleted" && name.startsWith(`${slot.name}/`));
    return own.map(([name]) => name);
  }

  // ---- what is shown ----

  /**
   * An instance's state of a key. `shown` is what it was known to show when it was asked. Events that were logged some
   * seconds before by others must show too, unless D1 didn't answer when the instance asked for its epoch. (What it
   * logged itself it may not have heard of yet; nobody was told of that.)
   */
  read(by: Instance, key: string, entry: Shown | null, shown: number, askedMs: number): void {
    if (by.past !== null) return;
    this.mustNotGoOn(by);
    const truth = this.truth(by.slot.name);
    const fresh =
      by.knowsTime && by.unheardMs < askedMs ? truth.headAt(askedMs - FRESH_MS - STORE_TIMEOUT_MS, by.epoch) : 0;
    const view = { version: by.version, floor: Math.max(shown, by.firstHead, fresh), cut: truth.head };
    const flaw = truth.model.check(key, entry, view);
    if (flaw !== null) this.fail(`${by.name} shows key ${key} wrongly: ${flaw}`);
    if (entry?.version !== undefined) this.#world.trace.count("states shown that can't be migrated");
    if (entry !== null) by.shown = Math.max(by.shown, entry.seq);
  }

  /** The quarantine, read in pages. */
  quarantined(by: Instance, lines: readonly QuarantineLine[], shown: number): void {
    if (by.past !== null) return;
    const truth = this.truth(by.slot.name);
    const view = { floor: Math.max(shown, by.firstHead), cut: truth.head };
    const flaw = truth.model.checkQuarantine(lines, view);
    if (flaw !== null) this.fail(`${by.name} shows the quarantine wrongly: ${flaw}`);
  }

  /** A scan: every key that must be there is, none twice, in the order of their bytes. */
  scanned(by: Instance, items: readonly (readonly [string, Shown])[], shown: number, askedMs: number): void {
    const entries = new Map(items);
    const keys = items.map(([key]) => Buffer.from(key));
    const ordered = keys.slice(1).every((key, i) => Buffer.compare(keys[i] as Buffer, key) < 0);
    if (!ordered) this.fail(`${by.name} scans out of order: ${items.map(([key]) => key).join(" ")}`);
    for (const key of new Set([...this.truth(by.slot.name).model.keys(), ...entries.keys()]))
      this.read(by, key, entries.get(key) ?? null, shown, askedMs);
  }
}
