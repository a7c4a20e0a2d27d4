/*
 * Query 20, bids with their auction: `bid JOIN auction ON bid.auction = auction.id WHERE category = 10`.
 *
 * A join keeps both sides, since a row has members of both: the auction once, and its bids. Bids that came first wait in
 * the same list, and are dropped if the auction is of another category.
 */
import { operator } from "../../../src/engine/operator/operator.ts";
import { auction, bid, type Auction, type Bid } from "../events.ts";
import { query } from "../query.ts";

const CATEGORY = 10;

interface Expanded {
  auction: "unknown" | "other category" | (Auction & { time: string });
  bids: (Omit<Bid, "auction"> & { time: string })[];
}

/** A state has 1 MiB at most. Bids take up to 400 bytes each. */
const MOST_BIDS = 2_500;

export const expandedBids = operator("q20-expanded-bids", {
  version: 1,
  events: { auction, bid },
  key: (event) => String(event.type === "auction" ? event.data.id : event.data.auction),
  initial: (): Expanded => ({ auction: "unknown", bids: [] }),
  on: {
    auction(state, event, ctx) {
      if (event.data.category === CATEGORY) state.auction = { ...event.data, time: event.time };
      else ctx.set({ auction: "other category", bids: [] });
    },
    bid(state, event, ctx) {
      if (state.auction === "other category") return;
      if (state.bids.length >= MOST_BIDS) return ctx.refuse("too_many_bids", { bids: state.bids.length });
      const { bidder, price, channel, url, extra } = event.data;
      state.bids.push({ bidder, price, channel, url, time: event.time, extra });
    },
  },
});

export const q20 = query({
  number: 20,
  title: "bids with their auction",
  result: expandedBids,
  rows: ({ auction, bids }, key) => {
    if (typeof auction === "string") return [];
    const { itemName, description, initialBid, reserve, time, expires, seller, category, extra } = auction;
    const item = { itemName, description, initialBid, reserve, auction_dateTime: time, expires, seller, category };
    return bids.map(({ bidder, price, channel, url, time: dateTime, extra: bidExtra }) => {
      const placed = { auction: Number(key), bidder, price, channel, url, bid_dateTime: dateTime, bid_extra: bidExtra };
      return { ...placed, ...item, auction_extra: extra };
    });
  },
});
