/** A batch: events of a request that are decided together. The next batch waits for them (INTAKE2 of intake.ts). */
import { print } from "../../engine/event/fingerprint.ts";
import type { ReadEvent } from "../../engine/event/event.ts";
import type { Keyed, Route } from "../../engine/operator/routing.ts";
import { FORGOTTEN, KNOWN, NEW, QUARANTINED, REFUSED, REJECTED, UNDECIDED } from "./event-bits.ts";
import type { Decided } from "./event-result.ts";
import { newDraft, type Draft } from "./pending-request.ts";

/** A batch is sent at this number of events or characters: one call must stay well below the RPC limit of 32 MiB. */
const BATCH_EVENTS = 5_000;
export const BATCH_CHARS = 1_000_000;
/**
 * The limit if the answer holds every event's reply. A reply of 64 KiB of UTF-8 travels as 128 KiB if one character
 * isn't Latin-1. With 250 such replies, codes and seqs would exceed the RPC limit.
 */
const FULL_BATCH_EVENTS = 200;

export const NOTHING = {
  received: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  rejected: 0,
  quarantined: 0,
  forgotten: 0,
  unrouted: 0,
  through: 0,
};
type Tally = typeof NOTHING;

export type Accepted = Extract<ReadEvent, { tag: "event" }>;

export class Batch {
  /** Index of the batch's first event in its request. */
  readonly base: number;
  /** Bits of each event, by its place in the batch (event-bits.ts). */
  readonly bits: number[] = [];
  readonly decided: Decided[] = [];
  /** All texts are known to be ASCII, so their characters are bytes. */
  ascii = true;
  /** By operator, then by partition. */
  readonly #drafts = new Map<Route, (Draft | undefined)[]>();
  #chars = 0;

  constructor(base: number) {
    this.base = base;
  }

  get drafts(): Draft[] {
    return [...this.#drafts.values()].flat().filter((draft) => draft !== undefined);
  }

  isFull(full: boolean): boolean {
    return this.bits.length >= (full ? FULL_BATCH_EVENTS : BATCH_EVENTS) || this.#chars >= BATCH_CHARS;
  }

  /** Adds the event of the next place to the request of a partition that wants it. */
  draft(route: Route, { key, partition }: Extract<Keyed, { tag: "keyed" }>, read: Accepted): void {
    let drafts = this.#drafts.get(route);
    if (drafts === undefined) this.#drafts.set(route, (drafts = []));
    const draft = (drafts[partition] ??= newDraft(route, partition));
    draft.texts.push(read.text);
    draft.keys.push(key);
    draft.places.push(this.bits.length);
    print(draft.prints, read.event, key, route.placement.seed, read.timed);
    this.#chars += read.text.length;
  }

  /** Ends the place of an event. */
  place(bits = 0): void {
    this.bits.push(bits);
  }

  /** Adds what was decided to the counts. Returns false if an event isn't decided. */
  tally(counts: Tally): boolean {
    const { bits, base } = this;
    counts.through = base + bits.length;
    for (let place = bits.length - 1; place >= 0; place--) {
      const of = bits[place]!;
      if (of === NEW) counts.accepted += 1;
      else if (of === KNOWN) counts.duplicates += 1;
      else if (of & UNDECIDED) counts.through = base + place;
      else if (of !== 0) tallyMixed(of, counts);
    }
    return counts.through === base + bits.length;
  }
}

/** INTAKE5. */
function tallyMixed(bits: number, counts: Tally): void {
  const no = (bits & (REJECTED | REFUSED)) !== 0;
  if (bits & REJECTED) counts.rejected += 1;
  else if (bits & REFUSED) counts.refused += 1;
  else if (bits & NEW) counts.accepted += 1;
  else counts.duplicates += 1;
  if (bits & QUARANTINED && !no) counts.quarantined += 1;
  if (bits & FORGOTTEN && !no) counts.forgotten += 1;
}
