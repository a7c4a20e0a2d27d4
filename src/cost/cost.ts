/**
 * Predicts the cost of a load before it runs: from the load to the engine's steps, from steps to operations of the
 * stores, from operations to dollars (prices.ts).
 *
 * COST1. The policy itself says when a snapshot comes (policy.ts).
 * COST2. The operations of a step are those that a partition counts when it takes the step. test/cost/cost.test.ts
 *     compares the two.
 * COST3. Events arrive at random. Processor time, time awake and bytes at rest are estimates, and are marked as
 *     estimates.
 */
import { MARK_MS, SIZES } from "../engine/base/limits.ts";
import { predictRecovery, snapshotAt } from "../engine/checkpoint/policy.ts";
import {
  DOLLARS_PER_GB_MONTH,
  INCLUDED,
  METERS,
  OBJECT_GB,
  dollarsFor,
  type Meter,
  type Operations,
} from "./prices.ts";
import { UNMEASURED } from "../engine/recovery/recovery-rates.ts";

export interface Load {
  readonly eventsPerSecond: number;
  /** Events of one request. */
  readonly batch: number;
  readonly partitions: number;
  readonly eventBytes: number;
  /** How long D1 takes for a commit. */
  readonly commitMs: number;
  readonly snapshot: { readonly everyMs: number; readonly maxTailBytes: number; readonly recoveryMs: number };
  readonly retainMs: number;
  /** JSON bytes of the whole operator's states, and how many of them change between two snapshots. */
  readonly stateBytes: number;
  readonly changedBytes: number;
}

/** How often the engine takes each step, in a month, over all partitions. */
interface Steps {
  readonly events: number;
  readonly requests: number;
  /** Calls of objects. */
  readonly slices: number;
  readonly groups: number;
  /** Activations of objects that had left the memory. */
  readonly openings: number;
  /** Openings that keep a mark (high-water-mark.ts). */
  readonly marks: number;
  readonly snapshots: number;
  /** Snapshots that are full, and the number of files of each. */
  readonly fullSnapshots: number;
  readonly parts: number;
}

export const MONTH_SECONDS = 30 * 86_400;
/** An object that nobody calls leaves the memory after this time. */
const IDLE_SECONDS = 10;
/** The most deltas that a policy takes on one full snapshot. */
const DELTAS = 8;
/** Compressed size of states and log as a share of their JSON, measured on the bundled data. */
const PACKED = 0.3;
/** Processor time of a request, and of each event, both with the work of the object. */
const REQUEST_CPU_MS = 0.3;
const EVENT_CPU_MS = 0.02;

export function stepsOf(load: Load): Steps {
  const { eventsPerSecond, batch, partitions, commitMs, stateBytes, changedBytes } = load;
  const requests = eventsPerSecond / batch;
  // Keys are spread evenly, so a batch meets this many of the partitions.
  const met = partitions * (1 - (1 - 1 / partitions) ** batch);
  const calls = (requests * met) / partitions;
  // A group takes a commit, and then waits for the next event if none came during the commit.
  const commit = commitMs / 1_000;
  const groups = calls === 0 ? 0 : 1 / (commit + Math.exp(-calls * commit) / calls);
  const openings = calls * Math.exp(-calls * IDLE_SECONDS);
  const snapshots = calls === 0 ? 0 : 1 / snapshotSeconds(load);
  const deltas = Math.min(DELTAS, Math.floor(stateBytes / Math.max(1, changedBytes)));
  const month = (perPartition: number): number => perPartition * partitions * MONTH_SECONDS;
  return {
    events: eventsPerSecond * MONTH_SECONDS,
    requests: requests * MONTH_SECONDS,
    slices: month(calls),
    groups: month(groups),
    openings: month(openings),
    marks: month(Math.min(openings, 1_000 / MARK_MS)),
    snapshots: month(snapshots),
    fullSnapshots: month(snapshots) / (1 + deltas),
    parts: Math.max(1, Math.ceil((stateBytes * PACKED) / partitions / SIZES.fileBytes)),
  };
}

/**
 * Returns the seconds between two snapshots of a partition that always gets events: the first moment at which the
 * policy wants one (COST1).
 */
export function snapshotSeconds({ eventsPerSecond, partitions, eventBytes, snapshot, stateBytes }: Load): number {
  const rate = eventsPerSecond / partitions;
  const due = (ms: number): boolean => {
    const tailEvents = (rate * ms) / 1_000;
    const tailBytes = tailEvents * eventBytes;
    const openingBytes = (stateBytes * PACKED) / partitions / 100;
    const recovery = predictRecovery({ openingBytes, tailEvents, tailBytes, rates: UNMEASURED });
    const facts = { tailEvents, tailBytes, tailSinceMs: 1, lastMs: 1, changedBytes: 0, ...recovery };
    const at = snapshotAt(facts, { ...snapshot, memoryBytes: Number.POSITIVE_INFINITY });
    return at !== null && at <= ms + 1;
  };
  let [early, late] = [0, Math.max(86_400_000, snapshot.everyMs)];
  while (late - early > 1) {
    const middle = (early + late) / 2;
    if (due(middle)) late = middle;
    else early = middle;
  }
  return late / 1_000;
}

/** Returns the operations of the stores (COST2), and calls. */
export function operationsFor(steps: Steps): Operations {
  const { requests, slices, groups, openings, marks, snapshots, fullSnapshots, parts } = steps;
  const rows = snapshots === 0 ? 0 : groups;
  return {
    workerRequests: requests,
    // Each snapshot is an alarm.
    objectRequests: slices + snapshots,
    // A snapshot keeps two marks, arms the alarm and clears it.
    objectRowsWritten: marks + 5 * snapshots,
    // An opening reads the tail: half of a snapshot's rows. The tail is packed once, and looked through twice when it
    // is cut.
    d1RowsRead:
      6 * groups + openings * (6 + 2 * (snapshots === 0 ? 0 : groups / snapshots)) + 6 * rows + 10 * snapshots,
    // A row of the log is written and deleted, and holds the epoch of its writer. A snapshot changes the partition's
    // row, and leaves a restore point that is deleted later.
    d1RowsWritten: 2 * groups + 3 * snapshots,
    // State and manifest. Garbage collection lists names once for each full snapshot.
    r2ClassA: 2 * snapshots + parts * fullSnapshots,
    // The object's own storage has the bytes that an opening needs, except the file that was written since.
    r2ClassB: Math.min(openings, snapshots),
  };
}

interface CostLine {
  readonly meter: Meter | "d1Gb" | "r2Gb";
  readonly estimate: boolean;
  /** The amount of a month. */
  readonly amount: number;
  readonly dollars: number;
  /** Dollars beyond what the subscription includes. */
  readonly beyond: number;
}

export interface Bill {
  readonly steps: Steps;
  readonly lines: readonly CostLine[];
  readonly dollars: number;
  readonly beyond: number;
  readonly dollarsPerMillion: number;
  readonly warnings: readonly string[];
}

/** Returns the bill of a month. */
export function billOf(load: Load): Bill {
  const steps = stepsOf(load);
  const estimates: Operations = {
    workerCpuMs: steps.requests * REQUEST_CPU_MS + steps.events * EVENT_CPU_MS,
    // An object counts while it waits for a commit.
    objectGbSeconds: (steps.groups * load.commitMs * OBJECT_GB) / 1_000,
  };
  const operations = { ...operationsFor(steps), ...estimates };
  const metered = METERS.map((meter): CostLine => {
    const amount = operations[meter] ?? 0;
    const beyond = dollarsFor(meter, Math.max(0, amount - (INCLUDED[meter] ?? 0)));
    return { meter, estimate: meter in estimates, amount, dollars: dollarsFor(meter, amount), beyond };
  });
  const lines = [...metered, ...storage(load, steps)].filter(({ amount }) => amount > 0);
  const total = (of: (line: CostLine) => number): number => lines.reduce((sum, line) => sum + of(line), 0);
  const dollars = total((line) => line.dollars);
  return {
    steps,
    lines,
    dollars,
    beyond: total((line) => line.beyond),
    dollarsPerMillion: steps.events === 0 ? 0 : (dollars / steps.events) * 1e6,
    warnings: warningsOf(load, steps),
  };
}

/** The log between two snapshots stays in D1 for two of them, and in the archive for the retention time. */
function storage(load: Load, steps: Steps): CostLine[] {
  const bytesPerSecond = load.eventsPerSecond * load.eventBytes;
  const tail = steps.snapshots === 0 ? 0 : bytesPerSecond * 2 * snapshotSeconds(load);
  const archive = (bytesPerSecond * PACKED * load.retainMs) / 1_000 + 2 * load.stateBytes * PACKED;
  const line = (meter: "d1Gb" | "r2Gb", amount: number, price: number, included: number): CostLine => ({
    meter,
    estimate: true,
    amount,
    dollars: amount * price,
    beyond: Math.max(0, amount - included) * price,
  });
  return [
    line("d1Gb", tail / 1e9, DOLLARS_PER_GB_MONTH.d1, 5),
    line("r2Gb", archive / 1e9, DOLLARS_PER_GB_MONTH.r2, 10),
  ];
}

/** Calls that one object takes in a second, and groups that one database commits in a second. */
const OBJECT_CALLS = 500;
const DATABASE_COMMITS = 150;

function warningsOf({ partitions }: Load, { slices, groups }: Steps): string[] {
  const calls = slices / MONTH_SECONDS / partitions;
  const commits = groups / MONTH_SECONDS;
  const many = `${Math.ceil(slices / MONTH_SECONDS / OBJECT_CALLS)} partitions, or larger batches`;
  return [
    ...(calls > OBJECT_CALLS
      ? [`each object gets ${Math.round(calls)} calls a second and takes about ${OBJECT_CALLS}: use ${many}`]
      : []),
    ...(commits > DATABASE_COMMITS
      ? [
          `${Math.round(commits)} commits a second; a database takes about ${DATABASE_COMMITS}: use ${Math.ceil(commits / DATABASE_COMMITS)} databases, or fewer partitions`,
        ]
      : []),
  ];
}
