/**
 * The oracle's share of retention: what must stay, computed from the policy by itself, and what must be gone at the end.
 *
 * KEPT1. Nothing that is reachable is deleted: both generations, what a rollback needs, restore points, pinned ones above all.
 * KEPT2. Files that a promotion displaced stay for the grace, as long as every clock of the partition went as it should.
 * KEPT3. State at any moment of the retention time can be had: from a snapshot at or before it, or from the first event, and
 *     the archive above that.
 * KEPT4. A restore point gives back the state of its seq.
 * KEPT5. A savepoint keeps two snapshots at or before it, the next one after it, and the archives between, as long as its
 *     database holds it.
 * KEPT6. At the end nothing is left that nobody reaches, and no restore point that nobody asked for.
 */
import type { Pin, Point, Promotion, Retention, Roots } from "../../src/engine/base/records.ts";
import { decodeArchive, decodeSnapshot, reached } from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Instance } from "./instance.ts";
import type { Shown } from "./model.ts";
import type { World } from "./world.ts";

const GRACE_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;

/** Of a manifest's text, what retention goes by. */
interface Made {
  readonly version: number;
  readonly stamp: number;
  readonly seq: number;
  readonly attempt: string;
  readonly operatorVersion: number;
  readonly history?: readonly (readonly [number, string])[];
  readonly chain?: readonly unknown[];
}
function made(text: string): Made {
  const { number, ...rest } = JSON.parse(text) as Omit<Made, "version"> & { readonly number: number };
  return { version: number, ...rest };
}

const versionOf = (name: string): number => Number(/\/(\d{10})-[^/]+\.kfm$/.exec(name)?.[1] ?? 0);

export class Kept {
  readonly #world: World;
  readonly #fail: (what: string) => void;
  /** When a promotion that displaced it was sent, which is when its sender's clock was read. */
  readonly #displaced = new Map<string, number>();
  /** When newer code last replaced the snapshot of an operator version. */
  readonly #replaced = new Map<Slot, Map<number, number>>();

  /** Objects that a database at an older point reaches, though they were given up since. */
  readonly #lost = new Set<string>();
  /** Partitions of which archives were given up that a database at an older point counts on. */
  readonly #holes = new Set<Slot>();

  constructor(world: World, fail: (what: string) => void) {
    this.#world = world;
    this.#fail = fail;
  }

  #kept(slot: Slot): {
    readonly points: readonly Point[];
    readonly pins: readonly Pin[];
    retainFrom: number;
    archiveFrom: number;
  } {
    const none = { points: [], pins: [], retainFrom: 0, archiveFrom: 0 };
    return this.#world.database(slot.address.database).kept.get(slot.name) ?? none;
  }

  #row(slot: Slot) {
    return this.#world.database(slot.address.database).rows.get(slot.name);
  }

  #reached(slot: Slot): Set<string> {
    const row = this.#row(slot);
    return new Set([
      ...(row === undefined ? [] : reached(row)),
      ...this.#kept(slot).points.flatMap(({ files }) => files),
    ]);
  }

  promoted({ slot }: Instance, before: Parameters<typeof reached>[0], to: Promotion, sentMs: number): void {
    const row = this.#row(slot)!;
    this.#versions(slot, before.manifest, to.manifest);
    const now = reached(row);
    for (const file of reached(before)) {
      if (now.has(file)) continue;
      this.#world.trace.count("objects displaced");
      this.#displaced.set(file, sentMs);
    }
    const was = before.manifest === null ? null : made(before.manifest);
    if (was !== null && !this.#kept(slot).points.some(({ attempt }) => attempt === was.attempt))
      this.#fail(`${slot.short}: version ${was.version} was replaced by ${to.version + 1}, and is no restore point`);
  }

  #versions(slot: Slot, before: string | null, after: string): void {
    if (before === null) return;
    const [was, is] = [made(before).operatorVersion, made(after).operatorVersion];
    const replaced = this.#replaced.get(slot) ?? new Map<number, number>();
    this.#replaced.set(slot, replaced);
    if (was < is) replaced.set(was, this.#world.clock.now());
    for (const version of replaced.keys()) if (version >= is) replaced.delete(version);
  }

  /** Must code of this version be able to go on from what there is, for some time yet (CODE3)? */
  promisesRollback(slot: Slot, to: number, forMs: number): boolean {
    const row = this.#row(slot);
    if (row === undefined || row.manifest === null || made(row.manifest).operatorVersion <= to) return true;
    const { config, clock, disturbed, damage } = this.#world;
    const since = Math.max(
      ...[...(this.#replaced.get(slot) ?? [])].flatMap(([version, ms]) => (version <= to ? [ms] : [])),
    );
    return (
      !disturbed.has(slot) && !damage.struck(slot) && clock.now() + forMs - since < config.retainMs - 2 * config.skewMs
    );
  }

  /** Nothing that is pinned, or that the policy asks for, is given up. */
  retained(by: Instance, to: Retention, before: readonly Point[], taken: number, roots: Roots | null): void {
    if (roots === null) return;
    const { slot } = by;
    if (to.epoch !== taken) this.#fail(`${by.name} gave up history, though it was superseded (SNAP10)`);
    const { points, pins } = this.#kept(slot);
    const left = new Set(points.map(({ version }) => version));
    const gone = before.filter(({ version }) => !left.has(version));
    this.#world.trace.count("restore points given up", gone.length);
    const pinned = gone.find(({ version }) => pins.some((pin) => pin.version === version));
    if (pinned !== undefined) this.#fail(`${by.name} gave up version ${pinned.version}, which is pinned (SNAP10)`);
    const wanted = this.#wanted(slot, before);
    for (const { version } of gone)
      if (wanted.has(version)) this.#fail(`${by.name} gave up version ${version}, which is to be kept`);
  }

  /** Versions that the policy keeps, one rule after the other. */
  #wanted(slot: Slot, points: readonly Point[]): Set<number> {
    const { retain, retainMs } = this.#world.config;
    const row = this.#row(slot)!;
    const current = made(row.manifest!);
    const all = [...points.filter(({ intact }) => intact), current].sort((a, b) => b.version - a.version);
    const nowMs = Math.floor(current.stamp / 1_024);
    const ms = ({ stamp }: { readonly stamp: number }): number => Math.floor(stamp / 1_024);
    const wanted = new Set(all.slice(0, retain.last).map(({ version }) => version));
    const newestIn = (from: number, to: number): void => {
      const found = all.find((one) => ms(one) >= from && ms(one) < to);
      if (found !== undefined) wanted.add(found.version);
    };
    for (const [length, periods] of [
      [HOUR_MS, retain.hourly],
      [24 * HOUR_MS, retain.daily],
    ] as const)
      for (let n = 0, from = nowMs - (nowMs % length); n < periods; n++, from -= length) newestIn(from, from + length);
    newestIn(0, nowMs - retainMs + 1);
    for (const { lower, upper } of this.#besideSavepoints(slot, points)) {
      for (const version of lower) wanted.add(version);
      wanted.add(upper);
    }
    return wanted;
  }

  /** For each savepoint of the slot's database the two newest snapshots at or before it, oldest first, and the next one. */
  #besideSavepoints(
    slot: Slot,
    points: readonly Point[],
  ): { readonly lower: readonly number[]; readonly upper: number }[] {
    const current = made(this.#row(slot)!.manifest!);
    const all = [...points.filter(({ intact }) => intact), current].sort((a, b) => a.version - b.version);
    return [...this.#world.database(slot.address.database).savepoints.values()].map(({ at }) => ({
      lower: all.flatMap(({ version, stamp }) => (stamp <= at ? [version] : [])).slice(-2),
      upper: all.find(({ stamp }) => stamp > at)?.version ?? Number.POSITIVE_INFINITY,
    }));
  }

  /**
   * Is the archive of this version between the snapshots beside a savepoint? With `both` from the second one before it on.
   * Archives from there may be given up already when the savepoint is taken.
   */
  #isBesideSavepoint(slot: Slot, version: number, points: readonly Point[], both: boolean): boolean {
    return this.#besideSavepoints(slot, points).some(({ lower, upper }) => {
      const from = both ? (lower.length === 2 ? lower[0]! : 0) : (lower.at(-1) ?? 0);
      return version > from && version <= upper;
    });
  }

  deleting(by: Instance, names: readonly string[]): void {
    const { slot } = by;
    const there = this.#reached(slot);
    const now = this.#world.clock.now();
    for (const name of names) {
      // An instance from before D1 was restored to an older point deletes what D1 had given up by then.
      if (by.past !== null) this.#loses(slot, name);
      else if (name.endsWith(".kfm")) this.#archiveDeleted(by, name);
      else if (there.has(name)) this.#fail(`${by.name} deleted ${name}, which D1 reaches (SNAP2, SNAP10)`);
      const since = this.#displaced.get(name);
      const honest = !this.#world.disturbed.has(slot);
      if (honest && since !== undefined && now - since < GRACE_MS - 2 * this.#world.config.skewMs)
        this.#fail(`${by.name} deleted ${name} ${now - since} ms after it was displaced (SNAP10: grace)`);
    }
  }

  /** An object that the database at an older point counts on is gone. */
  #loses(slot: Slot, name: string): void {
    if (this.#reached(slot).has(name)) this.#lost.add(name);
    if (name.endsWith(".kfm") && versionOf(name) >= this.#kept(slot).archiveFrom) this.#holes.add(slot);
  }

  /** Nothing that a generation, or who falls back within its chain, would replay. */
  #archiveDeleted(by: Instance, name: string): void {
    const { slot } = by;
    const row = this.#row(slot)!;
    this.#world.trace.count("archives expired");
    const wrong = (why: string): void => this.#fail(`${by.name} deleted archive ${name}, though ${why} (LOG5, SNAP4)`);
    const { points, archiveFrom } = this.#kept(slot);
    const version = versionOf(name);
    if (version >= archiveFrom) wrong(`D1 gives up those below version ${archiveFrom} only`);
    if (points.some(({ attempt }) => name.includes(attempt))) wrong("it is a restore point's");
    if (this.#isBesideSavepoint(slot, version, points, false)) wrong("a read of a savepoint needs it (RETENTION6)");
    const roots = [row.manifest, row.previous].filter((text) => text !== null).map(made);
    const pins = (JSON.parse(row.pins) as string[]).filter((text) => !text.includes("keyframe.roots")).map(made);
    for (const one of [...roots, ...pins])
      if (version > one.version) wrong(`version ${one.version}, a root, is replayed with it`);
    const base = points.findLast(({ stamp }) => stamp === this.#kept(slot).retainFrom);
    if (base !== undefined && version > base.version)
      wrong(`version ${base.version} is what a read may begin from (TIME3)`);
  }

  /** A pin that was taken holds something that is there. */
  pinned(slot: Slot, { version, name }: Pin): void {
    this.#world.trace.count("pins");
    const row = this.#row(slot)!;
    const there = [made(row.manifest!).version, ...this.#kept(slot).points.map((point) => point.version)];
    if (!there.includes(version))
      this.#fail(`${slot.short}: pin ${name} holds version ${version}, which is given up (SNAP10)`);
  }

  /** The database says something else from now on. */
  travelled(slot: Slot): void {
    const { store, oracle, disturbed } = this.#world;
    // The time of a displacement, and its clock, isn't known any more.
    disturbed.add(slot);
    for (const name of this.#reached(slot)) if (!store.objects.has(name)) this.#lost.add(name);
    const { archiveFrom } = this.#kept(slot);
    const given = oracle.deletedOf(slot).some((name) => name.endsWith(".kfm") && versionOf(name) >= archiveFrom);
    if (given) this.#holes.add(slot);
    else this.#holes.delete(slot);
  }

  isLost(name: string): boolean {
    return this.#lost.has(name);
  }

  // ---- the end ----

  /** After the last garbage collection (KEPT3, KEPT4, KEPT6). */
  check(slot: Slot): void {
    const row = this.#row(slot);
    if (row === undefined || row.manifest === null) return;
    const { store } = this.#world;
    const names = [...store.objects.keys()].filter((name) => name.startsWith(`${slot.name}/`));
    const { points, pins, archiveFrom } = this.#kept(slot);
    const there = this.#reached(slot);
    const past = (name: string): boolean => (/(\d{10}-\d{6})-[^/]+$/.exec(name)?.[1] ?? "") < row.attempt.slice(0, 17);
    for (const name of names) {
      if (name.endsWith(".kfs") && !there.has(name) && past(name))
        this.#fail(`${name} is left, and nothing reaches it`);
      if (
        name.endsWith(".kfm") &&
        versionOf(name) < archiveFrom &&
        !points.some(({ attempt }) => name.includes(attempt)) &&
        !this.#isBesideSavepoint(slot, versionOf(name), points, true)
      )
        this.#fail(`${name} is left, though archives below version ${archiveFrom} are given up`);
    }
    for (const name of there)
      if (!names.includes(name) && !this.#world.damage.hit(name) && !this.#lost.has(name))
        this.#fail(`${name} is gone, though D1 reaches it`);
    this.#pointsAsked(slot, points, pins);
    for (const point of points) this.#readable(slot, point);
    this.#reaches(slot, names);
  }

  #pointsAsked(slot: Slot, points: readonly Point[], pins: readonly Pin[]): void {
    const row = this.#row(slot)!;
    const wanted = this.#wanted(slot, points);
    const roots = [row.manifest, row.previous, ...(JSON.parse(row.pins) as string[])].filter((text) => text !== null);
    const named = new Set(roots.filter((text) => !text.includes("keyframe.roots")).map((text) => made(text).version));
    // The newest of this and the last period of that length: one of them will be what a read begins from.
    const periods = new Set<number>();
    const length = this.#world.config.retainMs;
    for (const { version, stamp, intact } of points.toReversed()) {
      const period = Math.floor(Math.floor(stamp / 1_024) / length);
      const newest = intact && !periods.has(period);
      if (intact) periods.add(period);
      if (wanted.has(version) || named.has(version) || newest || pins.some((pin) => pin.version === version)) continue;
      this.#fail(`${slot.short}: version ${version} is still a restore point, and nothing asks for it`);
    }
  }

  /** The state that its files give is the state of its seq. */
  #readable(slot: Slot, { version, files, seq, intact }: Point): void {
    const { store, oracle, trace, damage } = this.#world;
    if (!intact || files.some((name) => damage.hit(name) || this.#lost.has(name))) return;
    const entries = new Map<string, Shown>();
    let made = 0;
    for (const name of files) {
      const file = decodeSnapshot(store.objects.get(name)!);
      made = file.operatorVersion;
      for (const [key, entry] of file.entries) {
        if (entry === null) entries.delete(key);
        else entries.set(key, entry);
      }
    }
    const { model } = oracle.truth(slot.name);
    for (const key of new Set([...model.keys(), ...entries.keys()])) {
      const flaw = model.check(key, entries.get(key) ?? null, { version: made, floor: seq, cut: seq });
      if (flaw !== null) this.#fail(`${slot.short}: restore point ${version}, key ${key}: ${flaw}`);
    }
    trace.count("restore points read");
  }

  /** From what a read of the oldest promised moment begins with, the log has no hole. */
  #reaches(slot: Slot, names: readonly string[]): void {
    const { config, damage, oracle, store } = this.#world;
    const row = this.#row(slot)!;
    const { points, retainFrom } = this.#kept(slot);
    const current = made(row.manifest!);
    if (retainFrom > 0 && Math.floor(retainFrom / 1_024) > Math.floor(current.stamp / 1_024) - config.retainMs)
      this.#fail(`${slot.short}: history is kept from ${retainFrom}, which is less than it should be (TIME3)`);
    const base = [...points, current].findLast(({ stamp }) => stamp <= retainFrom);
    if (retainFrom > 0 && base === undefined)
      return this.#fail(`${slot.short}: no restore point is at or before ${retainFrom} (TIME3)`);
    const archives = names.filter((name) => name.endsWith(".kfm"));
    if (this.#holes.has(slot)) return;
    if (archives.some((name) => damage.hit(name)) || !damage.archivesWhole(slot)) return;
    const db = this.#world.database(slot.address.database);
    const named = ({ seq, group }: { readonly seq: number; readonly group: string }): string => `${seq} ${group}`;
    const held = new Set([
      ...archives.flatMap((name) => decodeArchive(store.objects.get(name)!).map(named)),
      ...(db.segments.get(slot.name) ?? []).map(named),
    ]);
    const hole = oracle.truth(slot.name).rows.find((row) => row.seq > (base?.seq ?? 0) && !held.has(named(row)));
    if (hole !== undefined)
      this.#fail(
        `${slot.short}: the segment at ${hole.seq} is nowhere, and reads may begin at ${base?.seq ?? 0} (TIME3)`,
      );
  }

  /** Archives were given up that D1 counts on. */
  hasHoles(slot: Slot): boolean {
    return this.#holes.has(slot);
  }

  /** Can all of the log still be replayed? */
  wholeLog(slot: Slot): boolean {
    return this.#kept(slot).archiveFrom <= 1 && !this.#holes.has(slot);
  }

  /** Every restore point's files, for those who want to lose them. */
  files(slot: Slot): Set<string> {
    return this.#reached(slot);
  }
}
