/* Query 2, selection: `SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0`. */
import { operator } from "../../../src/engine/operator/operator.ts";
import { bid } from "../events.ts";
import { query, type Row } from "../query.ts";

const EVERY = 123;

export const selection = operator("q2-selection", {
  version: 1,
  events: { bid },
  key: (event) => event.id,
  initial: (): Row => ({}),
  on: {
    bid(_row, event, ctx) {
      const { auction, price } = event.data;
      if (auction % EVERY === 0) ctx.set({ auction, price });
      // Without this a bid that isn't selected would leave the initial state.
      else ctx.remove();
    },
  },
});

export const q2 = query({ number: 2, title: "selection", result: selection, rows: (row) => [row] });
