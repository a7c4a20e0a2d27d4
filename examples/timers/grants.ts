import { operator, timeMs } from "../../src/engine/operator/operator.ts"; // in a project of your own: from "keyframe-streams"
import { z } from "zod";

const account = z.string().min(1).max(100);
const n = z.int().positive().max(1_000_000);

/** Grants that an account may have at a time. Each event reads all of them. */
const MOST = 100;

interface CreditGrant {
  left: number;
  readonly priority: number;
  readonly untilMs: number;
}

/** Credits that expire. A take uses the lowest priority first, and of one priority what expires first. */
export const grants = operator("grants", {
  version: 1,
  events: {
    "credits.granted": z.object({
      account,
      n,
      priority: z.int().min(0).max(9),
      until: z.iso.datetime({ offset: true }),
    }),
    "credits.take": z.object({ account, n }),
  },
  key: (event) => event.data.account,
  initial: () => ({ grants: [] as CreditGrant[], taken: 0, lapsed: 0 }),
  on: {
    "credits.granted"(state, { data }, ctx) {
      const untilMs = timeMs(data.until);
      if (untilMs <= ctx.now) return ctx.refuse("over");
      if (state.grants.length === MOST) return ctx.refuse("too_many_grants");
      state.grants.push({ left: data.n, priority: data.priority, untilMs });
      state.grants.sort((a, b) => a.priority - b.priority || a.untilMs - b.untilMs);
      ctx.timers.set("lapse", { at: earliest(state.grants) });
      return { left: sum(state.grants) };
    },
    // A timer fires before any event that comes at its time or later, so no grant here has ended.
    "credits.take"(state, { data }, ctx) {
      const left = sum(state.grants);
      if (left < data.n) return ctx.refuse("insufficient_credits", { left });
      for (let rest = data.n; rest > 0;) {
        const grant = state.grants[0]!;
        const used = Math.min(rest, grant.left);
        grant.left -= used;
        rest -= used;
        if (grant.left === 0) state.grants.shift();
      }
      state.taken += data.n;
      if (state.grants.length > 0) ctx.timers.set("lapse", { at: earliest(state.grants) });
      else ctx.timers.clear("lapse");
      return { left: left - data.n };
    },
  },
  timers: {
    lapse(state, { due }, ctx) {
      state.lapsed += sum(state.grants.filter(({ untilMs }) => untilMs <= due));
      state.grants = state.grants.filter(({ untilMs }) => untilMs > due);
      if (state.grants.length > 0) ctx.timers.set("lapse", { at: earliest(state.grants) });
    },
  },
  replies: { keep: "24h" },
});

const sum = (grants: readonly CreditGrant[]): number => grants.reduce((left, grant) => left + grant.left, 0);

const earliest = (grants: readonly CreditGrant[]): number => Math.min(...grants.map(({ untilMs }) => untilMs));
