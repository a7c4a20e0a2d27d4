/* Query 19, auction top ten: the ten best bids of each auction, with their ranks. */
import { operator } from "../../../src/engine/operator/operator.ts";
import { isBetter } from "../best-bid.ts";
import { bid, type Bid } from "../events.ts";
import { query } from "../query.ts";

const TOP = 10;

interface Placed extends Omit<Bid, "auction"> {
  id: string;
  time: string;
}

export const topBids = operator("q19-top-bids", {
  version: 1,
  events: { bid },
  key: (event) => String(event.data.auction),
  initial: () => ({ top: [] as Placed[] }),
  on: {
    bid({ top }, event) {
      const { bidder, price, channel, url, extra } = event.data;
      const placed = { id: event.id, bidder, price, channel, url, time: event.time, extra };
      const below = top.findIndex((other) => isBetter(placed, other));
      top.splice(below === -1 ? top.length : below, 0, placed);
      top.splice(TOP);
    },
  },
});

export const q19 = query({
  number: 19,
  title: "auction top ten",
  result: topBids,
  rows: ({ top }, key) =>
    top.map(({ bidder, price, channel, url, time, extra }, i) => {
      return { auction: Number(key), bidder, price, channel, url, dateTime: time, extra, rank_number: i + 1 };
    }),
});
