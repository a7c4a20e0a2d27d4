/** The states stay small: nothing is kept that no row will need. */
import { expect, test } from "vitest";
import type { AuctionEvent, BidEvent } from "../../examples/nexmark/events.ts";
import { NexmarkGenerator } from "../../examples/nexmark/generator.ts";
import { localItems } from "../../examples/nexmark/queries/q3.ts";
import { winningBids } from "../../examples/nexmark/queries/q9.ts";
import { auctionStatistics } from "../../examples/nexmark/queries/q17.ts";
import { selection } from "../../examples/nexmark/queries/q2.ts";
import { expandedBids } from "../../examples/nexmark/queries/q20.ts";
import { given } from "../../src/testkit/testkit.ts";

const events = new NexmarkGenerator({ events: 50 }).events();
const sold = events.find((event) => event.type === "auction")!;
const placed = events.find((event) => event.type === "bid")!;

const auction = (category: number): AuctionEvent => ({ ...sold, data: { ...sold.data, category } });
const bid = (price: number): BidEvent => {
  return { ...placed, id: `bid-${price}`, data: { ...placed.data, auction: sold.data.id, price } };
};
const KEY = String(sold.data.id);

test("query 2 keeps nothing of a bid that isn't selected", () =>
  given(selection, [bid(1_000)])
    .at("bid-1000")
    .expectNothing());

test("query 3 keeps nothing of an auction of another category", () =>
  given(localItems, [auction(11)])
    .at(String(sold.data.seller))
    .expectNothing());

test("query 17 counts a price on a border in the higher rank", async () => {
  const states = await given(
    auctionStatistics,
    [9_999, 10_000, 999_999, 1_000_000].map((price) => bid(price)),
  ).states();
  expect(Object.values(states).map(({ ranks }) => ranks)).toEqual([{ first: 1, second: 2, third: 1 }]);
});

test("query 20 keeps no bids on auctions of other categories", () =>
  given(expandedBids, [bid(1_000), auction(11), bid(2_000)])
    .at(KEY)
    .expect({ auction: "other category", bids: [] }));

test("query 9 keeps no bids that waited, once their auction is there", async () => {
  const waited = given(winningBids, [bid(1_000), bid(2_000)]);
  expect((await waited.at(KEY).state())?.early).toHaveLength(2);
  expect(
    (
      await given(winningBids, [bid(1_000), bid(2_000), auction(10)])
        .at(KEY)
        .state()
    )?.early,
  ).toEqual([]);
});
