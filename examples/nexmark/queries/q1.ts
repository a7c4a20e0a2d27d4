/* Query 1, currency: `SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid`. */
import { operator } from "../../../src/engine/operator/operator.ts";
import { bid } from "../events.ts";
import { query, type Row } from "../query.ts";

/** Euros for 1,000 dollars. The product of whole numbers is exact, so one division gives the nearest number. */
const EUROS_PER_1000 = 908;

export const currency = operator("q1-currency", {
  version: 1,
  events: { bid },
  key: (event) => event.id,
  initial: (): Row => ({}),
  on: {
    bid(_row, event, ctx) {
      const { auction, bidder, price, extra } = event.data;
      ctx.set({ auction, bidder, price: (price * EUROS_PER_1000) / 1000, dateTime: event.time, extra });
    },
  },
});

export const q1 = query({ number: 1, title: "currency", result: currency, rows: (row) => [row] });
