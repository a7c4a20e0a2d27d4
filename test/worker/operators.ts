/** Operators that exist to be tested with. */
import { z } from "zod";
import { operator } from "../../src/keyframe.ts";

/** Counts, under keys of any kind, in four partitions and so in both databases. */
export const tally = operator("tally", {
  version: 1,
  partitions: 4,
  events: { "tally.add": z.object({ n: z.int() }) },
  initial: () => ({ n: 0, events: 0 }),
  on: {
    "tally.add"(state, event) {
      state.n += event.data.n;
      state.events += 1;
      return { n: state.n };
    },
  },
});

/** Does what the event says, also what no handler should. */
export const fragile = operator("fragile", {
  version: 1,
  events: { "fragile.do": z.object({ what: z.string() }) },
  initial: () => ({ done: 0, note: null as unknown as number }),
  on: {
    "fragile.do"(state, event) {
      state.done += 1;
      return mischief(event.data.what, state);
    },
  },
});

/** Whether `boom` throws: what a corrected handler would be in a new version of the code. */
export const fuse = { lit: true };

function mischief(what: string, state: { done: number; note: unknown }): unknown {
  switch (what) {
    case "boom":
      if (fuse.lit) throw new Error("boom");
      return "fixed";
    case "throw-text":
      throw "just text";
    case "nan":
      state.note = Number.NaN;
      return null;
    case "date":
      state.note = new Date(0);
      return null;
    case "undefined":
      state.note = undefined;
      return null;
    case "minus-zero":
      state.note = -0;
      return null;
    case "map":
      state.note = new Map();
      return null;
    case "bigint":
      state.note = 1n;
      return null;
    case "circle":
      state.note = state;
      return null;
    case "huge":
      state.note = "x".repeat(1024 * 1024);
      return null;
    case "async":
      return Promise.resolve("later");
    case "reply-date":
      return new Date(0);
    case "reply-nan":
      return { n: Number.POSITIVE_INFINITY };
    case "reply-huge":
      return "x".repeat(64 * 1024);
    default:
      return state.done;
  }
}

/** Two operators that want the same type: `left` takes any text, `right` refuses "no" and rejects what is too long. */
export const left = operator("left", {
  version: 1,
  partitions: 2,
  events: { "both.noted": z.object({ text: z.string() }), "left.noted": z.object({ text: z.string() }) },
  initial: () => ({ texts: [] as string[] }),
  on: {
    "both.noted": (state, event) => void state.texts.push(event.data.text),
    "left.noted": (state, event) => void state.texts.push(event.data.text),
  },
});

export const right = operator("right", {
  version: 1,
  partitions: 2,
  events: { "both.noted": z.object({ text: z.string().max(20) }) },
  initial: () => ({ last: "" }),
  on: {
    "both.noted"(state, event, ctx) {
      if (event.data.text === "no") return ctx.refuse("said_no", { text: event.data.text });
      state.last = event.data.text;
    },
  },
});

/** Makes its key and its group of what it is given, and fails where that is nonsense. */
export const shelves = operator("shelves", {
  version: 1,
  partitions: 2,
  events: { "shelf.filled": z.object({ shelf: z.string() }) },
  key: ({ data: { shelf } }) => {
    if (shelf === "the key function throws") throw new Error("no key");
    return shelf === "the key is a number" ? (7 as unknown as string) : shelf;
  },
  group(key) {
    const room = /^(.+)\//.exec(key);
    return room![1]!;
  },
  initial: () => ({ filled: 0 }),
  on: { "shelf.filled": (state) => void (state.filled += 1) },
});

/** Replies with the event as its handler saw it, and keeps replies. */
export const echo = operator("echo", {
  version: 1,
  partitions: 2,
  events: { "echo.say": z.unknown(), "echo.forget": z.unknown(), "echo.refuse": z.unknown() },
  initial: () => ({ said: 0 }),
  on: {
    "echo.say"(state, event, ctx) {
      state.said += 1;
      const { key, seq, now, isNew } = ctx;
      return { event: { ...event }, key, seq, now, isNew, random: ctx.random(), uuid: ctx.uuid(), said: state.said };
    },
    "echo.forget": (_state, _event, ctx) => ctx.remove(),
    "echo.refuse": (state, event, ctx) => {
      state.said += 1;
      return ctx.refuse("not_now", event.data);
    },
  },
  replies: { keep: "24h" },
});

/** Has the name of a part of its own paths. */
export const namedState = operator("state", {
  version: 1,
  events: { "state.noted": z.unknown() },
  initial: () => ({ noted: 0 }),
  on: { "state.noted": (state) => void (state.noted += 1) },
});

/** Knows no more than the last three ids, so that the numbers of requests alone decide. */
export const shortOfIds = operator("short-of-ids", {
  version: 1,
  dedup: { maxIds: 3 },
  events: { "short.add": z.object({ n: z.int() }) },
  initial: () => ({ n: 0 }),
  on: { "short.add": (state, event) => void (state.n += event.data.n) },
});
