/**
 * An auditor: reads all balances of all partitions of two operators at one stamp, at random moments, while everything
 * else continues, and compares their sum with the books.
 *
 * AUDITOR1. There is never more money than there is, and what is missing is under way (TIME1, TIME2).
 * AUDITOR2. The same stamp gives the same balances, however much later.
 * AUDITOR3. "Now" is at or above every stamp that was answered before (SETTLE3).
 * AUDITOR4. A savepoint can be read as long as it is there (SAVEPOINT2).
 */
import { Damage, Failure } from "../../src/engine/base/errors.ts";
import { FIRST_LINE, type Stamp } from "../../src/engine/base/ids.ts";
import type { ObjectStore } from "../../src/engine/base/ports.ts";
import type { Moment } from "../../src/engine/history/moment.ts";
import { pastKeys } from "../../src/engine/history/past.ts";
import { takeSavepoint, type Stores } from "../../src/engine/history/savepoints.ts";
import { settle } from "../../src/engine/history/settle.ts";
import { carried, type Act } from "./act.ts";
import { ACCOUNTS, type Books } from "./bank-books.ts";
import { outsideOf } from "./outside.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

interface Audited {
  readonly at: Stamp;
  readonly saved: boolean;
  /** Null until somebody has read it whole. */
  balances: string | null;
  total: number;
}

const REMEMBERED = 40;

export class Auditor {
  audits = 0;
  /** Audits of a stamp that had been audited before. */
  repeated = 0;
  readonly #world: World;
  readonly #books: Books;
  readonly #random: Random;
  readonly #everyMs: number;
  readonly #known: Audited[] = [];
  #saved = 0;

  constructor(world: World, books: Books) {
    this.#world = world;
    this.#books = books;
    this.#random = world.stream("auditor");
    this.#everyMs = this.#random.skewed(300, 20_000);
  }

  start(): void {
    this.#world.clock.after(this.#random.wait(this.#everyMs), () => {
      if (!this.#world.faulty) return;
      void this.look().catch((error: unknown) => this.#world.oracle.fail(`the auditor broke: ${String(error)}`));
      this.start();
    });
  }

  /** One audit. Returns false if it couldn't be finished. */
  async look(now = false): Promise<boolean> {
    const act: Act = { dead: false, end: () => undefined };
    const before = this.#books.heard;
    const moment: Exclude<Moment, { tag: "savepoint" }> = now ? { tag: "now" } : this.#moment();
    try {
      const found = await settle(this.#world.clock, this.#floors(act), moment);
      if (found.tag === "not_settled") return false;
      const { at } = found;
      if (moment.tag === "now" && at < before)
        this.#fail(`now is stamp ${at}, and stamp ${before} was answered (SETTLE3)`);
      const saves = moment.tag === "now" && this.#random.chance(0.4);
      const point = saves ? await this.#save(act, at) : null;
      if (saves && point === null) return false;
      return await this.#audit(this.#one(point ?? at, saves));
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      return false;
    }
  }

  /** At the end all stamps are judged again, by all that is known of the transfers by now. */
  judge(): void {
    for (const { at, balances, total } of this.#known) if (balances !== null) this.#compare(at, total);
  }

  #moment(): Exclude<Moment, { tag: "savepoint" }> {
    const before = this.#known.length > 0 ? this.#random.pick(this.#known) : null;
    if (before !== null && this.#random.chance(0.3)) return { tag: "stamp", at: before.at };
    if (this.#random.chance(0.4)) return { tag: "now" };
    return { tag: "ago", ms: this.#random.skewed(1, 60_000) };
  }

  #floors(act: Act) {
    const { clock } = this.#world;
    return this.#world.databases().map((home) =>
      carried(
        this.#world,
        this.#random,
        act,
        this.#world.database(home).floorPort(() => clock.now()),
        home,
      ),
    );
  }

  /** Returns the stamp of a savepoint, or null if none was taken. */
  async #save(act: Act, at: Stamp): Promise<Stamp | null> {
    const { clock, codec, store } = this.#world;
    const homes = this.#world.databases();
    const stores = homes.map((home) =>
      carried(this.#world, this.#random, act, this.#world.database(home).savepointStore(), home),
    ) as unknown as Stores;
    const objects = carried<ObjectStore>(this.#world, this.#random, act, store, "R2");
    const name = `audit-${(this.#saved += 1)}`;
    const taken = await takeSavepoint({ line: FIRST_LINE, clock, objects, codec }, stores, name, at, false);
    return taken.tag === "taken" ? taken.savepoint.at : null;
  }

  #one(at: Stamp, saved: boolean): Audited {
    const known = this.#known.find((one) => one.at === at);
    if (known !== undefined) return known;
    const one: Audited = { at, saved, balances: null, total: 0 };
    this.#known.push(one);
    if (this.#known.length > REMEMBERED) this.#known.splice(this.#random.between(0, REMEMBERED - 1), 1);
    return one;
  }

  async #audit(one: Audited): Promise<boolean> {
    const balances: string[] = [];
    let total = 0;
    // One partition after the other, in any order, and with pauses: money moves on meanwhile.
    for (const slot of this.#shuffled([...this.#world.host.slots.values()])) {
      const past = await pastKeys(
        outsideOf(this.#world, this.#random, slot),
        one.at,
        ACCOUNTS,
        Number.POSITIVE_INFINITY,
      );
      if (past.tag === "gone" && one.saved)
        this.#fail(`stamp ${one.at} is gone, and a savepoint holds it (SAVEPOINT2)`);
      if (past.tag === "gone") return false;
      past.entries.forEach((entry, i) => {
        if (entry === null) return;
        const { left = 0, sum = 0 } = JSON.parse(entry.text) as { left?: number; sum?: number };
        total += slot.address.operator === "credits" ? left : sum;
        balances.push(`${slot.short} ${ACCOUNTS[i]} ${left} ${sum}`);
      });
    }
    const text = balances.sort().join(", ");
    if (one.balances !== null && one.balances !== text)
      this.#fail(`stamp ${one.at} showed ${one.balances}, and now ${text}`);
    if (one.balances !== null) this.repeated += 1;
    this.audits += 1;
    Object.assign(one, { balances: text, total });
    this.#compare(one.at, total);
    return true;
  }

  #compare(at: Stamp, total: number): void {
    const flaw = this.#books.flaw(at, total);
    if (flaw !== null) this.#fail(`${flaw} (TIME1, TIME2)`);
  }

  #fail(what: string): void {
    this.#world.oracle.fail(what);
  }

  #shuffled<T>(all: readonly T[]): T[] {
    return all
      .map((one) => ({ one, order: this.#random.unit() }))
      .sort((a, b) => a.order - b.order)
      .map(({ one }) => one);
  }
}
