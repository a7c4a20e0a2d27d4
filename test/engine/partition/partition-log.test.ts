/** The log half of a partition's life: what is visible when, what an unknown outcome means, who may write. */
import { describe, expect, it } from "vitest";
import { FRESH_MS, PENDING_BYTES } from "../../../src/engine/base/limits.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Fate } from "../fakes/world.ts";

const operator = sum();

/** A promise and what settles it. */
function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe("a partition and its log", () => {
  it("LOG1: nothing of a group is visible before its commit, everything after", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    const held = gate();
    world.fates = ({ method }) => (method === "append" ? held.opened : "ok");
    const sent = one.partition.append(world.slice([{ id: "b", data: 2 }]));
    await world.clock.settle();
    expect(await world.value(one)).toEqual({ total: 1, times: 1 });
    expect((await one.partition.facts()).appliedSeq).toBe(1);
    held.open();
    expect(words(await world.clock.run(sent))).toEqual(["applied"]);
    expect(await world.value(one)).toEqual({ total: 3, times: 2 });
  });

  it("ONE1: a retry of an event that isn't durable yet waits for it, and counts once", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    const held = gate();
    world.fates = ({ method }) => (method === "append" ? held.opened : "ok");
    let answered = 0;
    const copies = Array.from({ length: 5 }, () =>
      one.partition.append(world.slice([{ id: "b", data: 2 }])).then((result) => (answered++, result)),
    );
    await world.clock.settle();
    expect(answered).toBe(0);
    held.open();
    const results = await world.clock.run(Promise.all(copies));
    expect(results.flatMap(words).sort()).toEqual([
      "applied",
      "applied again",
      "applied again",
      "applied again",
      "applied again",
    ]);
    expect(await world.value(one)).toEqual({ total: 3, times: 2 });
  });

  it("group commit: what arrives during a commit goes out in one group, in order", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "0", data: 1 });
    const held = gate();
    world.fates = ({ method }) => (method === "append" ? held.opened : "ok");
    const first = one.partition.append(world.slice([{ id: "1", data: 1 }]));
    await world.clock.advance(10);
    const rest = Array.from({ length: 20 }, (_, i) => one.partition.append(world.slice([{ id: `x${i}`, data: 1 }])));
    await world.clock.settle();
    held.open();
    await world.clock.run(Promise.all([first, ...rest]));
    const rows = world.db.segments.get("1/sum/0000")!;
    expect(rows.map((row) => [row.seq, row.last])).toEqual([
      [1, 1],
      [2, 2],
      [3, 22],
    ]);
    expect(await world.value(one)).toEqual({ total: 22, times: 22 });
  });

  it.each<Fate>(["before", "after"])(
    "LOG3: an append that fails (%s it acted) is sent again and counts once",
    async (fate) => {
      const world = new World();
      const one = world.start(operator);
      let failures = 3;
      world.fates = ({ method }) => (method === "append" && failures-- > 0 ? fate : "ok");
      expect(words(await world.send(one, { id: "a", data: 5 }))).toEqual(["applied"]);
      expect(await world.value(one)).toEqual({ total: 5, times: 1 });
      expect(await world.value(world.start(operator))).toEqual({ total: 5, times: 1 });
    },
  );

  it.each<Fate>(["silent", "silent after"])(
    "LOG3: an append that is never answered (%s) is unknown, and sent again",
    async (fate) => {
      const world = new World();
      const one = world.start(operator);
      let silences = 1;
      world.fates = ({ method }) => (method === "append" && silences-- > 0 ? fate : "ok");
      expect(words(await world.send(one, { id: "a", data: 5 }))).toEqual(["applied"]);
      expect(await world.value(world.start(operator))).toEqual({ total: 5, times: 1 });
    },
  );

  it("LOG2, A1 and A2 of the models: an append that is executed long after its sender gave up writes nothing twice", async () => {
    const world = new World();
    const one = world.start(operator);
    const late = gate();
    let first = true;
    world.fates = ({ method }) => {
      if (method !== "append" || !first) return "ok";
      first = false;
      return late.opened;
    };
    expect(words(await world.send(one, { id: "a", data: 5 }))).toEqual(["applied"]);
    await world.send(one, { id: "b", data: 7 });
    await world.clock.run(one.partition.snapshot());
    await world.send(one, { id: "c", data: 1 });
    await world.clock.run(one.partition.snapshot());
    late.open();
    await world.clock.settle();
    expect(words(await world.send(one, { id: "d", data: 1 }))).toEqual(["applied"]);
    expect(await world.value(world.start(operator))).toEqual({ total: 14, times: 4 });
  });

  it("LOG3: while D1 is silent callers hear 503 at their deadline, other keys are read, and the event counts in the end", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", key: "quiet", data: 1 });
    world.fates = ({ method }) => (method === "append" || method === "explain" ? "silent" : "ok");
    const begun = world.clock.now();
    expect(words(await world.send(one, { id: "b", key: "busy", data: 2 }))).toBe("store_unavailable");
    expect(world.clock.now() - begun).toBeLessThan(30_000);
    expect(await world.value(one, "quiet")).toEqual({ total: 1, times: 1 });
    expect(await world.value(one, "busy")).toBeUndefined();
    expect(one.ended).toBeNull();
    const repeat = one.partition.append(world.slice([{ id: "b", key: "busy", data: 2 }]));
    await world.clock.advance(1_000);
    world.fates = () => "ok";
    expect(words(await world.clock.run(repeat))).toEqual(["applied again"]);
    expect(await world.value(one, "busy")).toEqual({ total: 2, times: 1 });
  });

  it("LOG2: a superseded instance commits nothing, answers nothing as done, and ends itself", async () => {
    const world = new World();
    const old = world.start(operator);
    await world.send(old, { id: "a", data: 1 });
    const next = world.start(operator);
    await world.send(next, { id: "b", data: 10 });
    expect(words(await world.send(old, { id: "c", data: 100 }))).toBe("fenced");
    expect(old.ended).toMatch(/superseded/);
    expect(words(await world.send(old, { id: "d", data: 100 })), "it never comes back").toBe("fenced");
    expect(
      words(await world.send(next, { id: "c", data: 100 })),
      "what it could not commit is new to its successor",
    ).toEqual(["applied"]);
    expect(await world.value(next)).toEqual({ total: 111, times: 3 });
  });

  it("a superseded instance doesn't answer reads with old state once it has not heard of its epoch for 5 s", async () => {
    const world = new World();
    const old = world.start(operator);
    await world.send(old, { id: "a", data: 1 });
    await world.send(world.start(operator), { id: "b", data: 10 });
    await world.clock.advance(5_001);
    await expect(world.value(old)).rejects.toThrow(/superseded/);
  });

  it("repeats alone are no word of D1: a superseded instance that answers them doesn't answer reads with old state", async () => {
    const world = new World();
    const old = world.start(operator);
    await world.send(old, { id: "a", data: 1 });
    await world.send(world.start(operator), { id: "b", data: 10 });
    for (let i = 0; i < 3; i++) {
      await world.clock.advance(4_000);
      expect(words(await world.send(old, { id: "a", data: 1 }))).toEqual(["applied again"]);
    }
    await expect(world.value(old)).rejects.toThrow(/superseded/);
  });

  it("LOG2: an instance that learns with its commit that it was superseded ends itself", async () => {
    const world = new World();
    const old = world.start(operator);
    await world.send(old, { id: "a", data: 1 });
    let appends = 0;
    world.fates = ({ method, by }) => (method === "append" && by === old && appends++ === 0 ? "after" : "ok");
    const sent = old.partition.append(world.slice([{ id: "b", data: 10 }]));
    await world.clock.settle();
    const next = world.start(operator);
    expect(await world.send(next, { id: "c", data: 100 })).toMatchObject({ tag: "decided" });
    expect(words(await world.clock.run(sent))).toEqual(["applied"]);
    expect(old.ended).toMatch(/superseded/);
    expect(await world.value(next)).toEqual({ total: 111, times: 3 });
  });

  it("TIME2: a stamp that the floor has overtaken is made anew; the event counts once and its handler runs once", async () => {
    const world = new World();
    let runs = 0;
    const counting = sum({ on: { add: (state) => void (state.times = ++runs) } });
    const one = world.start(counting);
    await world.send(one, { id: "a", data: 1 });
    world.db.first.floor = (world.clock.now() + 60_000) * 1024;
    expect(words(await world.send(one, { id: "b", data: 1 }))).toEqual(["applied"]);
    expect(runs).toBe(2);
    expect(world.db.segments.get("1/sum/0000")!.at(-1)!.stamp).toBeGreaterThan(world.db.first.floor);
  });

  it("a group beyond the row limit becomes several rows of one nonce, and recovers to the same state", async () => {
    const world = new World();
    const one = world.start(operator);
    const events = Array.from({ length: 12 }, (_, i) => ({
      id: `e${i}`,
      key: `k${i % 3}`,
      data: i + 1,
      filler: "x".repeat(250_000),
    }));
    const results = await world.clock.run(
      Promise.all(events.map((event) => one.partition.append(world.slice([event])))),
    );
    expect(results.flatMap(words)).toEqual(events.map(() => "applied"));
    const rows = world.db.segments.get("1/sum/0000")!;
    expect(rows.length).toBeGreaterThan(1);
    expect(Math.max(...rows.map((row) => row.payload.length))).toBeLessThan(1_900_000);
    const again = world.start(operator);
    for (const key of ["k0", "k1", "k2"]) expect(await world.value(again, key)).toEqual(await world.value(one, key));
  });

  it("LOG6: what can't be queued is refused whole, and is taken when the log answers again", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    const held = gate();
    world.fates = ({ method }) => (method === "append" ? held.opened : "ok");
    const big = { data: 1, filler: "x".repeat(PENDING_BYTES / 4) };
    const sent = Array.from({ length: 6 }, (_, i) => one.partition.append(world.slice([{ id: `big${i}`, ...big }])));
    await world.clock.settle();
    held.open();
    const results = (await world.clock.run(Promise.all(sent))).map(words);
    expect(results.filter((result) => result === "queue_full").length).toBeGreaterThan(0);
    expect(results.filter((result) => Array.isArray(result)).length).toBeGreaterThan(0);
    world.fates = () => "ok";
    for (let i = 0; i < 6; i++) await world.send(one, { id: `big${i}`, ...big });
    expect(await world.value(one)).toEqual({ total: 7, times: 7 });
  });

  it("ONE4: the same id with other content is an error, not a duplicate", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    expect(words(await world.send(one, { id: "a", data: 2 }, { id: "a", data: 1 }))).toEqual([
      "reused",
      "applied again",
    ]);
    expect(await world.value(one)).toEqual({ total: 1, times: 1 });
  });

  it("a read opens without taking an epoch, and catches up with what a writer logs", async () => {
    const world = new World();
    const writer = world.start(operator);
    await world.send(writer, { id: "a", data: 1 });
    const reader = world.start(operator);
    expect(await world.value(reader)).toEqual({ total: 1, times: 1 });
    expect(world.db.rows.get("1/sum/0000")!.epoch).toBe(1);
    await world.send(writer, { id: "b", data: 2 });
    await world.clock.advance(5_001);
    expect(await world.value(reader)).toEqual({ total: 3, times: 2 });
    expect(words(await world.send(reader, { id: "c", data: 3 })), "then it writes").toEqual(["applied"]);
    expect(await world.value(reader)).toEqual({ total: 6, times: 3 });
  });

  it("a reader that learns that it is behind, and can't catch up, shows nobody what it has", async () => {
    const world = new World();
    const writer = world.start(operator);
    await world.send(writer, { id: "a", data: 1 });
    const reader = world.start(operator);
    expect(await world.value(reader)).toEqual({ total: 1, times: 1 });
    await world.send(writer, { id: "b", data: 2 });
    await world.clock.run(writer.partition.snapshot());
    await world.clock.advance(FRESH_MS);
    world.fates = ({ method, by }) => (by === reader && method === "range" ? "before" : "ok");
    const first = reader.partition.read(["k"]);
    first.catch(() => undefined);
    await world.clock.advance(5);
    const found = await world.clock.run(Promise.allSettled([first, reader.partition.read(["k"])]));
    expect(found.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(world.value(reader)).rejects.toThrow("range failed");
    world.fates = () => "ok";
    expect(await world.value(reader)).toEqual({ total: 3, times: 2 });
  });

  it("a reader of a partition that nobody wrote to leaves no row behind", async () => {
    const world = new World();
    expect(await world.value(world.start(operator))).toBeUndefined();
    expect(world.db.rows.size).toBe(0);
  });

  it("CODE1: an object of older code steps aside for a newer caller, and takes none of its events", async () => {
    const world = new World();
    const one = world.start(operator);
    const slice = { ...world.slice([{ id: "a", data: 1 }]), operatorVersion: 2 };
    expect(words(await world.clock.run(one.partition.append(slice)))).toBe("superseded");
    expect(one.ended).toMatch(/version 2/);
    expect(world.db.segments.size).toBe(0);
  });

  it("LOG2: an object that has stepped aside sends its unanswered group no more", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    world.fates = ({ method }) => (method === "append" ? "silent" : "ok");
    const waiting = one.partition.append(world.slice([{ id: "b", data: 1 }]));
    await world.clock.advance(1_000);
    const newer = { ...world.slice([{ id: "c", data: 1 }]), operatorVersion: 2 };
    expect(words(await world.clock.run(one.partition.append(newer)))).toBe("superseded");
    expect(words(await world.clock.run(waiting))).not.toEqual(["applied"]);
    const sent = world.trace.length;
    world.fates = () => "ok";
    await world.clock.advance(60_000);
    expect(world.trace.slice(sent)).toEqual([]);
  });
});
