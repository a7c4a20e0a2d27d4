/**
 * A world, drawn from one root seed: its size, its faults, its policies, its operators.
 *
 * CONFIGURATION1. Everything that varies between runs is in here or in a named stream of the same seed.
 * CONFIGURATION2. Most worlds are small and their faults rare enough that work gets done between them; a few are calm, a few wild.
 */
import { MEMORY_BYTES, SIZES, type Sizes } from "../../src/engine/base/limits.ts";
import { Random } from "./random.ts";

/** Faults of one call, each with its probability. */
export interface FaultRates {
  readonly before: number;
  readonly after: number;
  /** No answer ever, and nothing happened. */
  readonly silent: number;
  /** No answer ever, and it happened. */
  readonly silentAfter: number;
  /** It happens seconds to minutes later, when its sender has long given up. */
  readonly late: number;
  /** It happens and is answered, but slowly. */
  readonly slow: number;
  /** The instance dies at this call, before or after it acts. */
  readonly crash: number;
  /** Another instance begins at this call, and this one continues. */
  readonly rival: number;
}

/** Steps that the world takes by itself, each with its weight. */
export interface Happenings {
  readonly evict: number;
  readonly crash: number;
  readonly supersede: number;
  readonly deploy: number;
  readonly rollback: number;
  readonly logOutage: number;
  readonly storeOutage: number;
  readonly damage: number;
  readonly clock: number;
  readonly floor: number;
  readonly workerDeath: number;
  readonly lull: number;
}

export type OperatorName = "count" | "ledger" | "credits" | "reminders";

export interface Configuration {
  readonly seed: number;
  /** Timers fired before the faults stop. */
  readonly steps: number;
  readonly codec: "plain" | "brotli";
  readonly databases: number;
  readonly pageRows: number;
  readonly operators: readonly OperatorName[];
  readonly partitions: Readonly<Record<OperatorName, number>>;
  readonly keys: readonly string[];
  readonly versions: number;
  readonly clients: number;
  readonly workers: number;
  /** Clients that number their requests (ONE2): the first ones. */
  readonly numbering: number;
  readonly eventsPerClient: number;
  readonly batch: number;
  /** Events of 150 KB, so that rows and queues reach their bounds. */
  readonly fat: boolean;
  readonly thinkMs: number;
  readonly logMs: number;
  readonly storeMs: number;
  readonly netMs: number;
  readonly temper: "calm" | "normal" | "wild";
  readonly log: FaultRates;
  readonly store: FaultRates;
  /** How many times more often a snapshot's few calls go wrong than the log's many. */
  readonly snapshotFaults: number;
  /** A call between Worker and object is lost on its way, or its answer is. */
  readonly netLost: number;
  readonly skewMs: number;
  readonly happenings: Happenings;
  readonly happeningMs: number;
  readonly alarmLost: number;
  readonly alarmLate: number;
  readonly alarmTwice: number;
  readonly cronMs: number;
  readonly maxTailBytes: number;
  readonly everyMs: number;
  readonly retainMs: number;
  readonly dedupKeepMs: number;
  readonly dedupMaxIds: number;
  readonly repliesMs: number;
  /** Bytes of states that a partition holds: few, so that most keys are read from files. */
  readonly memory: number;
  readonly sizes: Sizes;
  /** A range in the cache is wrong, or gone, when it is asked for. */
  readonly cacheFaults: number;
  /** Restore points besides those that `retainMs` needs. */
  readonly retain: { readonly last: number; readonly hourly: number; readonly daily: number };
  /** Between two who pin a snapshot; 0: nobody does. */
  readonly pinMs: number;
  /** Between two who read the past; 0: nobody does. */
  readonly pastMs: number;
  /** Between two acts of somebody who takes and removes savepoints; 0: nobody does. */
  readonly saveMs: number;
  /** Between two acts of somebody who edits, erases and steers the quarantine; 0: nobody does. */
  readonly adminMs: number;
  /** Between two times that a database is restored to an older point, or lost; 0: none is. */
  readonly travelMs: number;
  /** Keys, and events a day, that an operator may take. */
  readonly maxKeys: Readonly<Record<OperatorName, number>>;
  readonly maxEventsPerDay: number;
  /** The ledger's key that version 2 of the code can't migrate and version 3 can, or null if there is none. */
  readonly unmigratable: string | null;
  /** Keys of `reminders` expire. */
  readonly expires: boolean;
}

const KEYS = ["a", "b", "c", "__proto__", "a//b", "..", "ключ", "😀", "constructor", "x y", "k9", "K9"];
const TEMPER = { calm: 0.15, normal: 1, wild: 3 } as const;

/** How much stays in memory, and how files are cut. */
function room(seed: number): Pick<Configuration, "memory" | "sizes" | "cacheFaults"> {
  const random = new Random(seed, "room");
  const archives = new Random(seed, "archives");
  const ample = random.chance(0.4);
  return {
    memory: ample ? MEMORY_BYTES : random.skewed(1, 4_000),
    sizes: {
      blockChars: random.chance(0.3) ? SIZES.blockChars : random.skewed(1, 600),
      fileBytes: random.chance(0.5) ? SIZES.fileBytes : random.skewed(50, 2_000),
      archiveBytes: archives.chance(0.5) ? SIZES.archiveBytes : archives.skewed(1, 2_000),
      wholeBytes: random.chance(0.3) ? SIZES.wholeBytes : random.skewed(40, 3_000),
      idsBytes: random.chance(0.3) ? SIZES.idsBytes : random.skewed(24, 1_500),
    },
    cacheFaults: random.chance(0.5) ? random.unit() * 0.05 : 0,
  };
}

export function configure(seed: number, steps?: number): Configuration {
  const random = new Random(seed, "configuration");
  const temper = random.weighted({ calm: 2, normal: 6, wild: 2 });
  const scale = TEMPER[temper];
  const rates = (): FaultRates => ({
    before: random.unit() * 0.03 * scale,
    after: random.unit() * 0.03 * scale,
    silent: random.unit() * 0.012 * scale,
    silentAfter: random.unit() * 0.012 * scale,
    late: random.unit() * 0.02 * scale,
    slow: random.unit() * 0.03 * scale,
    crash: random.unit() * 0.012 * scale,
    rival: random.chance(0.5) ? random.unit() * 0.012 * scale : 0,
  });
  const some = (weight: number): number => (random.chance(0.7) ? random.unit() * weight : 0);
  const operators: OperatorName[] = (["count", "ledger", "credits"] as const).filter(() => random.chance(0.55));
  if (operators.length === 0) operators.push(random.pick(["count", "ledger", "credits"] as const));
  const fat = random.chance(0.016);
  const versions = random.weighted({ "1": 4, "2": 4, "3": 2 });
  const most = operators.length > 1 ? 2 : 4;
  const timed = configureTimers(seed);
  if (timed.reminders) operators.push("reminders");
  const drawn: Omit<Configuration, "unmigratable" | "saveMs"> = {
    seed,
    steps: steps ?? random.skewed(500, 8_000),
    codec: random.chance(0.1) ? "brotli" : "plain",
    databases: random.between(1, 2),
    pageRows: random.weighted({ "1": 1, "3": 3, "8": 3, "2000": 3 }) === "2000" ? 2_000 : random.between(1, 8),
    operators,
    partitions: {
      count: random.between(1, most),
      ledger: random.between(1, most),
      credits: random.between(1, most),
      reminders: new Random(seed, "reminders").between(1, 2),
    },
    keys: KEYS.slice(0, random.between(1, KEYS.length)),
    versions: Number(versions),
    clients: fat ? 4 : random.between(1, 4),
    workers: random.between(1, 3),
    numbering: random.chance(0.5) ? random.between(1, 2) : 0,
    eventsPerClient: fat ? 50 : random.skewed(20, 240),
    batch: fat ? 25 : random.skewed(1, 24),
    fat,
    thinkMs: fat ? 50 : random.skewed(50, 8_000),
    logMs: random.skewed(2, 60),
    storeMs: random.skewed(5, 200),
    netMs: random.skewed(1, 20),
    temper,
    log: rates(),
    store: rates(),
    snapshotFaults: random.skewed(1, 8),
    netLost: random.unit() * 0.03 * scale,
    skewMs: random.chance(0.5) ? random.skewed(10, 20_000) : 0,
    happenings: {
      evict: some(2),
      crash: some(2),
      supersede: some(2),
      deploy: some(2),
      rollback: some(1),
      logOutage: fat ? 3 : some(0.8),
      storeOutage: some(0.8),
      damage: some(2),
      clock: some(1),
      floor: some(0.6),
      workerDeath: some(0.8),
      lull: some(0.4),
    },
    happeningMs: fat ? 2_000 : random.skewed(1_500, 30_000) / Math.max(0.5, scale),
    alarmLost: random.unit() * 0.3 * scale,
    alarmLate: random.unit() * 0.3,
    alarmTwice: random.unit() * 0.3,
    cronMs: random.between(5, 40) * 60_000,
    maxTailBytes: random.skewed(1, 6_000),
    everyMs: random.skewed(10_000, 3_600_000),
    retainMs: random.skewed(60_000, 7 * 86_400_000),
    dedupKeepMs: random.skewed(10 * 60_000, 48 * 3_600_000),
    dedupMaxIds: random.chance(0.4) ? random.skewed(20, 400) : 500_000,
    repliesMs: random.chance(0.3) ? 0 : random.skewed(5 * 60_000, 24 * 3_600_000),
    ...room(seed),
    ...configureRetention(seed),
    expires: timed.expires,
    ...configureAdmin(seed, Number(versions)),
    ...configureTravel(seed, Number(versions)),
  };
  return { ...drawn, ...configureMigration(seed, drawn), ...configureSavepoints(seed, drawn) };
}

/**
 * No world has savepoints if its databases are restored to older points, since somebody decides then which there are. In
 * most worlds with savepoints retention keeps little, so that it meets them.
 */
function configureSavepoints(
  seed: number,
  { travelMs, retainMs }: Pick<Configuration, "travelMs" | "retainMs">,
): Pick<Configuration, "saveMs" | "retainMs"> {
  const random = new Random(seed, "savepoints");
  if (travelMs > 0 || random.chance(0.4)) return { saveMs: 0, retainMs };
  return {
    saveMs: random.skewed(500, 120_000),
    retainMs: random.chance(0.6) ? random.skewed(60_000, 600_000) : retainMs,
  };
}

/** Of three versions, so that one comes before and one after the code that fails. */
function configureMigration(
  seed: number,
  { versions, operators, keys }: Pick<Configuration, "versions" | "operators" | "keys">,
): Pick<Configuration, "unmigratable"> {
  const random = new Random(seed, "migration");
  const may = versions === 3 && operators.includes("ledger");
  return { unmigratable: may && random.chance(0.7) ? random.pick(keys) : null };
}

/** Some worlds have timers beside what else is drawn. */
function configureTimers(seed: number): { readonly reminders: boolean; readonly expires: boolean } {
  const random = new Random(seed, "timers");
  return { reminders: random.chance(0.4), expires: random.chance(0.4) };
}

/** With a chance of its own: what else is drawn stays as it was. */
function configureRetention(seed: number): Pick<Configuration, "retain" | "pinMs" | "pastMs"> {
  const random = new Random(seed, "retention");
  const count = (most: number): number => (random.chance(0.4) ? random.skewed(1, most) : 0);
  return {
    retain: { last: count(12), hourly: count(12), daily: count(4) },
    pinMs: random.chance(0.6) ? random.skewed(20_000, 3_600_000) : 0,
    pastMs: random.chance(0.5) ? random.skewed(1_000, 300_000) : 0,
  };
}

/**
 * Where it is restored to an older point nothing is damaged besides, and there is one version of the code: each would
 * be too much to be fixed.
 */
function configureTravel(seed: number, versions: number): Pick<Configuration, "travelMs"> {
  const random = new Random(seed, "travel");
  return { travelMs: versions === 1 && random.chance(0.3) ? random.skewed(20_000, 3_600_000) : 0 };
}

/** With a chance of its own, too. */
function configureAdmin(seed: number, versions: number): Partial<Configuration> & Bounds {
  const random = new Random(seed, "admin");
  const adminMs = random.chance(0.8) ? random.skewed(600, 30_000) : 0;
  const keys = (): number => (random.chance(0.2) ? random.between(4, 9) : Infinity);
  // Code of several versions may see other keys of the ledger, and so another number of them.
  const [count, credits, ledger] = [keys(), keys(), versions === 1 ? keys() : Infinity];
  const day = 24 * 3_600_000;
  const quota = random.chance(0.1);
  return {
    adminMs,
    maxKeys: { count, credits, ledger, reminders: credits },
    maxEventsPerDay: quota ? random.skewed(6, 400) : Infinity,
    // The ids of counted events must be known for a day.
    ...(quota ? { dedupKeepMs: random.between(day, 2 * day), dedupMaxIds: 500_000 } : {}),
  };
}
type Bounds = Pick<Configuration, "adminMs" | "maxKeys" | "maxEventsPerDay">;

/** On one screen. */
export function describe(configuration: Configuration): string {
  const round = (value: unknown): unknown => (typeof value === "number" ? Number(value.toPrecision(3)) : value);
  const lines: string[] = [];
  let line = "";
  for (const [name, value] of Object.entries(configuration)) {
    const text = `${name} ${name === "seed" ? String(value) : JSON.stringify(value, (_, one: unknown) => round(one))}`;
    if (line !== "" && line.length + text.length > 116) {
      lines.push(line);
      line = "";
    }
    line += `${line === "" ? "" : " · "}${text.replaceAll('"', "")}`;
  }
  return [...lines, line].map((one) => `  ${one}`).join("\n");
}
