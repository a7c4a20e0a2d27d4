/*
 * Query 3, local item suggestion: who sells in Oregon, Idaho or California in category 10, and by which auctions?
 *
 * A join without window: persons by their id, and auctions by their seller. Either side may come first, so auctions wait
 * for their seller. The state grows by one number for each auction of a seller in the category.
 */
import { operator } from "../../../src/engine/operator/operator.ts";
import { auction, person } from "../events.ts";
import { query } from "../query.ts";

const CATEGORY = 10;
const STATES = ["OR", "ID", "CA"];

interface Sales {
  seller: "unknown" | "elsewhere" | { name: string; city: string; state: string };
  auctions: number[];
}

export const localItems = operator("q3-local-items", {
  version: 1,
  events: { person, auction },
  key: (event) => String(event.type === "person" ? event.data.id : event.data.seller),
  initial: (): Sales => ({ seller: "unknown", auctions: [] }),
  on: {
    person(sales, event) {
      const { name, city, state } = event.data;
      if (STATES.includes(state)) sales.seller = { name, city, state };
      else Object.assign(sales, { seller: "elsewhere", auctions: [] } satisfies Sales);
    },
    auction(sales, event, ctx) {
      const wanted = event.data.category === CATEGORY && sales.seller !== "elsewhere";
      if (wanted) sales.auctions.push(event.data.id);
      // A seller who has nothing to suggest needs no state.
      else if (ctx.isNew) ctx.remove();
    },
  },
});

export const q3 = query({
  number: 3,
  title: "local item suggestion",
  result: localItems,
  rows: ({ seller, auctions }) => (typeof seller === "string" ? [] : auctions.map((id) => ({ ...seller, id }))),
});
