/**
 * One incarnation of a partition: the real engine with its ports on wires, and what a platform may do to it.
 *
 * INSTANCE1. A dead instance runs nothing more: its timers don't fire, its calls are never answered, its callers hear that it
 *     went away. A call that it sent to a store before may still act.
 * INSTANCE2. An instance that ended itself continues to run for a while, which is more than the platform allows it: the oracle
 *     sees to it that it writes nothing more.
 */
import { seq } from "../../src/engine/base/ids.ts";
import type { Operator } from "../../src/engine/operator/operator.ts";
import { PartitionEngine } from "../../src/engine/partition/partition.ts";
import type { Host } from "../../src/engine/base/ports.ts";
import type { Opening } from "../../src/engine/base/records.ts";
import type { Quarantined } from "../../src/engine/state/quarantine.ts";
import type { HighWaterMark } from "../../src/engine/base/records.ts";
import type { AppendRequest, AppendResponse } from "../../src/engine/partition/protocol.ts";
import { InstanceClock } from "./clock.ts";
import { WiredCache } from "./cache.ts";
import { WiredLog, WiredStore } from "./wire.ts";
import type { Slot } from "./host.ts";
import type { Shown } from "./model.ts";
import type { Random } from "./random.ts";
import type { Past } from "./truth.ts";
import type { World } from "./world.ts";

/** Until what was written to the object's storage is confirmed. */
const CONFIRM_MS = 20;

export class Instance {
  readonly name: string;
  readonly slot: Slot;
  readonly version: number;
  readonly random: Random;
  readonly clock: InstanceClock;
  readonly partition: PartitionEngine;
  /** It took the right to write; 0: not yet. */
  epoch = 0;
  dead = false;
  ended: string | null = null;
  /** Nobody routes to it any more but who doesn't know. */
  superseded = false;
  /** The least that it must show from its first answer on: the head of the log when it was first read. */
  #firstHead: number | null = null;
  /** The last event that it is known to have applied. */
  shown = 0;
  /** When D1 last left it without word of its epoch in time. */
  unheardMs = -1;
  /** All that it may know, if not all of that is in its database any more, since that was restored. Else null. */
  past: Past | null = null;
  /** How often its database had been restored to an older point when it began. */
  readonly generation: number;
  /** The mark in its object's storage then. */
  readonly mark: HighWaterMark | null;
  /** Its clock goes as it should. */
  knowsTime = true;
  /** The mark that the instance sees: what its storage had then, or what it has written since. */
  #mark: HighWaterMark | null;
  /** Objects that it has read damaged, and those that instances before it had. It needn't hear of another's findings. */
  readonly knowsDamaged: Set<string>;
  /** Objects of which a read failed for good: it may not have drawn the conclusion yet (WiredCache.distrust). */
  readonly failedToRead = new Set<string>();
  readonly #world: World;
  readonly #calls = new Set<(why: Error) => void>();
  #nonces = 0;
  /** It was opened to read only. */
  #reads = false;
  /** It asks D1 what there is: what it reads of files meanwhile is a guess, which it may never look at. */
  asking = false;
  /** How often it asked to open. Its engine listens to the last of these calls only. */
  #openings = 0;
  #opened = false;

  constructor(world: World, slot: Slot, number: number, operator: Operator, offsetMs: number) {
    this.name = `${slot.short}#${number}`;
    this.#world = world;
    this.slot = slot;
    this.generation = world.generation(slot.address.database);
    this.mark = slot.mark;
    this.#mark = slot.mark;
    this.knowsDamaged = new Set(slot.cache.doubts);
    this.version = operator.version;
    this.random = world.stream(`instance ${this.name}`);
    this.clock = new InstanceClock(world.clock, this.random, () => !this.dead, offsetMs);
    const env = {
      id: { line: slot.address.line, operator: slot.address.operator, partition: slot.address.partition },
      operator,
      code: `code-${operator.version}`,
      log: new WiredLog(world, this),
      objects: new WiredStore(world, this),
      codec: world.codec,
      clock: this.clock,
      host: this.#host(),
      cache: new WiredCache(world, this),
      sizes: world.config.sizes,
    };
    this.partition = new PartitionEngine(env, slot.address);
  }

  #host(): Host {
    const { slot } = this;
    const { trace } = this.#world;
    return {
      nonce: () => `${this.name}-${this.#nonces++}`.replace("#", "-").replace("/", "-"),
      keep: (promise) =>
        void promise.catch((error: unknown) =>
          this.#world.oracle.fail(`${this.name}: a kept promise: ${String(error)}`),
        ),
      arm: (atMs) => {
        if (!this.dead && this.ended === null) this.#world.host.arm(slot, atMs);
      },
      highWaterMark: () => this.#mark,
      keepHighWaterMark: (mark) => this.#keepMark(mark),
      aside: () => slot.aside,
      keepAside: (aside) => {
        if (!this.dead) slot.aside = aside;
      },
      watchers: () => ({ keys: [], changed: () => undefined, opened: () => (this.#opened = true) }),
      end: (why) => this.#end(why),
      note: (what, facts) => {
        if (what === "recovered by fallback") this.#fellBack(String(facts["flaws"]));
        if (what.startsWith("verification ")) trace.count("verifications");
        if (what === "a state file is corrupt") trace.count("damage found while reading");
        if (what === "the state differs from its counters")
          this.#world.oracle.fail(`${this.name}: the state differs from its counters: ${JSON.stringify(facts)}`);
        if (what === "garbage collected") trace.count("files collected", facts["files"] as number);
        if (what === "garbage collection skipped") trace.count("collections skipped");
        trace.say(this.name, () => `note: ${what} ${JSON.stringify(facts)}`);
      },
    };
  }

  /**
   * Only the newest instance can write to the object's storage, and only until it ends itself. If an instance dies, or
   * another one begins, before a write is confirmed, the write is undone.
   */
  #keepMark(mark: HighWaterMark): Promise<void> {
    const { clock, oracle, trace } = this.#world;
    const { slot } = this;
    this.#mark = mark;
    const { ended } = this;
    return new Promise((resolve) => {
      const confirm = (): void => {
        const replaced = this.superseded || (slot.current !== null && slot.current !== this);
        if (this.dead || ended !== null || replaced) return trace.count("marks undone");
        slot.mark = mark;
        oracle.reached(slot, mark.epoch, mark.version);
        resolve();
      };
      // The end of an instance waits for such a mark.
      if (mark.refused === true) confirm();
      else clock.after(CONFIRM_MS, confirm);
    });
  }

  /** An object that couldn't be read is named, if it is the reason. */
  #fellBack(flaws: string): void {
    const { trace, oracle } = this.#world;
    trace.count("fallbacks");
    const failed = [...this.failedToRead];
    if (failed.some((name) => flaws.includes(`${name} can't be read`)))
      trace.count("fallbacks from what can't be read");
    // Calls that failed by chance, one after the other, look the same to the engine.
    else if (failed.length > 0 && flaws.includes("can't be read"))
      oracle.fail(`${this.name} can't read ${failed.join(" ")}, and says: ${flaws}`);
  }

  get callers(): number {
    return this.#calls.size;
  }

  /** Returns what must be called when the database answers. */
  asksToOpen(): () => void {
    const number = ++this.#openings;
    return () => {
      if (this.#opened || number < this.#openings) return;
      // All that it will know comes from this answer, whatever its database held before.
      this.past = null;
      this.#firstHead = null;
    };
  }

  heardOpening(head: number, opening: Opening | null, write: boolean): void {
    const { trace } = this.#world;
    this.#firstHead ??= head;
    if (opening === null) return;
    trace.count(write ? "openings" : "openings to read");
    if (opening.more) trace.count("replays of several pages");
    if (opening.rows.length > 0) trace.count("replays");
    if (write && this.#reads) trace.count("catch-ups");
    this.#reads = !write;
    const saved = this.#world.host.manifest(this.slot)?.operatorVersion ?? this.version;
    if (saved < this.version) trace.count("migrations");
    if (saved > this.version) trace.count("older code on newer state");
  }

  /** Its database says something else, and it had heard of nothing before that counts. */
  travelled(): void {
    if (this.past === null) this.#firstHead = null;
  }

  get firstHead(): number {
    return this.#firstHead ?? 0;
  }

  /** A call from outside. Breaks where the instance dies under it. */
  call<T>(run: (partition: PartitionEngine) => Promise<T>): Promise<T> {
    if (this.dead) return Promise.reject(new Error("the object is gone"));
    return new Promise<T>((resolve, reject) => {
      const broken = (why: Error): void => reject(why);
      this.#calls.add(broken);
      run(this.partition).then(
        (value) => {
          this.#calls.delete(broken);
          if (!this.dead) resolve(value);
        },
        (error: unknown) => {
          this.#calls.delete(broken);
          if (!this.dead) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  /** Events in; the oracle hears the answer when it is given, whoever hears it in the end. */
  append(slice: AppendRequest): Promise<AppendResponse> {
    const { oracle } = this.#world;
    const { shown } = this;
    const answered = oracle.calls.sent(this, slice);
    return this.call((partition) =>
      partition.append(slice).then((result) => {
        answered();
        if (!this.dead) oracle.calls.decided(this, slice, result, shown);
        return result;
      }),
    );
  }

  /** The shown states of some keys. */
  read(keys: readonly string[]): Promise<readonly (Shown | null)[]> {
    const { shown } = this;
    const askedMs = this.#world.clock.now();
    return this.call((partition) =>
      partition.read(keys).then((entries) => {
        if (this.dead) return [];
        for (const [i, key] of keys.entries()) this.#world.oracle.read(this, key, entries[i] ?? null, shown, askedMs);
        return entries;
      }),
    );
  }

  /** All that waits in the quarantine, in pages. */
  async quarantined(): Promise<readonly Quarantined[]> {
    const { shown } = this;
    const all = await this.call(async (partition) => {
      const all: Quarantined[] = [];
      for (let more = true; more;) {
        const page = await partition.quarantined(all.at(-1)?.seq ?? seq(0), 3, 1_000_000);
        all.push(...page.items);
        more = page.more;
      }
      return all;
    });
    if (!this.dead) this.#world.oracle.quarantined(this, all, shown);
    return all;
  }

  /** All that is shown, in two pages. */
  async scan(): Promise<void> {
    const { shown } = this;
    const { oracle, clock } = this.#world;
    const askedMs = clock.now();
    const items: (readonly [string, Shown])[] = [];
    await this.call(async (partition) => {
      const first = await partition.scan("", "", 2, 1_000_000);
      items.push(...first.items);
      if (first.more) items.push(...(await partition.scan("", first.items.at(-1)![0], 1_000, 1_000_000)).items);
    });
    if (!this.dead) oracle.scanned(this, items, shown, askedMs);
  }

  #end(why: string): void {
    const { clock, trace, host } = this.#world;
    if (this.ended !== null || this.dead) return;
    this.ended = why;
    if (/superseded|another group|head is/.test(why)) trace.count("fences");
    if (why.startsWith("the caller runs version")) trace.count("stepped aside");
    trace.say(this.name, () => `ends itself: ${why}`);
    host.forget(this);
    // The platform breaks its calls now; or its answers get out before.
    if (this.random.chance(0.5)) this.#break("the object ended");
    clock.after(this.random.skewed(1, 120_000), () => this.die("some time after it ended"));
  }

  die(why: string): void {
    if (this.dead) return;
    this.dead = true;
    this.#world.trace.say(this.name, () => `is gone: ${why}`);
    this.#world.host.forget(this);
    this.#world.oracle.died(this);
    this.#break("the object is gone");
  }

  #break(why: string): void {
    const calls = [...this.#calls];
    this.#calls.clear();
    for (const broken of calls) broken(new Error(why));
  }
}
