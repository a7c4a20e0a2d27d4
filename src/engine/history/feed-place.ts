/**
 * Feed places: where a reader of an operator's changes is, in one order over all partitions.
 *
 * PLACE1. Changes are ordered by their stamp, then by partition, then by seq. All rows up to a settled stamp are one
 *     consistent cut (TIME1), so one place says how far each partition was read. It stays valid if partitions are
 *     split: a change is placed by the partition that logged it.
 * PLACE2. A cursor is the text of a place with the line that logged the change. It is opaque to its readers, has a
 *     version, and a check that also covers the operator. It has a dot after the version, which no moment has there.
 */
import { hashGroup } from "../base/hash.ts";
import { stamp, type Stamp } from "../base/ids.ts";

export interface FeedPlace {
  readonly stamp: Stamp;
  /** Infinity, as the seq then is, behind all changes with this stamp. */
  readonly partition: number;
  readonly seq: number;
}

/** The place behind everything up to a stamp. */
export const placeAfter = (at: Stamp): FeedPlace => ({
  stamp: at,
  partition: Number.POSITIVE_INFINITY,
  seq: Number.POSITIVE_INFINITY,
});

export function comparePlaces(a: FeedPlace, b: FeedPlace): number {
  if (a.stamp !== b.stamp) return a.stamp - b.stamp;
  if (a.partition !== b.partition) return a.partition < b.partition ? -1 : 1;
  return a.seq === b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}

/** Returns the last stamp whose changes were all read at that place. */
export const wholeUpTo = (place: FeedPlace): Stamp =>
  Number.isFinite(place.partition) ? stamp(place.stamp - 1) : place.stamp;

export interface FeedCursor {
  readonly line: number;
  readonly place: FeedPlace;
}

const VERSION = "v1";

export function cursorText(operator: string, { line, place }: FeedCursor): string {
  const within = Number.isFinite(place.partition) ? `.${place.partition}.${place.seq}` : "";
  const body = `${VERSION}.${line}.${place.stamp}${within}`;
  return `${body}.${checkOf(operator, body)}`;
}

const checkOf = (operator: string, body: string): string => hashGroup(`${operator} ${body}`, 1).toString(36);

export type ReadCursor =
  | ({ readonly tag: "cursor" } & FeedCursor)
  /** Other code made it. */
  | { readonly tag: "version"; readonly version: string }
  /** It is damaged, or of another operator. */
  | { readonly tag: "invalid" };

/** Returns null if the text isn't a cursor at all. */
export function readFeedCursor(operator: string, text: string): ReadCursor | null {
  const version = /^(v\d+)\./.exec(text)?.[1];
  if (version === undefined) return null;
  if (version !== VERSION) return { tag: "version", version: version.slice(0, 20) };
  const found = /^(v1\.(\d{1,15})\.(\d{1,16})(?:\.(\d{1,9})\.(\d{1,15}))?)\.([0-9a-z]{1,7})$/.exec(text);
  if (found === null || !Number.isSafeInteger(Number(found[3])) || found[6] !== checkOf(operator, found[1]!))
    return { tag: "invalid" };
  const at = stamp(Number(found[3]));
  const place =
    found[4] === undefined ? placeAfter(at) : { stamp: at, partition: Number(found[4]), seq: Number(found[5]) };
  return { tag: "cursor", line: Number(found[2]), place };
}
