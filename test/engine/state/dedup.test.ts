/** ONE1, ONE3, ONE4: what counts as a duplicate, against a model that keeps everything in plain lists. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Dedup, type DedupImage, type Found, type Horizon } from "../../../src/engine/state/dedup.ts";
import { PRINT_WORDS } from "../../../src/engine/base/hash.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import { parseOutcome } from "../../../src/engine/log/outcome.ts";
import { DETAILS_BYTES, KEPT_TEXT_BYTES, REPLIES_BYTES } from "../../../src/engine/base/limits.ts";

const MINUTE = 60_000;
/** A full snapshot builds on nothing. */
const NONE = seq(0);

function restored(image: DedupImage, horizon: Horizon): Dedup {
  const dedup = new Dedup(horizon);
  expect(dedup.restore(image)).toBe(true);
  return dedup;
}

interface Logged {
  readonly seq: number;
  readonly print: Uint32Array;
  /** Minute of the commit, or null if it is pending. */
  minute: number | null;
  answer: string | null;
}

/** The rules in words: D1 to D3, one list, no table, no ring. */
class Model {
  entries: Logged[] = [];
  last = 0;
  committedTo = 0;
  newestMinute = -Infinity;
  repliesFrom = 1;
  readonly #horizon: Horizon;

  constructor(horizon: Horizon) {
    this.#horizon = horizon;
  }

  find(print: Uint32Array): Found {
    const found = this.entries.find((entry) => sameWords(entry.print, print, 0, 4));
    if (found === undefined) return { tag: "new" };
    return { tag: sameWords(found.print, print, 4, 6) ? "duplicate" : "reused", seq: seq(found.seq) };
  }

  add(print: Uint32Array, answer: string | null): void {
    this.last += 1;
    this.entries.push({ seq: this.last, print, minute: null, answer });
  }

  commit(last: number, ms: number): void {
    const minute = Math.floor(ms / MINUTE);
    this.newestMinute = Math.max(this.newestMinute, minute);
    for (const entry of this.entries) if (entry.seq <= last) entry.minute ??= this.newestMinute;
    this.committedTo = last;
    const older = (entry: Logged, ms: number): boolean =>
      entry.minute !== null && entry.minute < minute - Math.ceil(ms / MINUTE);
    this.entries = this.entries.filter(
      (entry) => entry.seq > last - this.#horizon.maxIds && !older(entry, this.#horizon.keepMs),
    );
    for (const entry of this.entries)
      if (older(entry, this.#horizon.repliesMs)) {
        this.repliesFrom = entry.seq + 1;
        if (entry.answer?.startsWith('["a"') === true) entry.answer = null;
      }
  }

  /** As after a restart: what was not committed is gone. */
  restart(): void {
    this.entries = this.entries.filter((entry) => entry.seq <= this.committedTo);
    this.last = this.committedTo;
  }
}

function sameWords(a: Uint32Array, b: Uint32Array, from: number, to: number): boolean {
  // The id itself stands in word 3, so most are told apart at once.
  for (let word = to - 1; word >= from; word--) if (a[word] !== b[word]) return false;
  return true;
}

/** Prints that crowd together: some in few places of the table, some at its end, some with words in common. */
function printOf(id: number, content: number): Uint32Array {
  const word = id % 8 === 0 ? id % 3 : id % 8 === 1 ? 0xffff_fffe + (id % 2) : Math.imul(id, 0x9e37_79b1) >>> 0;
  return Uint32Array.of(word, id % 5, id % 7, id, content, 1);
}

const IDS = 20_000;
/** Entries of the ring before it grows. */
const SMALLEST = 1_024;

type Step =
  | { readonly tag: "send"; readonly from: number; readonly count: number; readonly answers: number }
  | { readonly tag: "commit"; readonly share: number; readonly minutes: number }
  | { readonly tag: "restart" };

/** Without bias: small numbers would never fill the ring. */
const steps: fc.Arbitrary<Step[]> = fc.noBias(
  fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          tag: fc.constant("send" as const),
          from: fc.nat(IDS),
          count: fc.integer({ min: 1, max: 400 }),
          answers: fc.nat(6),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          tag: fc.constant("commit" as const),
          share: fc.constantFrom(0.3, 0.9, 1),
          minutes: fc.integer({ min: -2, max: 6 }),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ tag: "restart" as const }) },
    ),
    { minLength: 5, maxLength: 60, size: "max" },
  ),
);

const horizons = fc.record({
  keepMs: fc.constantFrom(0, MINUTE, 10 * MINUTE + 1, 24 * 60 * MINUTE),
  maxIds: fc.constantFrom(1, 300, 700, 1_500, 100_000),
  repliesMs: fc.constantFrom(0, MINUTE, 2 * MINUTE, 100 * MINUTE),
});

const ANSWERS = [null, null, '["r","no",null]', '["q","boom"]', '["a",1]', '["a",{"n":2}]'];

/** Both, side by side. */
class Pair {
  readonly horizon: Horizon;
  readonly model: Model;
  dedup: Dedup;
  ms = 1_000 * MINUTE;

  constructor(horizon: Horizon) {
    this.horizon = horizon;
    this.model = new Model(horizon);
    this.dedup = new Dedup(horizon);
  }

  run(step: Step): void {
    switch (step.tag) {
      case "send":
        for (let i = 0; i < step.count; i++) this.#send(step.from + i, step.answers + i);
        break;
      case "commit": {
        const pending = this.model.last - this.model.committedTo;
        const last = this.model.committedTo + Math.ceil(pending * step.share);
        if (last === 0) break;
        this.ms += step.minutes * MINUTE;
        this.model.commit(last, this.ms);
        this.dedup.committed(seq(last), this.ms);
        break;
      }
      case "restart":
        this.dedup = restored(this.dedup.image(seq(this.model.committedTo), NONE), this.horizon);
        this.model.restart();
        break;
    }
  }

  #send(id: number, salt: number): void {
    const print = printOf(id, 0);
    const found = this.dedup.find(print, 0);
    expect(found).toEqual(this.model.find(print));
    if (found.tag !== "new") return;
    const answer = ANSWERS[salt % ANSWERS.length]!;
    this.model.add(print, answer);
    this.dedup.add(print, 0);
    if (answer !== null) this.dedup.answer(seq(this.model.last), answer);
  }

  check(): void {
    const { dedup, model } = this;
    expect(dedup.first).toBe(model.entries[0]?.seq ?? model.last + 1);
    const known = new Map(model.entries.map((entry) => [entry.print[3]!, entry]));
    // Not all, but every remainder by 8, which is what printOf goes by.
    for (let id = 0; id < IDS + 400; id += 5) {
      const entry = known.get(id);
      const found = dedup.find(printOf(id, 0), 0);
      const right = entry === undefined ? found.tag === "new" : found.tag === "duplicate" && found.seq === entry.seq;
      if (!right) expect.fail(`id ${id} is ${JSON.stringify(found)}, and should be ${entry?.seq ?? "new"}`);
      if (entry !== undefined && (dedup.outcome(seq(entry.seq)) ?? null) !== entry.answer)
        expect.fail(`seq ${entry.seq} has ${dedup.outcome(seq(entry.seq))}, and should have ${entry.answer}`);
    }
  }
}

describe("against the model", () => {
  it("ONE1, ONE3: finds what the model finds, through growth, wrap-around, expiry and restarts", () => {
    let [grown, wrapped] = [0, 0];
    fc.assert(
      fc.property(horizons, steps, (horizon, all) => {
        const pair = new Pair(horizon);
        let peak = 0;
        for (const step of all) {
          pair.run(step);
          peak = Math.max(peak, pair.model.entries.length);
        }
        pair.check();
        if (peak > SMALLEST) grown += 1;
        if (pair.model.last > 1.5 * Math.max(peak, SMALLEST)) wrapped += 1;
      }),
      { numRuns: 60 },
    );
    expect(Math.min(grown, wrapped), "runs that were worth it").toBeGreaterThan(5);
  });

  it("SNAP1: an image holds what is committed, to the entry", () => {
    fc.assert(
      fc.property(horizons, steps, (horizon, all) => {
        const pair = new Pair(horizon);
        for (const step of all) pair.run(step);
        const { model, dedup } = pair;
        const image = dedup.image(seq(model.committedTo), NONE);
        const held = model.entries.filter((entry) => entry.seq <= model.committedTo);
        if (held.length > 0) expect(image.first).toBe(held[0]!.seq);
        expect(image.last).toBe(model.committedTo);
        expect(image.prints).toEqual(Uint32Array.from(held.flatMap((entry) => [...entry.print])));
        const answers = held.flatMap((entry) => (entry.answer === null ? [] : [[entry.seq, entry.answer]]));
        expect([...image.answers]).toEqual(answers);
        expect(restored(image, horizon).image(seq(image.last), NONE)).toEqual(image);
      }),
      { numRuns: 30 },
    );
  });

  it("ONE3: events that wait for their commit change nothing about what expires", () => {
    const segments = fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: -1, max: 3 })), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(horizons, segments, fc.integer({ min: 1, max: 5 }), (horizon, all, ahead) => {
        expect(imageAfter(horizon, all, 0)).toEqual(imageAfter(horizon, all, ahead));
      }),
      { numRuns: 40 },
    );
  });
});

/** The image after some segments, where `ahead` further ones have been taken in before each commit. */
function imageAfter(horizon: Horizon, segments: readonly (readonly [number, number])[], ahead: number): DedupImage {
  const dedup = new Dedup(horizon);
  let [next, last, ms] = [1, 0, 1_000 * MINUTE];
  const take = (count: number): void => {
    for (let i = 0; i < count; i++, next++) {
      dedup.add(printOf(next, 0), 0);
      const answer = ANSWERS[next % ANSWERS.length]!;
      if (answer !== null) dedup.answer(seq(next), answer);
    }
  };
  let taken = 0;
  segments.forEach(([count, minutes], i) => {
    for (; taken <= Math.min(segments.length - 1, i + ahead); taken++) take(segments[taken]![0]);
    last += count;
    ms += minutes * MINUTE;
    dedup.committed(seq(last), ms);
  });
  return dedup.image(seq(last), NONE);
}

const HORIZON: Horizon = { keepMs: 60 * MINUTE, maxIds: 1_000, repliesMs: 60 * MINUTE };

describe("repeats", () => {
  it("ONE1: an event is known while it is pending", () => {
    const dedup = new Dedup(HORIZON);
    dedup.add(printOf(1, 0), 0);
    expect(dedup.find(printOf(1, 0), 0)).toEqual({ tag: "duplicate", seq: 1 });
    expect(dedup.sinceMs).toBeNull();
  });

  it.each([4, 5])("ONE4: the same id is reused where word %i of its content differs", (word) => {
    const dedup = new Dedup(HORIZON);
    dedup.add(printOf(1, 0), 0);
    const other = printOf(1, 0);
    other[word]! += 1;
    expect(dedup.find(other, 0)).toEqual({ tag: "reused", seq: 1 });
  });

  it.each([0, 1, 2, 3])("ONE1: another id is new where only word %i of its print differs", (word) => {
    const dedup = new Dedup(HORIZON);
    dedup.add(printOf(1, 0), 0);
    const other = printOf(1, 0);
    // By so much that it stands in the same place of the table.
    other[word]! += 0x1000_0000;
    expect(dedup.find(other, 0)).toEqual({ tag: "new" });
  });

  it("reads a print where it stands among others", () => {
    const dedup = new Dedup(HORIZON);
    const prints = Uint32Array.of(...printOf(1, 0), ...printOf(2, 0));
    dedup.add(prints, PRINT_WORDS);
    expect(dedup.find(prints, 0).tag).toBe("new");
    expect(dedup.find(prints, PRINT_WORDS).tag).toBe("duplicate");
  });

  it("ONE1: exactly maxIds ids are known, and all of them for the time of the horizon", () => {
    const dedup = new Dedup({ ...HORIZON, maxIds: 10 });
    for (let id = 1; id <= 25; id++) dedup.add(printOf(id, 0), 0);
    dedup.committed(seq(25), 0);
    const known = Array.from({ length: 25 }, (_, i) => i + 1).filter(
      (id) => dedup.find(printOf(id, 0), 0).tag !== "new",
    );
    expect(known).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
  });

  it("ONE1: never leaves before its time, and leaves within a minute after it", () => {
    const dedup = new Dedup({ ...HORIZON, keepMs: 2 * MINUTE });
    dedup.add(printOf(1, 0), 0);
    dedup.committed(seq(1), 59_999);
    expect(dedup.sinceMs).toBe(0);
    dedup.add(printOf(2, 0), 0);
    dedup.committed(seq(2), 59_999 + 2 * MINUTE);
    expect(dedup.find(printOf(1, 0), 0).tag).toBe("duplicate");
    dedup.add(printOf(3, 0), 0);
    dedup.committed(seq(3), 60_000 + 2 * MINUTE);
    expect(dedup.find(printOf(1, 0), 0).tag).toBe("new");
    expect(dedup.sinceMs).toBe(2 * MINUTE);
  });

  it("IN4: keeps its order where the clock goes back", () => {
    const dedup = new Dedup({ ...HORIZON, keepMs: 2 * MINUTE });
    for (const [id, minute] of [
      [1, 10],
      [2, 3],
      [3, 12],
    ] as const) {
      dedup.add(printOf(id, 0), 0);
      dedup.committed(seq(id), minute * MINUTE);
    }
    expect([1, 2, 3].map((id) => dedup.find(printOf(id, 0), 0).tag)).toEqual(["duplicate", "duplicate", "duplicate"]);
    dedup.add(printOf(4, 0), 0);
    dedup.committed(seq(4), 13 * MINUTE);
    expect([1, 2, 3].map((id) => dedup.find(printOf(id, 0), 0).tag)).toEqual(["new", "new", "duplicate"]);
  });
});

describe("answers", () => {
  const filled = (texts: readonly string[]): Dedup => {
    const dedup = new Dedup({ ...HORIZON, maxIds: 100_000 });
    texts.forEach((text, i) => {
      dedup.add(printOf(i + 1, 0), 0);
      dedup.answer(seq(i + 1), text);
      dedup.committed(seq(i + 1), 0);
    });
    return dedup;
  };
  const MB = 1024 * 1024;
  const reply = `["a",${JSON.stringify("x".repeat(MB - 8 - KEPT_TEXT_BYTES))}]`;

  it("LOG6: beyond the bound the oldest replies go, their ids stay", () => {
    const many = REPLIES_BYTES / MB + 3;
    const dedup = filled(Array.from({ length: many }, () => reply));
    const kept = Array.from({ length: many }, (_, i) => dedup.outcome(seq(i + 1)) !== undefined);
    expect(kept).toEqual(kept.map((_, i) => i >= 3));
    expect(dedup.find(printOf(1, 0), 0).tag).toBe("duplicate");
  });

  it("ONE3: replies that wait for their commit push none out", () => {
    const dedup = filled(Array.from({ length: REPLIES_BYTES / MB }, () => reply));
    const next = REPLIES_BYTES / MB + 1;
    for (const at of [next, next + 1]) {
      dedup.add(printOf(at, 0), 0);
      dedup.answer(seq(at), at === next ? '["r","no",null]' : reply);
    }
    dedup.committed(seq(next), 0);
    expect(dedup.outcome(seq(1))).toBe(reply);
    dedup.committed(seq(next + 1), 0);
    expect(dedup.outcome(seq(1))).toBeUndefined();
    expect(dedup.outcome(seq(2))).toBe(reply);
  });

  it("ONE3: replies count the same after a restart", () => {
    const many = REPLIES_BYTES / MB;
    const dedup = restored(filled(Array.from({ length: many }, () => reply)).image(seq(many), NONE), HORIZON);
    dedup.add(printOf(many + 1, 0), 0);
    dedup.answer(seq(many + 1), reply);
    dedup.committed(seq(many + 1), 0);
    expect([1, 2].map((at) => dedup.outcome(seq(at)) === undefined)).toEqual([true, false]);
  });

  it("LOG6: also where a refusal stands before them, which stays", () => {
    const many = REPLIES_BYTES / MB + 3;
    const dedup = filled(['["r","no",null]', ...Array.from({ length: many }, () => reply)]);
    expect(dedup.outcome(seq(1))).toBe('["r","no",null]');
    expect(dedup.outcome(seq(4))).toBeUndefined();
    expect(dedup.outcome(seq(many))).toBe(reply);
  });

  describe("details", () => {
    const refusal = `["r","no \\"more\\"",${JSON.stringify("x".repeat(MB))}]`;
    const error = `["q",${JSON.stringify("x".repeat(MB))}]`;
    const most = Math.floor(DETAILS_BYTES / refusal.length);

    it("LOG6, ONE6: beyond the bound the oldest lose their details, never what became of them", () => {
      const texts = Array.from({ length: most + 4 }, (_, i) => (i % 2 === 0 ? refusal : error));
      const dedup = filled(texts);
      const told = texts.map((_, i) => parseOutcome(dedup.outcome(seq(i + 1))!));
      expect(told.map(({ tag }) => tag)).toEqual(texts.map((_, i) => (i % 2 === 0 ? "refused" : "quarantined")));
      expect(told.map((outcome) => (outcome.tag === "refused" ? outcome.code : null))).toEqual(
        texts.map((_, i) => (i % 2 === 0 ? 'no "more"' : null)),
      );
      expect(texts.map((text, i) => dedup.outcome(seq(i + 1)) === text)).toEqual(texts.map((_, i) => i >= 4));
      expect(told[0]).toEqual({ tag: "refused", code: 'no "more"', detail: "null" });
      expect(told[1]).toEqual({ tag: "quarantined", error: "no longer kept; see the quarantine" });
    });

    it("LOG6: they and the replies don't push each other out", () => {
      const dedup = filled(Array.from({ length: 2 * most }, (_, i) => (i % 2 === 0 ? refusal : reply)));
      for (let i = 0; i < 2 * most; i++) expect(dedup.outcome(seq(i + 1))).toBe(i % 2 === 0 ? refusal : reply);
    });

    it("ONE3: those that wait for their commit push none out", () => {
      const dedup = filled(Array.from({ length: most }, () => refusal));
      dedup.add(printOf(most + 1, 0), 0);
      dedup.answer(seq(most + 1), error);
      expect(dedup.outcome(seq(1))).toBe(refusal);
      dedup.committed(seq(most + 1), 0);
      expect(dedup.outcome(seq(1))).toBe('["r","no \\"more\\"",null]');
    });

    it("ONE3: are the same with a snapshot and a restart after any segment, with events ahead of it or none", () => {
      const texts = Array.from({ length: most + 12 }, (_, i) => (i % 3 === 0 ? refusal : i % 3 === 1 ? error : reply));
      const take = (dedup: Dedup, at: number): void => {
        dedup.add(printOf(at, 0), 0);
        dedup.answer(seq(at), texts[at - 1]!);
      };
      /** Segments of two events; pending ones ahead of each commit, and a restart after one of them. */
      const image = (ahead: number, restart: number): DedupImage => {
        let dedup = new Dedup({ ...HORIZON, maxIds: most + 8 });
        let taken = 0;
        for (let last = 2; last <= texts.length; last += 2) {
          while (taken < Math.min(texts.length, last + ahead)) take(dedup, ++taken);
          dedup.committed(seq(last), last * 1_000);
          if (last !== restart) continue;
          dedup = restored(dedup.image(seq(last), NONE), { ...HORIZON, maxIds: most + 8 });
          taken = last;
        }
        return dedup.image(seq(texts.length - (texts.length % 2)), NONE);
      };
      const expected = image(0, 0);
      expect(
        [...expected.answers].filter(([, text]) => text.length < 100).length,
        "some have lost theirs",
      ).toBeGreaterThan(0);
      for (let restart = 0; restart <= texts.length; restart += 2)
        for (const ahead of [0, 3, 40]) expect(image(ahead, restart)).toEqual(expected);
    });
  });
});
