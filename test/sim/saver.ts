/**
 * Somebody takes savepoints, lists, reads and removes them, while everything fails. The calls to the databases and to R2
 * fail like those of an object. A Worker may die at any of them.
 *
 * SAVER1. A savepoint that was answered is promised until its removal is asked for. All databases hold it, and R2 has its object,
 *     which says how far each partition had come (SAVEPOINT2, SAVEPOINT5). A list names it.
 * SAVER2. A read at it gives the state of the log up to it, for as long as it is promised (RETENTION6).
 * SAVER3. Once snapshots cover what was logged up to it, R2 alone gives back each partition as of it. Before, it says how far it
 *     gets, and never that this is all (REBUILDAT3).
 * SAVER4. "Now" holds all that was logged before it was asked for.
 * SAVER5. At the end what the first database holds is held everywhere, and nothing is left of what was removed.
 */
import { Damage, Failure } from "../../src/engine/base/errors.ts";
import { savepointPrefix, stamp, type Stamp } from "../../src/engine/base/ids.ts";
import type { ObjectStore } from "../../src/engine/base/ports.ts";
import type { Retention, Savepoint, Segment } from "../../src/engine/base/records.ts";
import type { Moment } from "../../src/engine/history/moment.ts";
import { pastKeys } from "../../src/engine/history/past.ts";
import { readRecord, storedSavepoints, type SavepointFiles } from "../../src/engine/history/savepoint-object.ts";
import {
  listSavepoints,
  removeSavepoint,
  takeSavepoint,
  unarchivedSince,
  type Stores,
  type Taken,
} from "../../src/engine/history/savepoints.ts";
import { settle } from "../../src/engine/history/settle.ts";
import { rebuildAt } from "../../src/engine/recovery/rebuild-at.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { carried, type Act } from "./act.ts";
import type { Audit } from "./audit.ts";
import type { Slot } from "./host.ts";
import { lastAt, outsideOf } from "./outside.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const NAMES = ["a", "b", "c", "d"];
const LAST_STAMP = stamp(2 ** 53 - 1);

/** A savepoint that was answered. */
interface Promised {
  readonly name: string;
  readonly number: number;
  readonly at: Stamp;
}

export class Saver {
  readonly #world: World;
  readonly #random: Random;
  readonly #promised = new Map<number, Promised>();
  /** Numbers whose removal was asked for. */
  readonly #doomed = new Set<number>();
  /** How many removals of a name are under way. */
  readonly #removing = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("saver");
  }

  start(): void {
    const { config } = this.#world;
    if (config.saveMs === 0) return;
    this.#world.beforeRetain = (slot, retention) => this.#cutIn(slot, retention);
    this.#next();
  }

  /** Cuts in no more: the last garbage collection gives up all that nobody asks for. */
  rest(): void {
    this.#world.beforeRetain = null;
  }

  #next(): void {
    const { clock, config } = this.#world;
    clock.after(this.#random.wait(config.saveMs), () => {
      if (!this.#world.faulty) return;
      const act: Act = { dead: false, end: () => undefined };
      void this.#do(act)
        .catch((error: unknown) => {
          if (!(error instanceof Failure)) this.#world.oracle.fail(`savepoints broke: ${String(error)}`);
          this.#world.trace.count("savepoints in doubt");
        })
        .finally(() => act.end());
      this.#next();
    });
  }

  #do(act: Act): Promise<void> {
    const name = this.#random.pick(NAMES);
    const one = this.#promised.size === 0 ? null : this.#random.pick([...this.#promised.values()]);
    switch (this.#random.weighted({ take: 4, remove: 1, list: 1, read: 3, rebuild: 2 })) {
      case "take":
        return this.#take(act, name);
      case "remove":
        return this.#remove(act, name);
      case "list":
        return this.#list(act);
      case "read":
        return one === null ? Promise.resolve() : this.#read(one, this.#slot());
      default:
        return one === null ? Promise.resolve() : this.#rebuild(one, this.#slot());
    }
  }

  #slot(): Slot {
    return this.#random.pick([...this.#world.host.slots.values()]);
  }

  // ---- what it asks for ----

  async #take(act: Act, name: string): Promise<void> {
    const { clock, oracle, host } = this.#world;
    const moment = this.#moment();
    const now = moment.tag === "now";
    const before = [...host.slots.values()].map((slot) => [slot, oracle.head(slot.name)] as const);
    const floors = this.#world.databases().map((home) =>
      carried(
        this.#world,
        this.#random,
        act,
        this.#world.database(home).floorPort(() => clock.now()),
        home,
      ),
    );
    const found = await settle(clock, floors, moment);
    if (found.tag === "not_settled") return;
    const taken = await takeSavepoint(this.#files(act), this.#stores(act), name, found.at, !now);
    this.#answered(taken);
    if (taken.tag !== "taken" || !taken.isNew || !now) return;
    for (const [slot, head] of before)
      if (this.#seqAt(slot, taken.savepoint.at) < head)
        oracle.fail(
          `savepoint ${name} of now is stamp ${taken.savepoint.at}, and ${slot.short} had logged seq ${head} (SETTLE3)`,
        );
  }

  #answered(taken: Taken): void {
    const { oracle, trace } = this.#world;
    if (taken.tag !== "taken") return trace.count("savepoints refused");
    const { savepoint } = taken;
    const { name, number, at } = savepoint;
    trace.count("savepoints taken");
    trace.say("saver", () => `${name} is stamp ${at}, number ${number}`);
    if (this.#doomed.has(number) || (this.#removing.get(name) ?? 0) > 0) return;
    const same = this.#promised.get(number);
    if (same !== undefined && same.at !== at)
      oracle.fail(`savepoint ${name} was stamp ${same.at}, and is stamp ${at} (SAVEPOINT1)`);
    this.#promised.set(number, savepoint);
    this.#isHeld(savepoint);
  }

  /** Retention has read what there is. Before it gives up a snapshot, that snapshot's moment is saved. */
  async #cutIn(slot: Slot, { drop }: Retention): Promise<void> {
    const { clock } = this.#world;
    const { points = [] } = this.#world.database(slot.address.database).kept.get(slot.name) ?? {};
    const given = points.filter(({ version, intact }) => intact && drop.includes(version));
    if (given.length === 0 || !this.#random.chance(0.3)) return;
    const { stamp: at } = this.#random.pick(given);
    const floors = this.#world.databases().map((home) => this.#world.database(home).floorPort(() => clock.now()));
    const found = await settle(clock, floors, { tag: "stamp", at });
    if (found.tag === "not_settled") return;
    this.#answered(await takeSavepoint(this.#calm, this.#calmStores, this.#random.pick(NAMES), at, true));
  }

  /** Now, some time ago, or beside a snapshot that retention may give up. */
  #moment(): Exclude<Moment, { tag: "savepoint" }> {
    if (this.#random.chance(0.5)) return { tag: "now" };
    const slot = this.#slot();
    const { points = [] } = this.#world.database(slot.address.database).kept.get(slot.name) ?? {};
    if (points.length === 0 || this.#random.chance(0.3))
      return { tag: "ago", ms: this.#random.skewed(1, 24 * 3_600_000) };
    return { tag: "stamp", at: stamp(this.#random.pick(points).stamp + this.#random.between(0, 1)) };
  }

  async #remove(act: Act, name: string): Promise<void> {
    this.#removing.set(name, (this.#removing.get(name) ?? 0) + 1);
    this.#doom(name);
    act.end = () => {
      act.end = () => undefined;
      this.#removing.set(name, this.#removing.get(name)! - 1);
      this.#doom(name);
    };
    await removeSavepoint(this.#files(act), this.#stores(act), name);
    this.#world.trace.count("savepoints removed");
  }

  /** Each savepoint of the name may be removed from now on. */
  #doom(name: string): void {
    for (const one of this.#world.database("LOG_0").savepoints.values()) {
      if (one.name !== name) continue;
      this.#doomed.add(one.number);
      this.#promised.delete(one.number);
    }
  }

  async #list(act: Act): Promise<void> {
    const before = [...this.#promised.values()];
    const listed = new Set((await listSavepoints(this.#files(act), this.#stores(act))).map(({ number }) => number));
    for (const one of before)
      if (this.#promised.has(one.number) && !listed.has(one.number))
        this.#world.oracle.fail(`savepoint ${one.name}, number ${one.number}, isn't listed (SAVEPOINT2)`);
    for (const one of before) if (this.#promised.has(one.number)) this.#isHeld(one);
  }

  // ---- what must hold ----

  #seqAt(slot: Slot, at: Stamp): number {
    return lastAt(this.#world.oracle.truth(slot.name), at);
  }

  /** SAVER1, of what is held in the first database. */
  #isHeld({ name, number, at }: Promised): void {
    const { oracle, store } = this.#world;
    for (const home of this.#world.databases()) {
      const row = this.#world.database(home).savepoints.get(number);
      if (row?.name !== name || row.at !== at || row.state !== "held")
        oracle.fail(`savepoint ${name}, number ${number}, is ${JSON.stringify(row)} in ${home} (SAVEPOINT2)`);
    }
    const objects = [...store.objects.keys()].filter((object) => object.startsWith(`${this.#prefix}${name}/`));
    if (!objects.some((object) => object.includes(`/${String(number).padStart(10, "0")}-${at}.`)))
      oracle.fail(`savepoint ${name}, number ${number}, of stamp ${at} has no object: ${objects.join()} (SAVEPOINT5)`);
  }

  /** Errors may be of damage, or of code that is older than the state. */
  #mayFail(slot: Slot): boolean {
    return this.#world.damage.struck(slot) || this.#world.config.versions > 1;
  }

  /** SAVER2. */
  async #read(one: Promised, slot: Slot): Promise<void> {
    const { oracle, trace } = this.#world;
    const seq = this.#seqAt(slot, one.at);
    const version = this.#world.deployed;
    const { model } = oracle.truth(slot.name);
    const keys = [...model.keys()];
    const what = `${slot.short} at savepoint ${one.name}, stamp ${one.at}, seq ${seq}`;
    const fail = (why: string): void => {
      if (this.#promised.has(one.number)) oracle.fail(`${what}: ${why} (RETENTION6)`);
    };
    try {
      const past = await pastKeys(outsideOf(this.#world, this.#random, slot), one.at, keys, Number.POSITIVE_INFINITY);
      if (past.tag === "gone") return fail(`gone, the oldest is ${past.oldest}`);
      if (past.seq !== seq) fail(`the reader says seq ${past.seq}`);
      trace.count("savepoints read");
      if (!past.exact) return;
      for (const [i, key] of keys.entries()) {
        const flaw = model.check(key, past.entries[i] ?? null, { version, floor: seq, cut: seq });
        if (flaw !== null) fail(`key ${key}: ${flaw}`);
      }
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      const passing = error instanceof Failure && error.code === "fenced";
      if (!passing && !this.#mayFail(slot)) fail(error.message);
    }
  }

  /** SAVER3. */
  async #rebuild(one: Promised, slot: Slot): Promise<void> {
    const { oracle, trace } = this.#world;
    const since = await unarchivedSince(this.#calm, this.#calmStores);
    const restorable = since.every((first) => first > one.at);
    const seq = this.#seqAt(slot, one.at);
    const what = `${slot.short} from R2 alone at savepoint ${one.name}, stamp ${one.at}, seq ${seq}`;
    const fail = (why: string): void => {
      if (this.#promised.has(one.number)) oracle.fail(`${what}: ${why} (REBUILDAT3)`);
    };
    try {
      const env = outsideOf(this.#world, this.#random, slot);
      const found = await rebuildAt(env, slot.address.seed, one.at);
      if (found.tag !== "found") {
        if (this.#mayFail(slot)) return;
        // Nothing is in R2 before the first snapshot.
        if (restorable && seq > 0) fail(`${found.tag}, though it is all archived`);
        return;
      }
      if (found.complete && found.seq !== seq) fail(`complete at seq ${found.seq}`);
      if (restorable && found.seq !== seq && !this.#mayFail(slot)) fail(`it gets to seq ${found.seq}: ${found.why}`);
      trace.count(restorable ? "savepoints rebuilt" : "savepoints that only D1 has whole");
      if (found.seq !== seq) return;
      const db = new MemoryDatabase();
      const rows: Segment[] = [];
      for await (const portion of found.rows()) rows.push(...portion);
      db.rows.set(slot.name, { ...found.row });
      db.segments.set(slot.name, rows);
      await this.#shows(slot, db, seq, fail);
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      if (!this.#mayFail(slot)) fail(error.message);
    }
  }

  /** Checks the state that opens from a rebuilt database. */
  async #shows(slot: Slot, db: MemoryDatabase, seq: number, fail: (why: string) => void): Promise<void> {
    const { model } = this.#world.oracle.truth(slot.name);
    const version = this.#world.deployed;
    const keys = [...model.keys()];
    const env = outsideOf(this.#world, this.#random, slot, db.log(slot.address));
    const past = await pastKeys(env, LAST_STAMP, keys, Number.POSITIVE_INFINITY);
    if (past.tag === "gone" || past.seq !== seq) return fail(`opens as ${JSON.stringify(past)}`);
    if (!past.exact) return;
    for (const [i, key] of keys.entries()) {
      const flaw = model.check(key, past.entries[i] ?? null, { version, floor: seq, cut: seq });
      if (flaw !== null) fail(`key ${key}: ${flaw}`);
    }
  }

  // ---- the end ----

  /** When everything is at rest, and snapshots cover all. */
  async check(slots: readonly Slot[], audit: Audit): Promise<void> {
    if (this.#world.config.saveMs === 0) return;
    const { oracle, store } = this.#world;
    const [first] = slots as readonly [Slot];
    const within = <T>(what: string, call: () => Promise<T>): Promise<T | null> => audit.within(first, what, call);
    const since = await within("unarchived rows", () => unarchivedSince(this.#calm, this.#calmStores));
    if (since !== null && since.length > 0) oracle.fail(`rows from ${since.join()} are in no snapshot (SAVEPOINT5)`);
    for (const one of [...this.#world.database("LOG_0").savepoints.values()].filter(({ state }) => state === "held")) {
      this.#isHeld(one);
      await within("the object of a savepoint", () => this.#tells(one));
    }
    await within("savepoints of moments that are given up", () => this.#takeGone(slots));
    for (const one of this.#promised.values())
      for (const slot of slots) {
        await within("a savepoint", () => this.#read(one, slot));
        await within("a recovery", () => this.#rebuild(one, slot));
      }
    this.#promised.clear();
    for (const name of [...NAMES, ...slots.map((_, i) => `gone-${i}`)])
      await within("a removal", () => removeSavepoint(this.#calm, this.#calmStores, name));
    await within("a list", () => listSavepoints(this.#calm, this.#calmStores));
    for (const home of this.#world.databases())
      for (const { name, number } of this.#world.database(home).savepoints.values())
        oracle.fail(`savepoint ${name}, number ${number}, is left in ${home} (SAVEPOINT4)`);
    const left = [...store.objects.keys()].filter((object) => object.startsWith(this.#prefix));
    if (left.length > 0) oracle.fail(`${left.join()} are left of savepoints that were removed (SAVEPOINT4)`);
  }

  /** A moment that retention has given up can't be saved, or is readable. */
  async #takeGone(slots: readonly Slot[]): Promise<void> {
    for (const [i, { name, address }] of slots.entries()) {
      const { retainFrom = 0 } = this.#world.database(address.database).kept.get(name) ?? {};
      if (retainFrom === 0) continue;
      this.#answered(await takeSavepoint(this.#calm, this.#calmStores, `gone-${i}`, stamp(retainFrom - 1), true));
    }
  }

  /** The object says how far each partition had come. */
  async #tells({ name, number, at }: Savepoint): Promise<void> {
    const stored = (await storedSavepoints(this.#calm)).find((one) => one.name === name && one.at === at);
    const record = stored === undefined ? null : await readRecord(this.#calm, stored.object);
    const heads = new Map(record?.heads);
    for (const slot of this.#world.host.slots.values()) {
      const seq = this.#seqAt(slot, at);
      // A partition without a row then had logged nothing.
      const head = heads.has(slot.name) ? heads.get(slot.name)! : 0;
      if (head !== null && head !== seq)
        this.#world.oracle.fail(
          `savepoint ${name}, number ${number}: ${slot.short} at seq ${head}, not ${seq} (SAVEPOINT5)`,
        );
    }
  }

  // ---- its calls ----

  get #prefix(): string {
    return savepointPrefix(this.#line);
  }

  get #line(): number {
    return [...this.#world.host.slots.values()][0]!.address.line;
  }

  get #calm(): SavepointFiles {
    const { clock, codec, store } = this.#world;
    return { line: this.#line, clock, codec, objects: store };
  }

  get #calmStores(): Stores {
    const [first, ...others] = this.#world.databases().map((home) => this.#world.database(home).savepointStore());
    return [first!, ...others];
  }

  #files(act: Act): SavepointFiles {
    return { ...this.#calm, objects: carried<ObjectStore>(this.#world, this.#random, act, this.#world.store, "R2") };
  }

  #stores(act: Act): Stores {
    const homes = this.#world.databases();
    const [first, ...others] = this.#calmStores.map((store, i) =>
      carried(this.#world, this.#random, act, store, homes[i]!),
    );
    return [first!, ...others];
  }
}
