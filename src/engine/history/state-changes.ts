/**
 * State changes: the state of a key after each event that changed it, in the order of the log, for readers that follow
 * a whole operator.
 *
 * CHANGES1. Only rows up to a settled stamp are read (settle.ts), and only D1 and R2 are asked: no partition is woken.
 * CHANGES2. A page reads the log twice. The first reading finds the keys of the next events. The second one replays
 *     those keys from the newest kept snapshot at or before the place, as a read of the past does (PAST1).
 * CHANGES3. Memory is bounded: a page has a bounded number of events, and ends earlier if its keys or states are large.
 *     The reading for keys ends after so many events, whether they are wanted or not.
 * CHANGES4. Every page says where it ends, and the next one begins there. So pages of any size make up the same list.
 * CHANGES5. A page of a line that starts from another one is read of that one first, up to the start (ORIGIN1), and ends
 *     there.
 */
import { Failure } from "../base/errors.ts";
import { seq, stamp, type Seq, type Stamp } from "../base/ids.ts";
import type { Opening, PartitionRow, Segment } from "../base/records.ts";
import type { ReadSegment } from "../log/archive.ts";
import { readSegment, type SegmentEvents } from "../log/segment.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { type Gone, goneWithOrigin, load, openKept, unlessRemoved } from "../recovery/past-state.ts";
import { portionsAbove, withKeys } from "../recovery/replay.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { Overlay } from "../state/overlay.ts";
import { appliedAgain } from "../state/command.ts";
import type { DecidedEvent, Keys, StateMachine } from "../state/state-machine.ts";
import { comparePlaces, type FeedPlace, placeAfter, wholeUpTo } from "./feed-place.ts";

/** The state that an event left. */
export interface StateChange extends FeedPlace {
  readonly key: string;
  /** JSON text. Null if the key has no state. */
  readonly text: string | null;
  /** The version of the text, if it is older than the operator's since it can't be migrated. */
  readonly version: number | undefined;
  readonly event: { readonly type: string; readonly id: string; readonly source: string };
  /** The line that logged the event. */
  readonly line: number;
}

export interface ChangesAsked {
  readonly after: FeedPlace;
  /** A settled stamp. */
  readonly upTo: Stamp;
  /** Events of the page, at most. */
  readonly most: number;
  readonly bounds: FeedBounds;
  readonly wanted: Keys;
}

/** Bounds of a page's memory and work. */
export interface FeedBounds {
  /** Bytes of the states of its keys. */
  readonly bytes: number;
  /** Characters of the states that are given. */
  readonly chars: number;
  /** Events that are looked at. */
  readonly scanned: number;
}

export interface ChangesPage {
  readonly tag: "page";
  readonly changes: readonly StateChange[];
  /** The page covers everything up to here. Null if it covers everything up to the stamp that was asked for. */
  readonly end: FeedPlace | null;
  /** False if another version of the operator applied events that were read. */
  readonly exact: boolean;
}

/** Returns the next changes of a partition. @throws Damage, Failure */
export async function nextChanges(env: LogEnvironment, asked: ChangesAsked): Promise<ChangesPage | Gone> {
  const { origin } = env;
  const { after, upTo } = asked;
  if (comparePlaces(after, placeAfter(upTo)) >= 0) return NOTHING;
  if (origin !== undefined && comparePlaces(after, placeAfter(origin.at)) < 0) {
    const until = stamp(Math.min(upTo, origin.at));
    const earlier = await unlessRemoved(() => nextChanges(origin.env, { ...asked, upTo: until }));
    if (earlier === null) return goneWithOrigin(env, origin);
    return earlier.tag === "gone" || earlier.end !== null || upTo <= until
      ? earlier
      : { ...earlier, end: placeAfter(until) };
  }
  return openKept<ChangesPage | Gone>(env, wholeUpTo(after), async (base, roots, ask) => {
    if (roots === null) return NOTHING;
    const { row, retainFrom } = roots;
    // A savepoint keeps its moment alone, and not the log above it.
    if (wholeUpTo(after) < retainFrom) return { tag: "gone", oldest: retainFrom };
    const opening = await ask();
    if (opening === null) return NOTHING;
    return new ChangesReader(env, asked, { base, row, opening }).read();
  });
}

const NOTHING: ChangesPage = { tag: "page", changes: [], end: null, exact: true };

/** Where the readings of a page begin. */
interface FeedBase {
  readonly base: Manifest | null;
  readonly row: PartitionRow;
  readonly opening: Opening;
}

/** An event of a page, before its state is known. */
interface FeedEvent extends FeedPlace {
  readonly key: string;
}

class ChangesReader {
  readonly #env: LogEnvironment;
  readonly #asked: ChangesAsked;
  readonly #from: FeedBase;
  #events: FeedEvent[] = [];
  #keys = new Set<string>();
  #end: FeedPlace | null = null;
  readonly #changes: StateChange[] = [];
  #chars = 0;
  /** Bytes of the keys that a shorter page left out. */
  #dropped = 0;

  constructor(env: LogEnvironment, asked: ChangesAsked, from: FeedBase) {
    this.#env = env;
    this.#asked = asked;
    this.#from = from;
  }

  async read(): Promise<ChangesPage> {
    await this.#findEvents();
    const exact = this.#events.length === 0 || (await this.#findStates());
    const end = this.#end;
    const changes = this.#changes.filter((one) => end === null || comparePlaces(one, end) <= 0);
    return { tag: "page", changes, end, exact };
  }

  /** The first reading (CHANGES2). */
  async #findEvents(): Promise<void> {
    const { base, row } = this.#from;
    const { most } = this.#asked;
    let at: Seq = base?.seq ?? row.startSeq;
    let scanned = 0;
    const all = (): boolean => true;
    for await (const segments of this.#portions(() => at, all))
      for (const { row: one, events } of segments) {
        at = one.last;
        if (!this.#isBehind(one)) continue;
        for (const [i, key] of events().keys.entries()) {
          const place = this.#placeOf(one, seq(one.seq + i));
          if (comparePlaces(place, this.#asked.after) <= 0) continue;
          scanned += 1;
          if (this.#wants(key)) this.#events.push({ ...place, key });
          if (this.#events.length >= most || scanned >= this.#asked.bounds.scanned)
            return this.#keep(this.#events, place);
        }
      }
    this.#keep(this.#events, null);
  }

  #wants(key: string): boolean {
    const { share } = this.#env;
    return (share === undefined || share.holds(key)) && this.#asked.wanted(key);
  }

  #placeOf({ stamp: at }: Segment, event: Seq): FeedPlace {
    return { stamp: at, partition: this.#env.id.partition, seq: event };
  }

  /** Returns true if the row has events behind the place that was asked for. */
  #isBehind(row: Segment): boolean {
    return comparePlaces(this.#placeOf(row, row.last), this.#asked.after) > 0;
  }

  #keep(events: readonly FeedEvent[], end: FeedPlace | null): void {
    this.#events = [...events];
    this.#keys = new Set(events.map(({ key }) => key));
    this.#end = end;
  }

  /** The second reading (CHANGES2). Returns false if another version of the operator ran. */
  async #findStates(): Promise<boolean> {
    const { base, row } = this.#from;
    const loaded = await load(this.#env, row, base, true, (held) => (key) => this.#holds(key, held()));
    const { machine } = loaded;
    const isNeeded = ({ seq: first }: Segment): boolean => this.#end === null || first <= this.#end.seq;
    for await (const segments of this.#portions(() => machine.seq, isNeeded)) {
      const read = segments.map((one) => ({ row: one.row, events: one.events() }));
      await withKeys(read, loaded, (some) => some.forEach((one) => this.#replay(machine, one)));
    }
    return !machine.foreign;
  }

  /** Makes the page shorter if the states of its keys take too much memory (CHANGES3). */
  #holds(key: string, held: number): boolean {
    if (held - this.#dropped > this.#asked.bounds.bytes && this.#events.length > 1) {
      this.#endAt(this.#events[Math.ceil(this.#events.length / 2) - 1]!);
      this.#dropped = held;
    }
    return this.#keys.has(key);
  }

  /** Ends the page at an event before its end. */
  #endAt({ stamp: at, partition, seq: last }: FeedPlace): void {
    const end = { stamp: at, partition, seq: last };
    this.#keep(
      this.#events.filter((one) => comparePlaces(one, end) <= 0),
      end,
    );
  }

  #replay(machine: StateMachine, segment: ReadSegment): void {
    if (!this.#isBehind(segment.row)) return machine.replay(segment);
    const overlay = new Overlay(machine.state, null);
    machine.anew = (event, run) => {
      const { type, id, source } = event.event;
      const { logged, command } = event;
      if (logged !== undefined && logged.tag !== "applied") return logged;
      const outcome = appliedAgain(command, run());
      if (outcome.tag === "applied") this.#take(overlay, event, { type, id, source });
      return outcome;
    };
    machine.replay(segment, overlay);
    machine.anew = null;
  }

  #take(overlay: Overlay, { at, key, row }: DecidedEvent, event: StateChange["event"]): void {
    const place = this.#placeOf(row, at);
    const isBeyond = this.#end !== null && comparePlaces(place, this.#end) > 0;
    if (isBeyond || comparePlaces(place, this.#asked.after) <= 0) return;
    const { text, seq: changedAt, version } = overlay.last(key);
    // A command on the quarantine may leave the state as it was.
    if (changedAt !== at) return;
    this.#changes.push({ ...place, key, text, version, event, line: this.#env.id.line });
    this.#chars += text?.length ?? 0;
    if (this.#chars > this.#asked.bounds.chars) this.#endAt(place);
  }

  /** Yields the rows above a seq, which the caller raises with each portion, up to the stamp and while they are needed. */
  async *#portions(at: () => Seq, isNeeded: (row: Segment) => boolean): AsyncGenerator<readonly LogSegment[]> {
    const { upTo } = this.#asked;
    const { base, opening } = this.#from;
    const { codec, id } = this.#env;
    let ended = false;
    const isWithin = (row: Segment): boolean => {
      const taken = row.stamp <= upTo && isNeeded(row);
      ended ||= !taken;
      return taken;
    };
    for await (const portion of portionsAbove(this.#env, opening, base, at, isWithin))
      yield portion.tag === "archived"
        ? portion.segments.map(({ row, events }) => ({ row, events: () => events }))
        : portion.rows.filter(isWithin).map((row) => ({ row, events: () => readSegment(row, codec) }));
    // As in a read of the past: a snapshot that cuts rows between two pages leaves no hole, only an early end.
    if (!ended && at() < opening.head)
      throw new Failure("fenced", `a snapshot was promoted while the log of partition ${id.partition} was read`);
  }
}

/** A row of the log. Its events are read when they are asked for. */
interface LogSegment {
  readonly row: Segment;
  readonly events: () => SegmentEvents;
}
