/*
 * Query 9, winning bids: the best bid of each auction among those from its begin to its expiry.
 *
 * The state has the best bid so far. After all input it is the winning one, so no timer is needed. A reader in the middle
 * of the stream sees the leading bid. Only bids that came before their auction have to wait for it.
 */
import { operator, timeMs } from "../../../src/engine/operator/operator.ts";
import { isBetter } from "../best-bid.ts";
import { auction, bid, type Auction } from "../events.ts";
import { query } from "../query.ts";

interface Offer {
  id: string;
  bidder: number;
  price: number;
  time: string;
  extra: string;
}

interface Sale {
  /** Null until the auction is known. */
  auction: (Auction & { time: string }) | null;
  best: Offer | null;
  /** Offers from before the auction was known. */
  early: Offer[];
}

/** A state has 1 MiB at most. Offers take up to 300 bytes each. */
const MOST_EARLY = 2_000;

export const winningBids = operator("q9-winning-bids", {
  version: 1,
  events: { auction, bid },
  key: (event) => String(event.type === "auction" ? event.data.id : event.data.auction),
  initial: (): Sale => ({ auction: null, best: null, early: [] }),
  on: {
    auction(sale, event) {
      sale.auction = { ...event.data, time: event.time };
      for (const offer of sale.early) consider(sale, sale.auction, offer);
      sale.early = [];
    },
    bid(sale, event, ctx) {
      const { bidder, price, extra } = event.data;
      const offer = { id: event.id, bidder, price, time: event.time, extra };
      if (sale.auction !== null) consider(sale, sale.auction, offer);
      else if (sale.early.length < MOST_EARLY) sale.early.push(offer);
      else return ctx.refuse("auction_unknown", { bids: sale.early.length });
    },
  },
});

function consider(sale: Sale, { time, expires }: { time: string; expires: string }, offer: Offer): void {
  const atMs = timeMs(offer.time);
  if (atMs < timeMs(time) || atMs > timeMs(expires)) return;
  if (sale.best === null || isBetter(offer, sale.best)) sale.best = offer;
}

export const q9 = query({
  number: 9,
  title: "winning bids",
  result: winningBids,
  rows: ({ auction, best }) => {
    if (auction === null || best === null) return [];
    const { id, itemName, description, initialBid, reserve, time, expires, seller, category, extra } = auction;
    const sold = { id, itemName, description, initialBid, reserve, dateTime: time, expires, seller, category, extra };
    const { bidder, price } = best;
    return [{ ...sold, auction: id, bidder, price, bid_dateTime: best.time, bid_extra: best.extra }];
  },
});
