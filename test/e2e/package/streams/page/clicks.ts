import { operator } from "keyframe-streams/operator";
import { z } from "zod";

/** An operator whose types a page takes: it imports nothing that needs those of a Worker. */
export const clicks = operator("clicks", {
  version: 2,
  events: { "button.clicked": z.object({ button: z.string().min(1) }) },
  key: (event) => event.data.button,
  initial: () => ({ clicks: 0 }),
  on: { "button.clicked": (state) => ({ clicks: (state.clicks += 1) }) },
  migrate: { 2: (old) => ({ clicks: old["n"] ?? 0 }) },
});
