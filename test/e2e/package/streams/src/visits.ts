import { operator } from "keyframe-streams";
import { z } from "zod";

/** Counts the visits of a page; the closed one takes none. */
export const visits = operator("visits", {
  version: 1,
  events: { "page.visited": z.object({ page: z.string().min(1) }) },
  key: (event) => event.data.page,
  initial: () => ({ visits: 0 }),
  on: {
    "page.visited"(state, event, ctx) {
      if (event.data.page === "closed") return ctx.refuse("page_closed");
      state.visits += 1;
      return { visits: state.visits };
    },
  },
  replies: { keep: "24h" },
});
