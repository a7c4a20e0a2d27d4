/*
 * Query 18, last bid: the newest bid of each bidder on each auction. Of two at one time the greater id is the newer one.
 *
 * The key has both parts, so that each state is one bid. A state for each bidder would grow with his auctions.
 */
import { operator, timeMs } from "../../../src/engine/operator/operator.ts";
import { bid } from "../events.ts";
import { query } from "../query.ts";

export const lastBids = operator("q18-last-bids", {
  version: 1,
  events: { bid },
  key: (event) => `${event.data.bidder}/${event.data.auction}`,
  initial: () => ({ id: "", price: 0, channel: "", url: "", time: "", extra: "" }),
  on: {
    bid(last, event, ctx) {
      const { price, channel, url, extra } = event.data;
      const { id, time } = event;
      if (ctx.isNew || isNewer({ id, time }, last)) ctx.set({ id, price, channel, url, time, extra });
    },
  },
});

interface Placed {
  readonly id: string;
  readonly time: string;
}

function isNewer(one: Placed, other: Placed): boolean {
  const [oneMs, otherMs] = [timeMs(one.time), timeMs(other.time)];
  return oneMs === otherMs ? one.id > other.id : oneMs > otherMs;
}

export const q18 = query({
  number: 18,
  title: "last bid",
  result: lastBids,
  rows: ({ price, channel, url, time, extra }, key) => {
    const [bidder, auction] = key.split("/").map(Number) as [number, number];
    return [{ auction, bidder, price, channel, url, dateTime: time, extra }];
  },
});
