/**
 * Take-in: a partition of a line that replays takes in the log of another line, row by row, with the code that runs
 * here.
 *
 * TAKEIN1. A row keeps its seqs, its stamp and its events. So a moment is the same on both lines, and nothing is lost
 *     or doubled: the append's own statement refuses a row that doesn't follow the head.
 * TAKEIN2. Outcomes are decided before the row is logged, and stand in the row. So no later recovery decides them
 *     otherwise. Those that differ are noted in D1 before the row, so a promotion's preview misses none.
 * TAKEIN3. A line that replays takes in rows and no events, and every other line the reverse. The append's own statement
 *     checks it.
 * TAKEIN4. Nothing is visible before its row is in the log (LOG1). One append is in flight.
 */
import { Failure, messageOf } from "../base/errors.ts";
import { type Seq, seq, type Stamp, stamp as asStamp } from "../base/ids.ts";
import { utf8Length } from "../base/json.ts";
import { CHANGED_BUDGETS, PAGE_BYTES, ROW_BYTES, TAIL_BYTES } from "../base/limits.ts";
import type { Log } from "../base/ports.ts";
import type { ChangedOutcome, Replay, Segment } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import { append } from "../log/append.ts";
import type { ReadSegment } from "../log/archive.ts";
import type { Lease } from "../log/lease.ts";
import { APPLIED, type Outcome } from "../log/outcome.ts";
import { readSegment, sealPayload, SegmentWriter } from "../log/segment.ts";
import type { Environment, LogEnvironment } from "../operator/environment.ts";
import { keptSnapshots } from "../recovery/kept-snapshots.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { portionsAbove, withKeys } from "../recovery/replay.ts";
import { rewound } from "../recovery/rewind-check.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { Overlay } from "../state/overlay.ts";
import { appliedAgain } from "../state/command.ts";
import { type Anew, clockOf } from "../state/state-machine.ts";
import { rowStats } from "./row-stats.ts";

/** The log of the partition on one line of the source, up to that stamp. */
export interface SourcePart {
  readonly env: LogEnvironment;
  readonly upTo: Stamp;
}

export interface TakeInWish {
  /** The oldest part first. Together they are one log. */
  readonly source: readonly SourcePart[];
  readonly outcomes: Replay["outcomes"];
  /** A call ends after the portion that reaches this time, and says so. */
  readonly untilMs: number;
}

/** `more`: the source's log may go on. */
export interface TakenIn {
  readonly seq: Seq;
  readonly more: boolean;
}

export class TakeIn {
  readonly #env: Environment;
  readonly #lease: Lease;
  readonly #log: Pick<Log, "append" | "explain">;
  readonly #full: () => Promise<string | null>;
  readonly #save: (open: OpenPartition) => Promise<unknown>;
  readonly #logged: (open: OpenPartition) => void;
  #running: Promise<unknown> = Promise.resolve();

  /**
   * `full` says why the log's database has no room, or null. `save` takes a snapshot. `logged` hears of each group of
   * rows that is in the log.
   */
  constructor(
    env: Environment,
    lease: Lease,
    full: () => Promise<string | null>,
    save: (open: OpenPartition) => Promise<unknown>,
    logged: (open: OpenPartition) => void,
  ) {
    this.#env = env;
    this.#lease = lease;
    this.#log = replayingLog(env.log);
    this.#full = full;
    this.#save = save;
    this.#logged = logged;
  }

  /** Takes in what the source has logged above the partition's head. @throws Failure, Damage */
  async run(open: OpenPartition, wish: TakeInWish): Promise<TakenIn> {
    const before = this.#running;
    const running = before.catch(() => undefined).then(() => this.#run(open, wish));
    this.#running = running;
    return running;
  }

  async #run(open: OpenPartition, { source, outcomes, untilMs }: TakeInWish): Promise<TakenIn> {
    const { machine } = open;
    const decided = new Decided(outcomes);
    machine.anew = decided.anew;
    try {
      for (const part of source) {
        if (machine.stamp >= part.upTo) continue;
        const more = await this.#takePart(open, part, decided, untilMs);
        if (more) return { seq: machine.seq, more };
      }
      return { seq: machine.seq, more: false };
    } finally {
      machine.anew = null;
    }
  }

  /** Returns true if the time was over before the end of the part. */
  async #takePart(open: OpenPartition, { env, upTo }: SourcePart, decided: Decided, untilMs: number): Promise<boolean> {
    const { clock, codec } = this.#env;
    const { machine } = open;
    const opening = await persistent(clock, "D1", () => env.log.peek());
    if (opening === null || opening.head <= machine.seq) return false;
    const within = ({ stamp }: Segment): boolean => stamp <= upTo;
    const base = await baseBelow(env, machine.seq);
    for await (const portion of portionsAbove(env, opening, base, () => machine.seq, within)) {
      const segments =
        portion.tag === "archived"
          ? portion.segments
          : portion.rows.filter(within).map((row) => ({ row, events: readSegment(row, codec) }));
      await withKeys(segments, open, async (loaded) => {
        for (const group of groupsOf(loaded)) {
          await this.#makeRoom(open);
          await this.#takeWhole(open, group, decided);
        }
      });
      if (clock.now() >= untilMs && machine.seq < opening.head) return true;
    }
    return false;
  }

  /** The bounds that hold for events hold for rows, too (backpressure.ts). @throws Failure */
  async #makeRoom(open: OpenPartition): Promise<void> {
    const { machine } = open;
    // The source's quarantine may be full, and all of it is taken in.
    if (machine.quarantine.holds(2))
      throw new Failure("quarantine_full", "the quarantine is full: the code that replays throws, so fix it");
    const limit = machine.operator.memoryBytes * CHANGED_BUDGETS;
    if (machine.state.changedBytes > limit / 2 || open.tail.bytes > TAIL_BYTES / 2) await this.#save(open);
    const why = await this.#full();
    if (why !== null) throw new Failure("store_unavailable", why);
    if (machine.state.changedBytes > limit || open.tail.bytes > TAIL_BYTES)
      throw new Failure("store_unavailable", "the replay waits for a snapshot: see why snapshots fail, or are slow");
  }

  /** An error halfway leaves the machine with events that aren't logged, so the instance ends. */
  async #takeWhole(open: OpenPartition, group: readonly ReadSegment[], decided: Decided): Promise<void> {
    try {
      await this.#takeGroup(open, group, decided);
    } catch (error) {
      this.#lease.fence(`taking in failed: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Logs consecutive segments as one group. */
  async #takeGroup(open: OpenPartition, group: readonly ReadSegment[], decided: Decided): Promise<void> {
    const { clock, host, id, log } = this.#env;
    const { machine } = open;
    this.#lease.assertNotLost();
    const epoch = this.#lease.epoch!;
    const taken = this.#decide(open, group, decided);
    const stats = rowStats(this.#env, open, growthOf(taken), {});
    const nonce = host.nonce();
    const rows = taken.map(({ row }): Segment => ({ ...row, epoch, group: nonce, stats }));
    const changed = taken.flatMap((one) => one.changed);
    for (const some of portionsOf(changed)) await persistent(clock, "D1", () => log.noteChanged(some));
    const result = await append(this.#log, clock, host, rows, epoch, () => this.#lease.lost);
    if (result.tag === "rewound") throw this.#lease.lose(rewound(id, result.why));
    if (result.tag === "fenced") this.#lease.fence(result.why);
    this.#lease.assertNotLost();
    if (result.tag !== "committed") return;
    const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
    open.committed(rows.at(-1)!.last - rows[0]!.seq + 1, bytes, result.stamp);
    taken.forEach(({ overlay, row, clock }, i) => {
      // Only a floor that was raised above the source's rows changes their stamps.
      const at = asStamp(result.stamp === rows[0]!.stamp ? row.stamp : result.stamp + i);
      overlay.settle(at, host.watchers?.() ?? null);
      machine.advance(row.last, at, clock);
    });
    if (result.superseded !== null) this.#lease.fence(result.superseded);
    this.#logged(open);
  }

  #decide(open: OpenPartition, group: readonly ReadSegment[], decided: Decided): readonly Taken[] {
    const { codec, code, operator } = this.#env;
    const { machine } = open;
    const taken: Taken[] = [];
    for (const { row, events } of group) {
      const last = taken.at(-1);
      const overlay = new Overlay(machine.state, last?.overlay ?? null);
      const ours = { ...row, operatorVersion: operator.version, code };
      decided.begin();
      machine.take(overlay, last?.row.last ?? machine.seq, { row: ours, events });
      const { outcomes } = decided;
      if (outcomes.size === 0) taken.push({ row: ours, overlay, clock: clockOf(events), changed: [] });
      else {
        const changed = changedOutcomes({ row, events }, outcomes, codec.crc32);
        const writer = rewritten({ row, events }, outcomes);
        const written = { ...ours, ...sealPayload(writer.payload(), writer.bytes, codec) };
        taken.push({ row: written, overlay, clock: writer.clock, changed });
      }
    }
    return taken;
  }
}

/** A row as this line logs it, and its effects. */
interface Taken {
  readonly row: Segment;
  readonly overlay: Overlay;
  /** The partition clock of its last event. */
  readonly clock: number;
  readonly changed: readonly ChangedOutcome[];
}

function growthOf(taken: readonly Taken[]): { readonly keys: number; readonly size: number } {
  const grown = taken.map(({ overlay }) => overlay.growth());
  return {
    keys: grown.reduce((sum, { keys }) => sum + keys, 0),
    size: grown.reduce((sum, { size }) => sum + size, 0),
  };
}

/** Decides the outcomes of one segment after the other. */
class Decided {
  readonly #mode: Replay["outcomes"];
  /** The outcomes of the segment that differ from the logged ones, by place. */
  outcomes = new Map<number, Outcome>();

  constructor(mode: Replay["outcomes"]) {
    this.#mode = mode;
  }

  begin(): void {
    this.outcomes = new Map();
  }

  readonly anew: Anew = ({ index, command, logged }, run) => {
    const stays = this.#mode === "logged" && logged !== undefined && logged.tag !== "applied";
    if (stays) return logged;
    const ran = run();
    const outcome = this.#mode === "logged" ? appliedAgain(command, ran) : ran;
    // The sender hears the reply or the refusal again that it heard first.
    if (outcome.tag === (logged?.tag ?? "applied")) return logged ?? APPLIED;
    const kept = this.outcomes.size < EXPLAINED ? outcome : shortened(outcome);
    this.outcomes.set(index, kept);
    return kept;
  };
}

/** Errors of one row that keep their stack. With the stacks of all its events, a row would not fit into D1. */
const EXPLAINED = 20;
const SHORT_CHARS = 100;

function shortened(outcome: Outcome): Outcome {
  if (outcome.tag === "applied") return outcome;
  if (outcome.tag === "quarantined") return { tag: "quarantined", error: outcome.error.slice(0, SHORT_CHARS) };
  return outcome.detail.length <= SHORT_CHARS ? outcome : { ...outcome, detail: "null" };
}

/** Characters of an outcome that are noted. */
const NOTED_CHARS = 300;

/** Returns an outcome for a reader: `applied`, `refused CODE` or `quarantined ERROR`. */
function said(outcome: Outcome): string {
  const why = outcome.tag === "applied" ? "" : ` ${outcome.tag === "refused" ? outcome.code : outcome.error}`;
  return `${outcome.tag}${why}`.slice(0, NOTED_CHARS);
}

function changedOutcomes(
  { row, events: { keys, outcomes: logged, sent } }: ReadSegment,
  outcomes: ReadonlyMap<number, Outcome>,
  crc32: (text: string) => number,
): ChangedOutcome[] {
  return [...outcomes].map(([index, outcome]) => {
    const [was, now] = [logged.get(index) ?? APPLIED, outcome].map(said);
    // A handler may write on the event, so its id comes from the sent text.
    const { id } = JSON.parse(sent(index)) as { readonly id: string };
    const one = { seq: seq(row.seq + index), key: keys[index]!, id, was: was!, now: now! };
    return { ...one, print: crc32(JSON.stringify([one.seq, one.key, one.id, one.was, one.now])) };
  });
}

/** Writes the row anew, with other outcomes. */
function rewritten({ row, events }: ReadSegment, changed: ReadonlyMap<number, Outcome>): SegmentWriter {
  const writer = new SegmentWriter(row.seq);
  let index = 0;
  for (const [count, ms] of events.at)
    for (let i = 0; i < count; i++, index++) {
      const text = events.sent(index);
      writer.body(text, utf8Length(text));
      writer.event(events.keys[index]!, ms);
      const outcome = changed.get(index) ?? events.outcomes.get(index);
      if (outcome !== undefined && outcome !== APPLIED) writer.outcome(outcome);
    }
  for (const mark of events.marks) writer.mark(mark);
  return writer;
}

/** Characters of changed outcomes that one statement carries. D1 takes texts of 2 MB. */
const NOTED_AT_ONCE = 400_000;

function* portionsOf(changed: readonly ChangedOutcome[]): Generator<readonly ChangedOutcome[]> {
  let some: ChangedOutcome[] = [];
  let chars = 0;
  for (const one of changed) {
    const { length } = JSON.stringify(one);
    if (some.length > 0 && chars + length > NOTED_AT_ONCE) {
      yield some;
      [some, chars] = [[], 0];
    }
    some.push(one);
    chars += length;
  }
  if (some.length > 0) yield some;
}

/** Rows of one append. */
const GROUP_ROWS = 32;

/** Cuts segments into groups that one append may carry. */
function* groupsOf(segments: readonly ReadSegment[]): Generator<readonly ReadSegment[]> {
  let group: ReadSegment[] = [];
  let bytes = 0;
  for (const segment of segments) {
    const { length } = segment.row.payload;
    if (group.length > 0 && (group.length === GROUP_ROWS || bytes + length > PAGE_BYTES - ROW_BYTES)) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(segment);
    bytes += length;
  }
  if (group.length > 0) yield group;
}

/** Returns the newest snapshot at or below the seq: the archives of its version and of earlier ones end below. */
async function baseBelow(env: LogEnvironment, at: Seq): Promise<Manifest | null> {
  const roots = await persistent(env.clock, "D1", () => env.log.roots());
  const kept = roots === null ? [] : keptSnapshots(env, roots).filter((one) => one.seq <= at);
  return (await kept.at(-1)?.manifest()) ?? null;
}

/** The log as a line that replays writes it (TAKEIN3). */
const replayingLog = (log: Log): Pick<Log, "append" | "explain"> => ({
  append: (rows, held) => log.append(rows, held, "replaying"),
  explain: async (at) => {
    const known = await log.explain(at);
    return { ...known, open: known.replaying };
  },
});
