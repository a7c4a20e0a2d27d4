/**
 * The bank of one seed: money moves between accounts of two operators, in several partitions and two databases, while
 * everything fails as in run.ts, and an auditor reads the sum. The rules of oracle.ts hold as well.
 *
 * BANK1. When the faults have stopped and all tellers are done, nothing is missing but what a teller left under way.
 */
import { Auditor } from "./auditor.ts";
import { ACCOUNTS, Books } from "./bank-books.ts";
import { configure, type Configuration } from "./configuration.ts";
import { Nemesis } from "./nemesis.ts";
import { Random } from "./random.ts";
import { Teller } from "./teller.ts";
import { Watched } from "./watched.ts";
import { Worker } from "./worker.ts";
import { World } from "./world.ts";

export interface BankRun {
  /** The first rule that was broken, or null. */
  readonly broken: string | null;
  readonly audits: number;
  readonly repeated: number;
  readonly minted: number;
}

const DAY_MS = 86_400_000;
const MOST_STEPS = 200_000;
const ANSWER_LIMIT_MS = 1_200_000;

/** A world of run.ts that only moves money, and forgets no ids. */
function bankOf(seed: number): Configuration {
  const drawn = configure(seed);
  const random = new Random(seed, "bank");
  return {
    ...drawn,
    operators: ["count", "credits"],
    partitions: { count: random.between(1, 3), credits: random.between(1, 3), ledger: 1, reminders: 1 },
    databases: 2,
    versions: 1,
    keys: ACCOUNTS,
    fat: false,
    unmigratable: null,
    adminMs: 0,
    travelMs: 0,
    maxKeys: { count: Infinity, credits: Infinity, ledger: Infinity, reminders: Infinity },
    maxEventsPerDay: Infinity,
    thinkMs: random.skewed(20, 2_000),
    // The partitions' clocks differ in most banks.
    skewMs: random.chance(0.7) ? random.skewed(10, 20_000) : 0,
    happenings: { ...drawn.happenings, lull: 0, damage: 0 },
    dedupKeepMs: 2 * DAY_MS,
    dedupMaxIds: 500_000,
    repliesMs: DAY_MS,
    retainMs: random.skewed(300_000, 7 * DAY_MS),
  };
}

export async function runBank(seed: number, write: ((line: string) => void) | null = null): Promise<BankRun> {
  const world = new World(bankOf(seed), write);
  const { oracle } = world;
  const bank = new Bank(world);
  try {
    await bank.run();
  } catch (error) {
    if (oracle.violations.length === 0) oracle.fail(`the bank broke: ${(error as Error).stack ?? String(error)}`);
  }
  const { audits, repeated } = bank.auditor;
  return { broken: oracle.violations[0] ?? null, audits, repeated, minted: bank.books.minted };
}

class Bank {
  readonly books = new Books();
  readonly auditor: Auditor;
  readonly #world: World;
  readonly #workers: readonly Worker[];
  readonly #tellers: readonly Teller[];
  readonly #nemesis: Nemesis;
  #steps = 0;

  constructor(world: World) {
    this.#world = world;
    const random = world.stream("bank");
    this.#workers = Array.from({ length: random.between(1, 3) }, (_, i) => new Worker(world, i));
    this.#nemesis = new Nemesis(world, this.#workers);
    this.auditor = new Auditor(world, this.books);
    this.#tellers = Array.from(
      { length: random.between(2, 5) },
      (_, i) => new Teller(world, this.books, i, this.#workers, this.#nemesis),
    );
  }

  async run(): Promise<void> {
    const { config } = this.#world;
    this.#nemesis.start();
    this.auditor.start();
    const [first] = this.#tellers;
    const work = first!
      .mint()
      .then(() => Promise.all(this.#tellers.map((teller) => teller.run(config.eventsPerClient))));
    await this.#until(work, config.steps);
    this.#world.faulty = false;
    this.#world.outages.clear();
    for (const worker of this.#workers) worker.forgetStale();
    await this.#until(work, MOST_STEPS, ANSWER_LIMIT_MS);
    await this.#last();
  }

  /** All transfers are over. So the books say exactly what "now" must show. */
  async #last(): Promise<void> {
    const { clock, oracle } = this.#world;
    const quiet = clock.now() + 700_000;
    while (await this.#step(quiet));
    const last = this.auditor.look(true);
    const finished = await this.#until(last, MOST_STEPS, ANSWER_LIMIT_MS);
    if (finished !== true) oracle.fail("the last audit couldn't be finished");
    this.auditor.judge();
  }

  /** Steps until the work is done, or as many steps or milliseconds are over. */
  async #until<T>(work: Promise<T>, steps: number, withinMs = Infinity): Promise<T | null> {
    const { clock } = this.#world;
    const watched = new Watched(work);
    const limit = withinMs === Infinity ? undefined : clock.now() + withinMs;
    await clock.settle();
    for (let left = steps; left > 0 && watched.outcome === null && (await this.#step(limit)); left--);
    const { outcome } = watched;
    if (outcome !== null && "error" in outcome) throw outcome.error;
    return outcome?.value ?? null;
  }

  async #step(untilMs?: number): Promise<boolean> {
    if (this.#world.oracle.violations.length > 0) throw new Error("a rule is broken");
    if (++this.#steps > MOST_STEPS) throw new Error(`no end after ${MOST_STEPS} steps`);
    return this.#world.clock.step(untilMs);
  }
}
