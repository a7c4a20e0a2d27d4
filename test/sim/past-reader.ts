/**
 * Somebody who reads the past, at random moments, while everything else continues: it asks for a moment, waits for what
 * it gets, and asks for the same stamp again later.
 *
 * PASTREADER1. A read at a stamp gives what the log up to the stamp gives, key by key, and in a scan all keys.
 * PASTREADER2. Once a moment was settled, no row at or below its stamp is logged any more (TIME2): it is checked whenever the
 *     partition is looked at again, and at the end.
 * PASTREADER3. It may hear that the moment is gone, or that something can't be read. It never hears something else than was.
 * PASTREADER4. The differences between two moments are those of all that is read at both (DIFF1).
 * PASTREADER6. A check of the code that ran finds nothing, from whatever moment (CHECK2, CHECK3).
 * PASTREADER5. "Now" holds all that was logged before it was asked for, whatever the writers' clocks say (SETTLE3).
 */
import { Damage, Failure } from "../../src/engine/base/errors.ts";
import { stamp, type Stamp } from "../../src/engine/base/ids.ts";
import { HASH_NAME } from "../../src/engine/base/hash.ts";
import type { Event } from "../../src/engine/event/event.ts";
import { CHECK_START, checkPartition } from "../../src/engine/history/check.ts";
import { keyOf, route } from "../../src/engine/operator/routing.ts";
import type { Moment } from "../../src/engine/history/moment.ts";
import { differences } from "../../src/engine/history/differences.ts";
import { pastKeys, pastRange } from "../../src/engine/history/past.ts";
import { settle } from "../../src/engine/history/settle.ts";
import { scan } from "../../src/engine/snapshot/reads.ts";
import type { Slot } from "./host.ts";
import type { Shown } from "./model.ts";
import { lastAt, outsideOf } from "./outside.ts";
import type { Random } from "./random.ts";
import type { Truth } from "./truth.ts";
import type { World } from "./world.ts";

/** A moment that was settled, and the last seq at or below it in a partition. */
interface Settled {
  readonly slot: Slot;
  readonly truth: Truth;
  readonly at: Stamp;
  readonly seq: number;
}

/** Above all stamps. */
const END = stamp(Number.MAX_SAFE_INTEGER);

/** Moments that are remembered. */
const REMEMBERED = 50;

export class PastReader {
  readonly #world: World;
  readonly #random: Random;
  /** For checks alone, so that they change nothing of what else is read. */
  readonly #checks: Random;
  readonly #settled: Settled[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("past reader");
    this.#checks = world.stream("checks of code");
  }

  start(): void {
    const { clock, config } = this.#world;
    if (config.pastMs === 0) return;
    clock.after(this.#random.wait(config.pastMs), () => {
      if (!this.#world.faulty) return;
      void this.#look().catch((error: unknown) => this.#world.oracle.fail(`reading the past broke: ${String(error)}`));
      this.start();
    });
  }

  /** At the end: what was settled still is (PASTREADER2). */
  check(): void {
    for (const one of this.#settled) this.#unchanged(one);
  }

  async #look(): Promise<void> {
    const { clock, oracle, trace } = this.#world;
    const slot = this.#random.pick([...this.#world.host.slots.values()]);
    const floors = this.#world.databases().map((name) => this.#world.database(name).floorPort(() => clock.now()));
    const generations = this.#generations();
    const moment = this.#moment();
    const before = oracle.truth(slot.name).head;
    const found = await settle(this.#world.clock, floors, moment);
    if (found.tag === "not_settled") return trace.count("moments not settled");
    if (generations !== this.#generations()) return;
    const { at } = found;
    const truth = oracle.truth(slot.name);
    const seq = lastAt(truth, at);
    if (moment.tag === "now" && seq < before)
      oracle.fail(`now is stamp ${at}, seq ${seq} of ${slot.short}, which had logged seq ${before} (SETTLE3)`);
    const one = { slot, truth, at, seq };
    this.#settled.push(one);
    if (this.#settled.length > REMEMBERED) this.#unchanged(this.#settled.shift()!);
    await this.#read(one);
    const others = this.#settled.filter((other) => other.slot === slot && other.truth === truth && other !== one);
    if (others.length > 0) await this.#compare(one, this.#random.pick(others));
    if (this.#world.config.versions === 1) await this.#check(this.#checks.pick([one, ...others]));
    this.#unchanged(one);
  }

  #moment(): Exclude<Moment, { tag: "savepoint" }> {
    const before = this.#settled.length > 0 ? this.#random.pick(this.#settled) : null;
    if (before !== null && this.#random.chance(0.4)) return { tag: "stamp", at: before.at };
    if (this.#random.chance(0.4)) return { tag: "now" };
    // The first one is waited for, the second one is too far ahead.
    const aheadMs = this.#random.pick([500, 5_000]);
    if (this.#random.chance(0.1)) return { tag: "stamp", at: stamp((this.#world.clock.now() + aheadMs) * 1_024) };
    return { tag: "ago", ms: this.#random.skewed(1, 24 * 3_600_000) };
  }

  async #read({ slot, truth, at, seq }: Settled): Promise<void> {
    const { oracle, trace } = this.#world;
    const version = this.#world.deployed;
    const env = outsideOf(this.#world, this.#random, slot);
    const keys = [...truth.model.keys()];
    const wrong = (what: string): void => {
      // Another truth began meanwhile: its database was restored to an older point, or somebody decided.
      if (oracle.truth(slot.name) === truth) oracle.fail(`${slot.short} at stamp ${at}, seq ${seq}: ${what} (TIME3)`);
    };
    const shown = new Map<string, Shown>();
    let exact: boolean;
    try {
      if (this.#random.chance(0.5)) {
        const past = await pastKeys(env, at, keys, Number.POSITIVE_INFINITY);
        if (past.tag === "gone") return trace.count("moments gone");
        if (past.seq !== seq) wrong(`the reader says seq ${past.seq}`);
        exact = past.exact;
        past.entries.forEach((entry, i) => entry !== null && shown.set(keys[i]!, entry));
      } else {
        const past = await pastRange(env, at, "", "", { keys: this.#random.between(2, 8), bytes: 1_000_000 });
        if (past.tag === "gone") return trace.count("moments gone");
        if (past.seq !== seq) wrong(`the reader says seq ${past.seq}`);
        exact = past.exact;
        const { items } = await scan(past.chunks, "", "", 100_000, Number.POSITIVE_INFINITY);
        for (const [key, entry] of items) shown.set(key, entry);
      }
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      return trace.say(slot.short, () => `can't be read at stamp ${at}: ${error.message}`);
    }
    trace.count("moments read");
    // Another version applied some of the events: the answer is what this one makes of them, and says so.
    if (!exact) return trace.count("moments not exact");
    for (const key of new Set([...keys, ...shown.keys()])) {
      const flaw = truth.model.check(key, shown.get(key) ?? null, { version, floor: seq, cut: seq });
      if (flaw !== null) wrong(`key ${key}: ${flaw}`);
    }
  }

  async #compare(from: Settled, to: Settled): Promise<void> {
    const { slot, truth } = from;
    const { oracle, trace } = this.#world;
    const env = outsideOf(this.#world, this.#random, slot);
    const keys = [...truth.model.keys()].sort();
    const pass = { keys: this.#random.between(2, 8), bytes: this.#random.pick([400, 1_000, 1_000_000]) };
    const found: string[] = [];
    const all: string[] = [];
    try {
      const compared = await differences({ env, at: from.at }, { env, at: to.at }, { prefix: "", only: null }, pass);
      if (compared.tag === "gone") return trace.count("moments gone");
      for await (const page of compared.pages)
        for (const { key, from: before, to: after } of page.items)
          found.push(JSON.stringify([key, before?.text ?? null, after?.text ?? null]));
      const [left, right] = [
        await pastKeys(env, from.at, keys, Number.POSITIVE_INFINITY),
        await pastKeys(env, to.at, keys, Number.POSITIVE_INFINITY),
      ];
      if (left.tag === "gone" || right.tag === "gone") return trace.count("moments gone");
      // Another version applied some of the events: what it made of untouched keys may differ.
      if (!left.exact || !right.exact) return trace.count("moments not exact");
      for (const [i, key] of keys.entries()) {
        const [before, after] = [left.entries[i]?.text ?? null, right.entries[i]?.text ?? null];
        if (before !== after) all.push(JSON.stringify([key, before, after]));
      }
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      return trace.say(slot.short, () => `stamps ${from.at} and ${to.at} can't be compared: ${error.message}`);
    }
    trace.count("moments compared");
    if (found.sort().join() !== all.sort().join() && oracle.truth(slot.name) === truth)
      oracle.fail(
        `${slot.short} differs from stamp ${from.at} to ${to.at} in ${all.join()}, not in ${found.join()} (DIFF1)`,
      );
  }

  async #check({ slot, truth, at }: Settled): Promise<void> {
    const { oracle, trace } = this.#world;
    const random = this.#checks;
    const env = outsideOf(this.#world, random, slot);
    const { operator, partitions = 1, seed, database, line } = slot.address;
    const databases = Array.from({ length: partitions }, () => database);
    const placed = route(line, env.operator, { operator, partitions, hash: HASH_NAME, seed, databases });
    const pass = { keys: random.between(2, 8), bytes: random.pick([400, 1_000, 1_000_000]) };
    const sample = random.chance(0.3) ? random.between(1, 5) : null;
    const from = random.chance(0.3) ? stamp(0) : at;
    const request = { env, keyOf: (event: Event) => keyOf(placed, event), from, to: END, sample };
    try {
      for await (const { findings, counts, gaps } of checkPartition(request, CHECK_START, pass)) {
        if (findings.length > 0 && oracle.truth(slot.name) === truth)
          oracle.fail(`a check of ${slot.short} from stamp ${from} finds ${JSON.stringify(findings[0])} (CHECK3)`);
        trace.count("events decided anew", counts.events);
        trace.count("states compared with a snapshot", counts.states);
        if (gaps.includes("moment_gone")) trace.count("moments gone");
      }
    } catch (error) {
      if (!(error instanceof Damage) && !(error instanceof Failure)) throw error;
      trace.say(slot.short, () => `can't be checked from stamp ${from}: ${error.message}`);
    }
  }

  #unchanged({ slot, truth, at, seq }: Settled): void {
    const { oracle } = this.#world;
    if (oracle.truth(slot.name) !== truth) return;
    const now = lastAt(truth, at);
    if (now !== seq)
      oracle.fail(`${slot.short} logged seq ${now} at or below stamp ${at}, which was settled at seq ${seq} (TIME2)`);
  }

  #generations(): string {
    return this.#world
      .databases()
      .map((name) => this.#world.generation(name))
      .join();
  }
}
