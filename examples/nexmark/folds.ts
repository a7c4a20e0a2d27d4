/*
 * The results by plain code: every query over a list of all events, each of them once.
 *
 * It shares no code with the operators that it checks. It looks at all events at once, in the order of their ids.
 */
import type { AuctionEvent, BidEvent, NexmarkEvent, PersonEvent } from "./events.ts";
import type { Row } from "./query.ts";

type Fold = (events: readonly NexmarkEvent[]) => Row[];

export const folds: Readonly<Record<number, Fold>> = {
  0: (events) =>
    bidsOf(events).map(({ data: { auction, bidder, price, extra }, time }) => {
      return { auction, bidder, price, dateTime: time, extra };
    }),

  1: (events) =>
    bidsOf(events).map(({ data: { auction, bidder, price, extra }, time }) => {
      return { auction, bidder, price: inEuros(price), dateTime: time, extra };
    }),

  2: (events) =>
    bidsOf(events)
      .map(({ data: { auction, price } }) => ({ auction, price }))
      .filter(({ auction }) => Number.isInteger(auction / 123)),

  3: (events) => {
    const persons = new Map(personsOf(events).map(({ data }) => [data.id, data]));
    return auctionsOf(events).flatMap(({ data: { id, category, seller } }) => {
      const person = persons.get(seller);
      if (category !== 10 || person === undefined || !/^(OR|ID|CA)$/.test(person.state)) return [];
      return [{ name: person.name, city: person.city, state: person.state, id }];
    });
  },

  9: (events) => {
    const bids = Map.groupBy(bidsOf(events), ({ data }) => data.auction);
    return auctionsOf(events).flatMap(({ data, time }) => {
      const valid = (bids.get(data.id) ?? []).filter((bid) => bid.time >= time && bid.time <= data.expires);
      const [winner] = valid.sort(byPrice);
      if (winner === undefined) return [];
      const { id, itemName, description, initialBid, reserve, expires, seller, category, extra } = data;
      const sold = { id, itemName, description, initialBid, reserve, dateTime: time, expires, seller, category, extra };
      const { bidder, price } = winner.data;
      return [{ ...sold, auction: id, bidder, price, bid_dateTime: winner.time, bid_extra: winner.data.extra }];
    });
  },

  17: (events) => {
    const days = Map.groupBy(bidsOf(events), ({ data, time }) => `${data.auction} ${time.split("T")[0]}`);
    return [...days].map(([name, bids]) => {
      const [auction, day = ""] = name.split(" ");
      const prices = bids.map(({ data }) => data.price).sort((a, b) => a - b);
      const below = (limit: number): number => prices.filter((price) => price < limit).length;
      const sum = prices.reduce((total, price) => total + BigInt(price), 0n);
      return {
        auction: Number(auction),
        day,
        total_bids: bids.length,
        rank1_bids: below(10_000),
        rank2_bids: below(1_000_000) - below(10_000),
        rank3_bids: bids.length - below(1_000_000),
        min_price: prices[0]!,
        max_price: prices.at(-1)!,
        avg_price: Number(sum / BigInt(bids.length)),
        sum_price: Number(sum),
      };
    });
  },

  18: (events) => {
    // Bids come in the order of their times and ids. So the last one of each pair stays.
    const last = new Map(bidsOf(events).map((bid) => [`${bid.data.auction} by ${bid.data.bidder}`, bid]));
    return [...last.values()].map(bidRow);
  },

  19: (events) =>
    [...Map.groupBy(bidsOf(events), ({ data }) => data.auction).values()].flatMap((bids) =>
      bids
        .sort(byPrice)
        .slice(0, 10)
        .map((bid, i) => ({ ...bidRow(bid), rank_number: i + 1 })),
    ),

  20: (events) => {
    const auctions = new Map(auctionsOf(events).map((event) => [event.data.id, event]));
    return bidsOf(events).flatMap(({ data, time }) => {
      const found = auctions.get(data.auction);
      if (found?.data.category !== 10) return [];
      const { auction, bidder, price, channel, url } = data;
      const placed = { auction, bidder, price, channel, url, bid_dateTime: time, bid_extra: data.extra };
      const { itemName, description, initialBid, reserve, expires, seller, category, extra } = found.data;
      const item = { itemName, description, initialBid, reserve, auction_dateTime: found.time };
      return [{ ...placed, ...item, expires, seller, category, auction_extra: extra }];
    });
  },
};

const bidsOf = (events: readonly NexmarkEvent[]): BidEvent[] => events.filter((event) => event.type === "bid");
const auctionsOf = (events: readonly NexmarkEvent[]): AuctionEvent[] =>
  events.filter((event) => event.type === "auction");
const personsOf = (events: readonly NexmarkEvent[]): PersonEvent[] => events.filter((event) => event.type === "person");

/** The sort is stable: of one price the earlier bid comes first, and at one time the lower id. */
const byPrice = (one: BidEvent, other: BidEvent): number => other.data.price - one.data.price;

/** Thousandths as a decimal, digit by digit. */
function inEuros(price: number): number {
  const thousandths = String(BigInt(price) * 908n).padStart(4, "0");
  return Number(`${thousandths.slice(0, -3)}.${thousandths.slice(-3)}`);
}

function bidRow({ data: { auction, bidder, price, channel, url, extra }, time }: BidEvent): Row {
  return { auction, bidder, price, channel, url, dateTime: time, extra };
}
