import { z } from "zod";
import { operator } from "../engine/operator/operator.ts";

/** Numbers beyond 2^53 - 1 aren't exact, so each amount and the sum are bounded. */
const MOST = 1_000_000_000_000;
const amount = z.object({ account: z.string().min(1), n: z.int().positive().max(1_000_000_000) });

/** Prepaid credits: a take is granted or refused, and a duplicate hears the first answer. */
export const credits = operator("credits", {
  version: 1,
  events: {
    "credits.bought": amount,
    "credits.take": amount,
    "account.closed": z.object({ account: z.string().min(1) }),
  },
  key: (event) => event.data.account,
  initial: () => ({ left: 0, taken: 0 }),
  on: {
    "credits.bought"(state, event, ctx) {
      if (state.left + state.taken + event.data.n > MOST) return ctx.refuse("account_full", { left: state.left });
      state.left += event.data.n;
      return { left: state.left };
    },
    "credits.take"(state, event, ctx) {
      if (state.left < event.data.n) return ctx.refuse("insufficient_credits", { left: state.left });
      state.left -= event.data.n;
      state.taken += event.data.n;
      return { left: state.left };
    },
    "account.closed"(_state, _event, ctx) {
      ctx.remove();
    },
  },
  replies: { keep: "24h" },
});
