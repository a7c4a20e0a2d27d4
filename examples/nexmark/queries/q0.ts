/*
 * Query 0, pass through: `SELECT auction, bidder, price, dateTime, extra FROM bid`.
 *
 * A result that only grows has a row for each bid. So each bid is a key of its own, with one small state.
 */
import { operator } from "../../../src/engine/operator/operator.ts"; // in a project of your own: from "keyframe-streams"
import { bid } from "../events.ts";
import { query, type Row } from "../query.ts";

export const passThrough = operator("q0-pass-through", {
  version: 1,
  events: { bid },
  key: (event) => event.id,
  initial: (): Row => ({}),
  on: {
    bid(_row, event, ctx) {
      const { auction, bidder, price, extra } = event.data;
      ctx.set({ auction, bidder, price, dateTime: event.time, extra });
    },
  },
});

export const q0 = query({ number: 0, title: "pass through", result: passThrough, rows: (row) => [row] });
