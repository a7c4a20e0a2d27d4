import { operator } from "../../src/engine/operator/operator.ts"; // in a project of your own: from "keyframe-streams"
import { z } from "zod";

const cart = z.string().min(1).max(100);

/** Carts of a shop: one that isn't paid half an hour after its last change is marked as abandoned. */
export const carts = operator("carts", {
  version: 1,
  events: {
    "cart.changed": z.object({ cart, items: z.int().min(0).max(1_000) }),
    "cart.paid": z.object({ cart }),
  },
  key: (event) => event.data.cart,
  initial: () => ({ items: 0, is: "open" as "open" | "abandoned" | "paid" }),
  on: {
    "cart.changed"(state, event, ctx) {
      if (state.is === "paid") return ctx.refuse("paid");
      state.items = event.data.items;
      state.is = "open";
      if (state.items > 0) ctx.timers.set("abandon", { after: "30m" });
      else ctx.timers.clear("abandon");
      return null;
    },
    "cart.paid"(state, _event, ctx) {
      state.is = "paid";
      ctx.timers.clear("abandon");
    },
  },
  timers: {
    abandon(state) {
      state.is = "abandoned";
    },
  },
  expire: "30d",
});
