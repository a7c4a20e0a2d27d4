/**
 * The world of one seed: stores, time, chance, the platform, the oracle, and what is broken at the moment.
 *
 * WORLD1. Nothing in it knows of real time or real chance.
 */
import { brotli } from "../../src/adapters/brotli.ts";
import { route, type Address } from "../../src/engine/operator/routing.ts";
import { HASH_NAME } from "../../src/engine/base/hash.ts";
import type { Operator } from "../../src/engine/operator/operator.ts";
import type { Codec } from "../../src/engine/base/ports.ts";
import type { Retention } from "../../src/engine/base/records.ts";
import type { Routes } from "../../src/worker/app.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../src/testkit/memory-store.ts";
import { VirtualClock } from "../../src/testkit/virtual-clock.ts";
import { plain } from "./codec.ts";
import type { Configuration, FaultRates } from "./configuration.ts";
import { Damage } from "./damage.ts";
import { drawFate, type Fate, type Outage } from "./fate.ts";
import { Host, type Slot } from "./host.ts";
import type { Instance } from "./instance.ts";
import { operatorsOf } from "./operators.ts";
import { Oracle } from "./oracle.ts";
import { Random } from "./random.ts";
import { Trace } from "./trace.ts";

export class World {
  readonly config: Configuration;
  readonly clock = new VirtualClock();
  readonly trace: Trace;
  readonly codec: Codec;
  readonly store = new MemoryStore();
  readonly oracle: Oracle;
  readonly damage: Damage;
  readonly host: Host;
  /** Faults run. */
  faulty = true;
  /** The version that was deployed last. */
  deployed = 1;
  /** Decides about a call before chance does. */
  script: ((by: Instance, method: string) => Fate | null) | null = null;
  /** Lets another instance begin beside this one. */
  rival: ((by: Instance) => void) | null = null;
  /** Acts at the last moment before retention gives something up. */
  beforeRetain: ((slot: Slot, retention: Retention) => Promise<void>) | null = null;
  /** Partitions of which some instance's clock didn't go as it should. */
  readonly disturbed = new Set<Slot>();
  readonly generations = new Map<string, number>();
  readonly outages = new Map<string, Outage>();
  readonly #databases: ReadonlyMap<string, MemoryDatabase>;
  readonly #operators: readonly (readonly Operator[])[];
  readonly #routes: readonly Routes[];
  readonly #versions: Random;
  /** Who reads the log page by page is the most open to what others do meanwhile. */
  readonly #pageRates: FaultRates;
  readonly #snapshotRates: { readonly log: FaultRates; readonly store: FaultRates };

  constructor(config: Configuration, write: ((line: string) => void) | null) {
    this.config = config;
    this.trace = new Trace(() => this.clock.now(), write);
    this.codec = config.codec === "brotli" ? brotli : plain;
    const names = Array.from({ length: config.databases }, (_, i) => `LOG_${i}`);
    this.#databases = new Map(names.map((name) => [name, new MemoryDatabase(config.pageRows)]));
    this.#operators = Array.from({ length: config.versions }, (_, i) => operatorsOf(config, i + 1));
    this.#routes = this.#operators.map((operators) => routesOf(config, operators, names));
    this.#versions = this.stream("versions");
    const { snapshotFaults: more } = config;
    this.#pageRates = { ...config.log, rival: config.log.rival * 6, slow: config.log.slow * 3 };
    this.#snapshotRates = { log: scaled(config.log, more), store: scaled(config.store, more) };
    this.oracle = new Oracle(this);
    this.damage = new Damage(this);
    this.host = new Host(this, this.addresses());
  }

  stream(name: string): Random {
    return new Random(this.config.seed, name);
  }

  database(name: string): MemoryDatabase {
    return this.#databases.get(name)!;
  }

  databases(): readonly string[] {
    return [...this.#databases.keys()];
  }

  operators(version: number): readonly Operator[] {
    return this.#operators[version - 1]!;
  }

  routes(version: number): Routes {
    return this.#routes[version - 1]!;
  }

  addresses(): Address[] {
    return [...this.#routes[0]!.byOperator.values()].flatMap((one) => one.addresses);
  }

  /** A deploy doesn't reach every machine at once. */
  versionToRun(): number {
    const stale = this.faulty && this.#versions.chance(0.1);
    return stale ? this.#versions.between(1, this.config.versions) : this.deployed;
  }

  /** How often the database was restored to an older point; of R2, 0. */
  generation(home: string): number {
    return this.generations.get(home) ?? 0;
  }

  logFate(by: Instance, method: string, home: string): Fate {
    const { config, trace } = this;
    const scripted = this.script?.(by, method) ?? null;
    if (scripted !== null) return scripted;
    const rates =
      method === "promote" || method === "row"
        ? this.#snapshotRates.log
        : method === "page"
          ? this.#pageRates
          : config.log;
    return drawFate(by.random, this.faulty ? rates : null, config.logMs, this.#outage(home), trace);
  }

  storeFate(by: Instance, method: string): Fate {
    const { config, trace } = this;
    const scripted = this.script?.(by, method) ?? null;
    if (scripted !== null) return scripted;
    const rates = method === "put" ? this.#snapshotRates.store : config.store;
    return drawFate(by.random, this.faulty ? rates : null, config.storeMs, this.#outage("R2"), trace);
  }

  /** R2 says that the name is there, though it isn't: a put is refused. */
  refusesPut(by: Instance): boolean {
    const refused = this.faulty && by.random.chance(this.config.store.before / 2);
    if (refused) this.trace.count("puts refused");
    return refused;
  }

  #outage(home: string): Outage | null {
    const outage = this.outages.get(home);
    if (outage === undefined) return null;
    if (this.clock.now() < outage.untilMs) return outage;
    this.outages.delete(home);
    return null;
  }
}

/** So many times more often, as long as half of the calls go well. */
function scaled(rates: FaultRates, by: number): FaultRates {
  const sum = Object.values(rates).reduce((one, other: number) => one + other, 0);
  const factor = Math.min(by, 0.5 / Math.max(sum, 1e-9));
  return Object.fromEntries(
    Object.entries(rates).map(([name, rate]) => [name, rate * factor]),
  ) as unknown as FaultRates;
}

function routesOf(config: Configuration, operators: readonly Operator[], databases: readonly string[]): Routes {
  const routes = operators.map((operator, n) =>
    route(1, operator, {
      operator: operator.name,
      partitions: operator.partitions,
      hash: HASH_NAME,
      seed: new Random(config.seed, `placement ${operator.name}`).word() + n,
      databases: Array.from({ length: operator.partitions }, (_, i) => databases[i % databases.length]!),
    }),
  );
  const byType = new Map<string, (typeof routes)[number][]>();
  for (const one of routes)
    for (const type of one.operator.handlers.keys()) byType.set(type, [...(byType.get(type) ?? []), one]);
  return { line: 1, ancestors: [], byOperator: new Map(routes.map((one) => [one.operator.name, one])), byType };
}
