/*
 * Query 17, auction statistics: of each auction and day the bids, counted in three ranks of price, with their lowest,
 * highest, mean and total price. The day is the bid's own, in UTC.
 */
import { operator, timeMs } from "../../../src/engine/operator/operator.ts";
import { bid } from "../events.ts";
import { query } from "../query.ts";

/** The lowest prices of the second and the third rank. */
const [RANK_2, RANK_3] = [10_000, 1_000_000];

export const auctionStatistics = operator("q17-auction-statistics", {
  version: 1,
  events: { bid },
  key: (event) => `${event.data.auction}/${utcDay(event.time)}`,
  initial: () => ({ bids: 0, ranks: { first: 0, second: 0, third: 0 }, min: null as number | null, max: 0, sum: 0 }),
  on: {
    bid(day, event) {
      const { price } = event.data;
      day.bids += 1;
      day.ranks[rankOf(price)] += 1;
      day.min = day.min === null ? price : Math.min(day.min, price);
      day.max = Math.max(day.max, price);
      day.sum += price;
    },
  },
});

const utcDay = (time: string): string => new Date(timeMs(time)).toISOString().slice(0, 10);

function rankOf(price: number): "first" | "second" | "third" {
  if (price < RANK_2) return "first";
  return price < RANK_3 ? "second" : "third";
}

export const q17 = query({
  number: 17,
  title: "auction statistics",
  result: auctionStatistics,
  rows: ({ bids, ranks, min, max, sum }, key) => {
    const [auction, day = ""] = key.split("/");
    const counts = { total_bids: bids, rank1_bids: ranks.first, rank2_bids: ranks.second, rank3_bids: ranks.third };
    // The mean of whole numbers is truncated, as SQL does it.
    const prices = { min_price: min!, max_price: max, avg_price: Math.trunc(sum / bids), sum_price: sum };
    return [{ auction: Number(auction), day, ...counts, ...prices }];
  },
});
