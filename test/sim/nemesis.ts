/** Faults by themselves, between the calls: crashes, outages, deploys, clocks. One thing at a time, at random moments. */
import type { Happenings } from "./configuration.ts";
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import type { Worker } from "./worker.ts";
import type { World } from "./world.ts";

export class Nemesis {
  #lullUntilMs = 0;
  #resting: (() => void)[] = [];
  readonly #world: World;
  readonly #workers: readonly Worker[];
  readonly #random: Random;

  constructor(world: World, workers: readonly Worker[]) {
    this.#world = world;
    this.#workers = workers;
    this.#random = world.stream("nemesis");
    world.rival = (by) => {
      if (by.slot.current === by) this.#supersede(by.slot);
    };
  }

  /** Settles at once, or when the lull is over. */
  rest(): Promise<void> {
    if (this.#world.clock.now() >= this.#lullUntilMs) return Promise.resolve();
    return new Promise((resolve) => this.#resting.push(resolve));
  }

  wakeAll(): void {
    this.#lullUntilMs = 0;
    for (const wake of this.#resting.splice(0)) wake();
  }

  start(): void {
    const { clock, config } = this.#world;
    const rest = Math.max(0, this.#lullUntilMs - clock.now()) * this.#random.unit();
    clock.after(Math.floor(rest) + this.#random.wait(config.happeningMs), () => {
      if (!this.#world.faulty) return;
      if (Object.values(config.happenings).some((weight) => weight > 0))
        this.#happen(this.#random.weighted(config.happenings));
      this.start();
    });
  }

  #happen(what: keyof Happenings): void {
    const { host, trace, config } = this.#world;
    const slot = this.#random.pick([...host.slots.values()]);
    switch (what) {
      case "evict":
        if (slot.current !== null && slot.current.callers === 0) {
          trace.count("evictions");
          slot.current.die("evicted");
        }
        return;
      case "crash":
        for (const one of this.#random.chance(0.3) ? host.slots.values() : [slot]) this.#crash(one);
        return;
      case "supersede":
        return this.#supersede(slot);
      case "deploy":
        return this.#deploy(Math.min(config.versions, this.#world.deployed + 1));
      case "rollback":
        return this.#deploy(Math.max(1, this.#world.deployed - 1));
      case "logOutage":
        return this.#outage(this.#random.pick(this.#world.databases()), "outages of D1");
      case "storeOutage":
        return this.#outage("R2", "outages of R2");
      case "damage":
        return this.#world.damage.strike(slot);
      case "clock":
        return this.#clock(slot);
      case "floor":
        return this.#floor();
      case "workerDeath":
        trace.count("workers died");
        return this.#random.pick(this.#workers).die();
      case "lull":
        return this.#lull();
    }
  }

  /** Nobody sends for minutes to a day. */
  #lull(): void {
    const { clock, trace } = this.#world;
    const ms = this.#random.skewed(60_000, 30 * 3_600_000);
    this.#lullUntilMs = Math.max(this.#lullUntilMs, clock.now() + ms);
    trace.count("lulls");
    trace.say("world", () => `a lull of ${ms} ms`);
    clock.after(ms, () => {
      if (clock.now() >= this.#lullUntilMs) this.wakeAll();
    });
  }

  #crash(slot: Slot): void {
    const running = this.#world.host.running(slot);
    if (running.length === 0) return;
    this.#world.trace.count("crashes");
    this.#random.pick(running).die("crashed");
  }

  #supersede(slot: Slot): void {
    const old = slot.current;
    if (old === null) return;
    for (const worker of this.#workers) if (this.#random.chance(0.4)) worker.keepCalling(slot, old);
    this.#world.host.supersede(slot);
    if (this.#random.chance(0.5)) this.#world.host.wake(slot);
  }

  /** New code, or old code again: Workers and objects follow one by one. */
  #deploy(version: number): void {
    const { clock, trace, host } = this.#world;
    const { deployed } = this.#world;
    if (version === deployed) {
      const worker = this.#random.pick(this.#workers);
      worker.ahead = true;
      clock.after(this.#random.skewed(1_000, 60_000), () => (worker.ahead = false));
      return;
    }
    trace.count(version > deployed ? "deploys" : "rollbacks");
    trace.say("world", () => `version ${version} is deployed`);
    this.#world.deployed = version;
    for (const worker of this.#workers)
      clock.after(this.#random.skewed(1, 120_000), () => (worker.version = this.#world.deployed));
    for (const slot of host.slots.values()) {
      const old = slot.current;
      if (old === null) continue;
      clock.after(this.#random.skewed(1, 300_000), () => {
        if (slot.current !== old) return;
        if (this.#random.chance(0.5)) old.die("replaced by a deploy");
        else this.#supersede(slot);
      });
    }
  }

  #outage(home: string, name: "outages of D1" | "outages of R2"): void {
    const { clock, trace, outages } = this.#world;
    const ms = this.#random.skewed(500, 900_000);
    const kind = this.#random.weighted({ errors: 2, silence: 1, unheard: 1 });
    trace.count(name);
    trace.say("world", () => `${home} is out for ${ms} ms: ${kind}`);
    outages.set(home, { kind, untilMs: clock.now() + ms });
  }

  #clock(slot: Slot): void {
    const { trace } = this.#world;
    if (slot.current === null) return;
    const { clock } = slot.current;
    slot.current.knowsTime = false;
    this.#world.disturbed.add(slot);
    const kind = this.#random.weighted({ forward: 2, back: 1, still: 1 });
    trace.say(slot.short, () => `its clock goes ${kind}`);
    if (kind === "forward") {
      trace.count("clocks forward");
      clock.jump(this.#random.skewed(1, 3_600_000));
    } else if (kind === "back") {
      trace.count("clocks back");
      clock.jump(-this.#random.skewed(1, 30_000));
    } else {
      trace.count("clocks standing still");
      clock.freeze(this.#random.skewed(100, 120_000));
    }
  }

  /** As a savepoint would raise it (TIME2). */
  #floor(): void {
    const { clock, trace } = this.#world;
    const { first } = this.#world.database(this.#random.pick(this.#world.databases()));
    first.floor = Math.max(first.floor, (clock.now() + this.#random.between(0, 5_000)) * 1_024);
    trace.count("floors raised");
  }
}
