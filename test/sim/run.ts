/**
 * One seed: faults and work, then no more faults, then the audit.
 *
 * RUN1. While faults run only safety is asked for. When they have stopped, every request gets its answer, every partition
 *     serves and takes a snapshot, within bounds of virtual time.
 * RUN2. At the end all that was ever logged must show: in what runs, after a crash of everything, and, without any
 *     snapshot file, from the archives and the log alone.
 */
import { Admin } from "./admin.ts";
import { Audit } from "./audit.ts";
import { Client } from "./client.ts";
import { configure, type Configuration } from "./configuration.ts";
import type { Slot } from "./host.ts";
import { Nemesis } from "./nemesis.ts";
import { PastReader } from "./past-reader.ts";
import { Pinner } from "./pinner.ts";
import { Saver } from "./saver.ts";
import { TimeTravel } from "./time-travel.ts";
import type { Counts } from "./trace.ts";
import { Worker } from "./worker.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly counts: Counts;
  readonly steps: number;
  readonly virtualMs: number;
}

/** From the end of the faults to the last answer: one silent put, one alarm's doubling retries, and room. */
const ANSWER_LIMIT_MS = 600_000;
/** Late executions and zombies may be left for ten minutes, a snapshot that failed often is tried again after sixteen. */
/** A tail of few events waits a day for its snapshot, and the cron for a lost alarm. */
const DAY_OR_SO_MS = 27 * 3_600_000;
/** No epoch. */
const NOBODY = -1;
/** Longer than a lost alarm waits for the cron. */
const ANY_ALARM_MS = 3 * 3_600_000;
const QUIET_MS = 1_300_000;
/** All of the audit. */
const PEACE_MS = 72 * 3_600_000;
const MOST_STEPS = 400_000;

export async function runSeed(
  seed: number,
  steps?: number,
  write: ((line: string) => void) | null = null,
): Promise<Outcome> {
  return new Run(configure(seed, steps), write).run();
}

class Run {
  readonly #config: Configuration;
  readonly #world: World;
  readonly #workers: readonly Worker[];
  readonly #clients: readonly Client[];
  readonly #nemesis: Nemesis;
  readonly #pinner: Pinner;
  readonly #past: PastReader;
  readonly #saver: Saver;
  readonly #admin: Admin;
  readonly #travel: TimeTravel;
  #working = 0;
  #steps = 0;

  constructor(config: Configuration, write: ((line: string) => void) | null) {
    this.#config = config;
    this.#world = new World(config, write);
    this.#workers = Array.from({ length: config.workers }, (_, i) => new Worker(this.#world, i));
    this.#nemesis = new Nemesis(this.#world, this.#workers);
    this.#pinner = new Pinner(this.#world);
    this.#past = new PastReader(this.#world);
    this.#saver = new Saver(this.#world);
    this.#admin = new Admin(this.#world, this.#workers);
    this.#travel = new TimeTravel(this.#world);
    this.#clients = Array.from(
      { length: config.clients },
      (_, i) => new Client(this.#world, i, this.#workers, this.#nemesis),
    );
  }

  async run(): Promise<Outcome> {
    const { clock, oracle, trace } = this.#world;
    const began = clock.now();
    const unhandled = (reason: unknown): void => oracle.fail(`a rejection that nobody handles: ${String(reason)}`);
    process.on("unhandledRejection", unhandled);
    try {
      await this.#faults();
      await this.#peace();
      await this.#judge();
    } catch (error) {
      if (oracle.violations.length === 0)
        oracle.fail(`the simulator broke: ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
    }
    // One turn of the real loop, so that rejections that nobody handles are heard of.
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
    return {
      seed: this.#config.seed,
      violations: oracle.violations,
      counts: trace.counts,
      steps: this.#steps,
      virtualMs: clock.now() - began,
    };
  }

  async #step(untilMs?: number): Promise<boolean> {
    if (this.#world.oracle.violations.length > 0) throw new Error("a rule is broken");
    if (++this.#steps > MOST_STEPS) throw new Error(`no end after ${MOST_STEPS} steps`);
    return this.#world.clock.step(untilMs);
  }

  async #faults(): Promise<void> {
    this.#nemesis.start();
    this.#pinner.start();
    this.#past.start();
    this.#saver.start();
    this.#admin.start();
    this.#travel.start();
    this.#cron();
    for (const client of this.#clients) {
      this.#working += 1;
      void client.run().then(
        () => (this.#working -= 1),
        (error: unknown) => this.#world.oracle.fail(`${client.name} broke: ${String(error)}`),
      );
    }
    while (this.#working > 0 && this.#steps < this.#config.steps) if (!(await this.#step())) break;
  }

  #cron(): void {
    this.#world.clock.after(this.#config.cronMs, () => {
      this.#world.host.cron();
      this.#cron();
    });
  }

  /** Faults stop; whatever waits for an answer gets one. */
  async #peace(): Promise<void> {
    const world = this.#world;
    const { clock, oracle, host } = world;
    world.faulty = false;
    world.outages.clear();
    world.trace.say("world", () => "the faults stop");
    // Older code that comes too late for a rollback can't serve, and that is as it should be.
    const slots = [...host.slots.values()];
    if (!slots.every((slot) => oracle.kept.promisesRollback(slot, world.deployed, PEACE_MS)))
      world.deployed = this.#config.versions;
    for (const worker of this.#workers) worker.forgetStale();
    this.#nemesis.wakeAll();
    await this.#fixed(slots);
    this.#deploy(world.deployed);
    await clock.settle();
    await this.#travel.settle((untilMs) => this.#step(untilMs));
    const limit = clock.now() + ANSWER_LIMIT_MS;
    while (this.#working > 0 && (await this.#step(limit)));
    if (this.#working > 0)
      oracle.fail(
        `${this.#working} clients wait for an answer (${this.#clients.map((one) => one.doing).join(", ")}) ${ANSWER_LIMIT_MS} ms after the last fault`,
      );
  }

  /** Everything runs this version. */
  #deploy(version: number): void {
    this.#world.deployed = version;
    for (const worker of this.#workers) {
      worker.version = version;
      worker.ahead = false;
    }
    for (const { current } of this.#world.host.slots.values())
      if (current !== null && current.version !== version) current.die("replaced by a deploy");
  }

  /** Code that can't migrate one key serves all the others. Then fixed code comes. */
  async #fixed(slots: readonly Slot[]): Promise<void> {
    const world = this.#world;
    const { unmigratable } = this.#config;
    if (unmigratable === null) return;
    if (slots.every((slot) => world.oracle.kept.promisesRollback(slot, 2, PEACE_MS))) {
      this.#deploy(2);
      const audit = new Audit(world, (untilMs) => this.#step(untilMs));
      for (const slot of slots) await audit.serves(slot, "what can be migrated");
      await audit.within(slots[0]!, "an answer about what can't be migrated", () => this.#admin.askFor(unmigratable));
      for (const slot of slots) await audit.snapshot(slot);
      for (const slot of slots) audit.crash(slot);
      for (const slot of slots) await audit.serves(slot, "what can be migrated, and comes back");
    }
    world.trace.count("fixed migrations");
    world.deployed = this.#config.versions;
  }

  async #judge(): Promise<void> {
    const { clock, oracle, host, trace } = this.#world;
    const random = this.#world.stream("audit");
    const slots = [...host.slots.values()];
    const quiet = clock.now() + QUIET_MS;
    while (await this.#step(quiet));
    const audit = new Audit(this.#world, (untilMs) => this.#step(untilMs));
    for (const slot of slots) await audit.shows(slot, "what runs");
    if (random.chance(0.3)) await this.#quietDays(slots);
    for (const slot of slots) await audit.snapshot(slot);
    await this.#lastCollections(slots, audit);
    for (const slot of slots) oracle.kept.check(slot);
    this.#past.check();
    await this.#saver.check(slots, audit);
    for (const slot of slots) audit.crash(slot);
    for (const slot of slots) await audit.shows(slot, "what comes back");
    for (const slot of slots) await audit.readsLog(slot);
    // Where databases were restored to an older point archives may hold what was given up.
    if (!random.chance(0.5) && this.#config.travelMs === 0) return;
    for (const slot of slots) audit.crash(slot);
    const whole = (slot: Slot): boolean => this.#world.damage.archivesWhole(slot) && oracle.kept.wholeLog(slot);
    for (const slot of slots.filter(whole)) {
      audit.loseSnapshots(slot);
      await audit.shows(slot, "a replay of the whole log");
      trace.count("full replays compared");
    }
  }

  /** Long enough for any grace, whatever a clock says: then every partition collects garbage once more. */
  async #lastCollections(slots: readonly Slot[], audit: Audit): Promise<void> {
    const { clock } = this.#world;
    for (const ms of [3 * 3_600_000, 60_000]) {
      const until = clock.now() + ms;
      while (await this.#step(until));
      if (ms === 60_000) break;
      this.#pinner.rest();
      this.#saver.rest();
      for (const slot of slots) await audit.snapshot(slot);
    }
  }

  /** Two days in which nobody calls: alarms, or the cron, fire timers and save everything (SNAP6, SNAP7). */
  async #quietDays(slots: readonly Slot[]): Promise<void> {
    const { clock, oracle, host } = this.#world;
    const until = clock.now() + 50 * 3_600_000;
    while (await this.#step(until));
    for (const slot of slots) {
      const truth = oracle.truth(slot.name);
      // Timers may have fired since then.
      const head = truth.headAt(clock.now() - DAY_OR_SO_MS, NOBODY);
      const { seq } = host.manifest(slot) ?? { seq: 0 };
      if (head > seq) oracle.fail(`${slot.short} was at ${head}, and a day later its snapshot is at ${seq} (SNAP7)`);
      const late = truth.model.overdue?.(clock.now() - ANY_ALARM_MS) ?? null;
      if (late !== null) oracle.fail(`${slot.short} has ${late} two days later (TIMER3)`);
    }
  }
}
