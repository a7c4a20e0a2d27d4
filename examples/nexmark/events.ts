/*
 * The events of NEXMark, an auction house: persons, auctions, and bids on auctions.
 *
 * The schemas check what the operators use. They bound whole numbers, so that sums stay exact.
 */
import { z } from "zod";

/** An id that the generator counts up from 1000. */
const id = z.int().nonnegative();
/** At most ten times the generator's highest price. The sum of a million bids stays exact. */
const cents = z.int().nonnegative().max(1_000_000_000);

export const person = z.object({
  id,
  name: z.string(),
  emailAddress: z.string(),
  creditCard: z.string(),
  city: z.string(),
  state: z.string(),
  extra: z.string(),
});

export const auction = z.object({
  id,
  itemName: z.string(),
  description: z.string(),
  initialBid: cents,
  reserve: cents,
  expires: z.iso.datetime(),
  seller: id,
  category: z.int(),
  extra: z.string(),
});

export const bid = z.object({
  auction: id,
  bidder: id,
  price: cents,
  channel: z.string(),
  url: z.string(),
  extra: z.string(),
});

export type Person = z.infer<typeof person>;
export type Auction = z.infer<typeof auction>;
export type Bid = z.infer<typeof bid>;

/** An event as it is sent. The test kit takes events of a type alias, and none of an interface. */
type Sent<Type extends string, Data> = {
  readonly id: string;
  readonly type: Type;
  /** The time at which it happened. */
  readonly time: string;
  readonly key: string;
  readonly data: Data;
};

export type BidEvent = Sent<"bid", Bid>;
export type AuctionEvent = Sent<"auction", Auction>;
export type PersonEvent = Sent<"person", Person>;
export type NexmarkEvent = PersonEvent | AuctionEvent | BidEvent;
