/**
 * The operators of the simulated app, in as many versions as the world has.
 *
 * `count` commutes, and removes keys; `reminders` sets timers;
 * `ledger` keeps the order in which it saw events, and throws at some under older
 * versions; `credits` refuses. Version n + 1 adds a member to the state that the older members give, so a state that was
 * migrated and one that was replayed are the same.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { operator, type Operator } from "../../src/engine/operator/operator.ts";
import type { Duration } from "../../src/engine/operator/settings.ts";
import type { JsonObject } from "../../src/engine/base/json.ts";
import type { Configuration, OperatorName } from "./configuration.ts";
import { EXPIRY_MS, REPEAT_MS, SOON_MS } from "./reminders.ts";

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "simulator", validate: (value) => ({ value }) },
};
const key = (event: { readonly partitionkey?: string }): string => event.partitionkey ?? "";
const ms = (n: number): Duration => `${n}ms`;

type Numbers = Record<string, number>;
interface Ledger {
  seqs: number[];
  hash: number;
  token: string;
  /** Only where some key can't be migrated. */
  key?: string;
  length?: number;
  twice?: number;
}

export interface NoteData {
  readonly n: number;
  /** Versions below this one throw at it, or refuse it if `polite`; 0: none. */
  readonly from: number;
  readonly polite: boolean;
  /** It throws where the key has three notes. */
  readonly full: boolean;
}

const DERIVED = ["", "", "twice", "thrice"];

/** The members that version v adds: 2 brings `twice`, 3 brings `thrice`. */
function derive(state: Numbers, of: string, version: number): void {
  for (let v = 2; v <= version; v++) state[DERIVED[v]!] = state[of]! * v;
}

function migrations(version: number, of: string): { readonly [v: number]: (old: JsonObject) => JsonObject } {
  const steps: { [v: number]: (old: JsonObject) => JsonObject } = {};
  for (let v = 2; v <= version; v++) steps[v] = (old) => ({ ...old, [DERIVED[v]!]: Number(old[of]) * v });
  return steps;
}

export function operatorsOf(config: Configuration, version: number): Operator[] {
  const common = (name: OperatorName) => ({
    version,
    key,
    partitions: config.partitions[name],
    dedup: { keep: ms(config.dedupKeepMs), maxIds: config.dedupMaxIds },
    snapshot: {
      every: ms(config.everyMs),
      maxTailBytes: config.maxTailBytes,
      retain: { age: ms(config.retainMs), ...config.retain },
    },
    memory: config.memory,
    ...(config.maxKeys[name] === Infinity ? {} : { maxKeys: config.maxKeys[name] }),
    ...(config.maxEventsPerDay === Infinity ? {} : { maxEventsPerDay: config.maxEventsPerDay }),
    ...(config.repliesMs > 0 ? { replies: { keep: ms(config.repliesMs) } } : {}),
  });
  const made: Record<OperatorName, () => Operator> = {
    count: () => count(version, common("count")),
    ledger: () => ledger(version, common("ledger"), config.unmigratable),
    credits: () => credits(version, common("credits")),
    reminders: () => reminders(version, common("reminders"), config.expires),
  };
  return config.operators.map((name) => made[name]());
}

type Common = Pick<
  Parameters<typeof operator>[1],
  "version" | "partitions" | "dedup" | "snapshot" | "replies" | "memory" | "maxKeys" | "maxEventsPerDay"
> & {
  readonly key: typeof key;
};

function count(version: number, common: Common): Operator {
  const add = (state: Numbers, event: { readonly data: unknown }): { n: number } => {
    state["n"]! += 1;
    state["sum"]! += (event.data as NoteData).n;
    derive(state, "sum", version);
    return { n: state["n"]! };
  };
  return operator("count", {
    ...common,
    events: { note: anything, add: anything, wipe: anything },
    initial: () => {
      const state: Numbers = { n: 0, sum: 0 };
      derive(state, "sum", version);
      return state;
    },
    on: {
      note: add,
      add,
      wipe(state, _event, ctx) {
        ctx.remove();
        return { n: state["n"]! };
      },
    },
    migrate: migrations(version, "sum"),
  });
}

/** Version 2 can't migrate the state of the key `unmigratable`; version 3 fixes that step. */
function ledger(version: number, common: Common, unmigratable: string | null): Operator {
  return operator("ledger", {
    ...common,
    events: { note: anything },
    initial: (name: string): Record<string, number> => {
      const state: Ledger = { seqs: [], hash: 7, token: "", ...(unmigratable === null ? {} : { key: name }) };
      if (version >= 2) state.length = 0;
      if (version >= 3) state.twice = 0;
      return state as unknown as Record<string, number>;
    },
    on: {
      note(raw, event, ctx) {
        const state = raw as unknown as Ledger;
        state.seqs.push(ctx.seq);
        state.hash = hashed(state.hash, event.id);
        state.token = ctx.uuid();
        const { from, polite, full } = event.data as NoteData;
        // A handler's change of the event must reach nobody else.
        (event.data as { n: number }).n = -1;
        if (from > version && polite) return ctx.refuse("not_yet", { from });
        if (from > version) throw new Error(`version ${version} has a bug`);
        if (full && state.seqs.length > 3) throw new Error("three notes are enough");
        if (version >= 2) state.length = state.seqs.length;
        if (version >= 3) state.twice = state.seqs.length * 2;
        return { seq: ctx.seq, now: ctx.now };
      },
    },
    migrate: Object.fromEntries(
      Object.entries({
        2: (old: JsonObject) => {
          if (version === 2 && unmigratable !== null && old["key"] === unmigratable) throw new Error("no such key");
          return { ...old, length: (old["seqs"] as number[]).length };
        },
        3: (old: JsonObject) => ({ ...old, twice: (old["seqs"] as number[]).length * 2 }),
      }).filter(([v]) => Number(v) <= version),
    ),
  });
}

const hashed = (hash: number, id: string): number => {
  let h = hash;
  for (let i = 0; i < id.length; i++) h = (Math.imul(h, 31) + id.charCodeAt(i)) >>> 0;
  return h;
};

function reminders(version: number, common: Common, expires: boolean): Operator {
  const fired = (state: Numbers, due: number): void => {
    state["fired"]! += 1;
    state["last"] = due;
    derive(state, "fired", version);
  };
  return operator("reminders", {
    ...common,
    ...(expires ? { expire: ms(EXPIRY_MS) } : {}),
    events: { remind: anything, forget: anything, drop: anything },
    initial: () => {
      const state: Numbers = { set: 0, fired: 0, last: 0 };
      derive(state, "fired", version);
      return state;
    },
    on: {
      remind(state, event, ctx) {
        const { n } = event.data as NoteData;
        state["set"]! += 1;
        ctx.timers.set("soon", { after: n * SOON_MS });
        if (n % 2 === 0) ctx.timers.set("often", { at: ctx.now + REPEAT_MS });
        return { set: state["set"]! };
      },
      forget(state, _event, ctx) {
        state["set"]! += 1;
        ctx.timers.clear("soon");
        return { set: state["set"]! };
      },
      drop(_state, _event, ctx) {
        ctx.remove();
      },
    },
    timers: {
      soon: (state, { due }) => fired(state, due),
      often(state, { due }, ctx) {
        if (state["fired"]! % 4 !== 3) ctx.timers.set("often", { at: due + REPEAT_MS });
        fired(state, due);
      },
    },
    migrate: migrations(version, "fired"),
  });
}

function credits(version: number, common: Common): Operator {
  return operator("credits", {
    ...common,
    events: { buy: anything, take: anything },
    initial: () => {
      const state: Numbers = { left: 0, taken: 0 };
      derive(state, "taken", version);
      return state;
    },
    on: {
      buy(state, event) {
        state["left"]! += (event.data as NoteData).n;
        return { left: state["left"]! };
      },
      take(state, event, ctx) {
        const { n } = event.data as NoteData;
        if (state["left"]! < n) return ctx.refuse("insufficient", { left: state["left"]! });
        state["left"]! -= n;
        state["taken"]! += n;
        derive(state, "taken", version);
        return { left: state["left"]! };
      },
    },
    migrate: migrations(version, "taken"),
  });
}
