/** ONE2: producers that number their requests. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PRODUCERS } from "../../../src/engine/base/limits.ts";
import { Producers, WINDOW } from "../../../src/engine/state/producers.ts";
import type { ProducerProgress } from "../../../src/engine/log/segment.ts";
import type { Producer } from "../../../src/engine/event/producer.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readSegment } from "../../../src/engine/log/segment.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Fate } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const DAY = 86_400_000;
const producer = (number: number, epoch = 1, id = "p"): Producer => ({ id, epoch, number });

/** A mark without the seq of its first event. */
type Bare = readonly [id: string, epoch: number, number: number, index: number];

/** Marks set and committed one after the other, by the events 1, 2, 3, … at `ms`. */
function logged(marks: readonly Bare[], ms = 0): Producers {
  const producers = new Producers();
  marks.forEach((mark, i) => {
    producers.set([...mark, i + 1], seq(i + 1));
    producers.committed(seq(i + 1), ms);
  });
  return producers;
}

const again = (producers: Producers): Producers => {
  const copy = new Producers();
  for (const image of producers.image()) copy.restore(JSON.parse(JSON.stringify(image)) as typeof image);
  return copy;
};

describe("the marks of producers", () => {
  it.each<[string, readonly Bare[], Producer, number | string]>([
    ["nothing is known", [], producer(5), -1],
    ["the same number", [["p", 1, 5, 2]], producer(5), 2],
    ["the mark rises only", [["p", 1, 5, 2], ["p", 1, 5, 7], ["p", 1, 5, 3]], producer(5), 7], // prettier-ignore
    ["another producer", [["q", 1, 5, 2]], producer(5), -1],
    ["a later number came first", [["p", 1, 9, 2]], producer(8), -1],
    ["at the window's lower end", [["p", 1, 1 + WINDOW, 0], ["p", 1, 2, 4]], producer(2), 4], // prettier-ignore
    ["below the window", [["p", 1, 1 + WINDOW, 0]], producer(1), "producer_seq_too_old"],
    ["far below the window", [["p", 1, 2 ** 53 - 1, 0]], producer(0), "producer_seq_too_old"],
    ["a number of the same place in the ring", [["p", 1, 3, 6], ["p", 1, 3 + WINDOW, 0]], producer(3 + WINDOW), 0], // prettier-ignore
    ["numbers that were passed over", [["p", 1, 3, 6], ["p", 1, 5 + WINDOW, 0]], producer(4 + WINDOW), -1], // prettier-ignore
    ["a new epoch", [["p", 1, 5, 2]], producer(5, 2), -1],
    ["an older epoch", [["p", 2, 5, 2]], producer(6, 1), "producer_fenced"],
    ["an older epoch, after the newer logged nothing new", [["p", 2, 5, 2], ["p", 2, 5, 2]], producer(9, 1), "producer_fenced"], // prettier-ignore
  ])("ONE2: %s", (_, marks, asked, expected) => {
    for (const producers of [logged(marks), again(logged(marks))])
      expect(producers.unfit(asked)?.code ?? producers.mark(asked)).toBe(expected);
  });

  it("ONE2: agrees with a list of all that was ever logged, within the window", () => {
    const marks = fc.array(fc.tuple(fc.nat(2), fc.nat(3_000), fc.nat(9)), { maxLength: 60 });
    fc.assert(
      fc.property(marks, fc.nat(3_000), (all, number) => {
        const producers = new Producers();
        const kept: ProducerProgress[] = [];
        all.forEach(([epoch, n, index], i) => {
          const mark: ProducerProgress = ["p", epoch, n, index, i + 1];
          if (producers.unfit(producer(n, epoch)) !== null) return;
          producers.set(mark, seq(i + 1));
          if (i % 3 === 0) producers.committed(seq(i + 1), 0);
          kept.push(mark);
        });
        const epoch = Math.max(-1, ...kept.map((mark) => mark[1]));
        const ours = kept.filter((mark) => mark[1] === epoch);
        const highest = Math.max(-1, ...ours.map((mark) => mark[2]));
        const asked = producer(number, Math.max(0, epoch));
        const expected =
          number <= highest - WINDOW
            ? "producer_seq_too_old"
            : Math.max(-1, ...ours.filter((mark) => mark[2] === number).map((mark) => mark[3]));
        expect(producers.unfit(asked)?.code ?? producers.mark(asked)).toBe(expected);
        if (typeof expected === "string") return;
        const first = ours.find((mark) => mark[2] === number)?.[4] ?? Number.POSITIVE_INFINITY;
        expect(producers.from(asked)).toBe(first);
        producers.committed(seq(all.length), 0);
        expect(again(producers).from(asked)).toBe(first);
      }),
    );
  });

  it("ONE3: pending marks count for admission, and are in no snapshot", () => {
    const producers = logged([["p", 1, 1, 0]]);
    producers.set(["p", 2, 7, 3, 2], seq(2));
    expect(producers.mark(producer(7, 2))).toBe(3);
    expect(producers.until("p")).toBe(2);
    expect(producers.unfit(producer(1))?.code).toBe("producer_fenced");
    expect(producers.image()).toEqual([{ id: "p", epoch: 1, seq: 1, at: 0, marks: [[1, 0, 1]] }]);
    producers.committed(seq(2), 5);
    expect(producers.until("p")).toBe(0);
    expect(producers.image()).toEqual([{ id: "p", epoch: 2, seq: 2, at: 5, marks: [[7, 3, 2]] }]);
  });

  it("LOG6: a partition knows so many producers, and forgets by logged time only", () => {
    const producers = new Producers();
    for (let i = 1; i < PRODUCERS; i++) {
      producers.set([`p${i}`, 1, 1, 0, i], seq(i));
      producers.committed(seq(i), i);
    }
    producers.set(["pending", 1, 1, 0, PRODUCERS], seq(PRODUCERS));
    expect(producers.unfit(producer(1, 1, "new"))).toMatchObject({ status: 429, code: "too_many_producers" });
    expect(producers.unfit(producer(2, 1, "p1")), "those that it knows go on").toBeNull();
    expect(producers.unfit(producer(2, 1, "pending"))).toBeNull();
    producers.committed(seq(PRODUCERS), 30 * DAY + 1);
    expect(producers.unfit(producer(1, 1, "new")), "p1 was silent for 30 days at 1").not.toBeNull();
    producers.committed(seq(PRODUCERS), 30 * DAY + 2);
    expect(producers.unfit(producer(1, 1, "new"))).toBeNull();
    expect(again(producers).image()).toEqual(producers.image());
  });
});

describe("a partition and numbered requests", () => {
  /** No id is known for longer than a minute, so that the numbers alone decide. */
  const operator = sum({ dedup: { keep: "1m", maxIds: 2 } });
  const events = (...ids: string[]) => ids.map((id) => ({ id, data: 1 }));
  const others = events("x", "y", "z");
  /** The answer to a retry of two events whose ids are forgotten. */
  const FORGOTTEN = ["forgotten again", "forgotten again"];

  it("ONE2: a retry is known beyond the horizon of ids, across crash, snapshot and log", async () => {
    const world = new World();
    let one = world.start(operator);
    const request = () => world.slice(events("a", "b"), true, producer(1));
    expect(words(await world.clock.run(one.partition.append(request())))).toEqual(["applied", "applied"]);
    const forget = async (): Promise<void> => {
      await world.clock.advance(180_000);
      await world.send(one, ...others.map((event) => ({ ...event, id: `${event.id}${world.calls}` })));
    };
    await forget();
    expect(words(await world.clock.run(one.partition.append(request())))).toEqual(FORGOTTEN);
    one = world.start(operator);
    expect(words(await world.clock.run(one.partition.append(request()))), "from the log").toEqual(FORGOTTEN);
    for (let round = 0; round < 3; round++) {
      await forget();
      await world.clock.run(one.partition.snapshot());
    }
    expect(world.db.segments.get(NAME)![0]!.seq, "its segment is cut").toBeGreaterThan(1);
    one = world.start(operator);
    const answer = await world.clock.run(one.partition.append(request()));
    expect(words(answer), "from the snapshot").toEqual(FORGOTTEN);
    expect(answer).toMatchObject({ details: [[0, 0, null], [1, 0, null]] }); // prettier-ignore
  });

  it("ONE2: without the numbers it counts again, which is what the horizon says", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, ...events("a", "b"));
    await world.clock.advance(180_000);
    await world.send(one, ...others);
    expect(words(await world.send(one, ...events("a", "b")))).toEqual(["applied", "applied"]);
  });

  it("ONE2, A14 of the models: a request that reached the log in part is completed, not doubled", async () => {
    const world = new World();
    const one = world.start(operator);
    const send = (sent: ReturnType<typeof events>, from: number) =>
      world.clock.run(one.partition.append(world.slice(sent, true, producer(1), from)));
    await send(events("a", "b"), 0);
    await world.clock.advance(180_000);
    await world.send(one, ...others);
    expect(words(await send(events("a", "b", "c"), 0))).toEqual([...FORGOTTEN, "applied"]);
    expect(await world.value(one)).toEqual({ total: 6, times: 6 });
  });

  /** A Worker rejected some of the request's events, so that only these indexes of it reached the partition. */
  const some = (world: World, sent: ReturnType<typeof events>, ...indexes: number[]) => ({
    ...world.slice(
      indexes.map((index) => sent[index]!),
      true,
      producer(1),
    ),
    indexes,
  });

  it("ONE2: what was rejected the first time counts when it is sound, while the ids are known; once", async () => {
    for (const kept of ["live", "the log", "a snapshot"]) {
      const world = new World();
      let one = world.start(sum());
      const sent = events("a", "b", "c", "d");
      expect(words(await world.clock.run(one.partition.append(some(world, sent, 0, 3))))).toEqual([
        "applied",
        "applied",
      ]);
      if (kept === "a snapshot") await world.clock.run(one.partition.snapshot());
      if (kept !== "live") one = world.start(sum());
      const all = () => world.clock.run(one.partition.append(some(world, sent, 0, 1, 2, 3)));
      expect(words(await all()), kept).toEqual(["applied again", "applied", "applied", "applied again"]);
      one = world.start(sum());
      expect(words(await all()), kept).toEqual(Array(4).fill("applied again"));
      expect(await world.value(one)).toEqual({ total: 4, times: 4 });
    }
  });

  it("ONE2: beyond the ids' horizon its number alone decides, the answer says so, and nothing counts", async () => {
    const world = new World();
    let one = world.start(operator);
    const sent = events("a", "b", "c", "d");
    await world.clock.run(one.partition.append(some(world, sent, 0, 2)));
    await world.clock.advance(180_000);
    await world.send(one, ...others);
    for (const _ of [1, 2]) {
      const again = await world.clock.run(one.partition.append(some(world, sent, 0, 1, 2)));
      expect(words(again)).toEqual([...FORGOTTEN, "forgotten again"]);
      one = world.start(operator);
    }
    expect(words(await world.clock.run(one.partition.append(some(world, sent, 1, 3)))), "above the mark").toEqual([
      "forgotten again",
      "applied",
    ]);
    expect(await world.value(one)).toEqual({ total: 6, times: 6 });
  });

  it("ONE2: the horizon that counts is that of the request's first event, to the event", async () => {
    const world = new World();
    // Three ids are known, and minutes are whole: each event has one of its own.
    const one = world.start(sum({ dedup: { keep: "24h", maxIds: 3 } }));
    const later = async (run: () => Promise<unknown>): Promise<void> => {
      await world.clock.advance(61_000);
      await run();
    };
    const sent = events("a", "b", "c", "d");
    const send = (...indexes: number[]) => world.clock.run(one.partition.append(some(world, sent, ...indexes)));
    await later(() => world.send(one, { id: "x", data: 1 }));
    await later(() => send(0));
    await later(() => send(2));
    await later(() => world.send(one, { id: "y", data: 1 }));
    // Seqs 2 to 4 are known, and the request begins at 2.
    await later(async () => expect(words(await send(0, 1))).toEqual(["applied again", "applied"]));
    // Seqs 3 to 5: its first event is forgotten, so nobody knows about those that aren't found.
    await later(async () =>
      expect(words(await send(0, 1, 2, 3))).toEqual(["forgotten again", "applied again", "applied again", "applied"]),
    );
    expect(await world.value(one)).toEqual({ total: 6, times: 6 });
  });

  it("ONE2, P5: a row of several requests says where each of them begins", async () => {
    const world = new World();
    const one = world.start(sum());
    const request = (number: number, ...ids: string[]) =>
      one.partition.append(world.slice(events(...ids), true, producer(number)));
    await world.clock.run(Promise.all([request(1, "a"), request(2, "b"), request(3, "c", "a", "d", "e")]));
    await world.clock.run(request(3, "c", "a", "d", "e", "f"));
    await world.clock.run(one.partition.snapshot());
    const marks = world.db.segments.get(NAME)!.map((row) => readSegment(row, brotli).marks);
    expect(marks.flat()).toEqual([
      ["p", 1, 1, 0, 1],
      ["p", 1, 2, 0, 2],
      ["p", 1, 3, 0, 3],
      ["p", 1, 3, 3, 4],
      ["p", 1, 3, 4, 6],
    ]);
  });

  it("ONE2: a number that comes after a higher one counts; one below the window changes nothing", async () => {
    const world = new World();
    const one = world.start(operator);
    const send = (id: string, number: number, epoch = 1) =>
      world.clock.run(one.partition.append(world.slice(events(id), true, producer(number, epoch))));
    expect(words(await send("b", 2))).toEqual(["applied"]);
    expect(words(await send("a", 1))).toEqual(["applied"]);
    expect(words(await send("c", 2 + WINDOW))).toEqual(["applied"]);
    expect(await send("late", 2)).toMatchObject({ tag: "unfit", status: 409, code: "producer_seq_too_old" });
    expect(words(await send("d", 0, 2))).toEqual(["applied"]);
    expect(await send("zombie", 3 + WINDOW, 1)).toMatchObject({ tag: "unfit", status: 403, code: "producer_fenced" });
    expect(await world.value(one)).toEqual({ total: 4, times: 4 });
  });

  it("ONE4: an id that belongs to another event is reused, whatever its number", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.clock.run(one.partition.append(world.slice(events("a"), true, producer(1))));
    const other = [{ id: "a", data: 7 }];
    for (const number of [1, 2])
      expect(words(await world.clock.run(one.partition.append(world.slice(other, true, producer(number)))))).toEqual([
        "reused",
      ]);
  });

  it("ONE1, ONE2: a retry of a request that isn't durable yet waits for it", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, ...others);
    let open = (): void => undefined;
    const held = new Promise<void>((resolve) => (open = resolve));
    world.fates = ({ method }) => (method === "append" ? held : "ok");
    const request = () => one.partition.append(world.slice(events("a"), true, producer(1)));
    let answered = 0;
    const both = [request(), request()].map((sent) => sent.finally(() => answered++));
    await world.clock.advance(1_000);
    expect(answered).toBe(0);
    open();
    expect((await world.clock.run(Promise.all(both))).flatMap(words)).toEqual(["applied", "applied again"]);
  });

  it.each<Fate>(["before", "after", "silent", "silent after"])(
    "ONE2, LOG3: an append that fails (%s) leaves no mark without its event, and no event without its mark",
    async (fate) => {
      const world = new World();
      const one = world.start(operator);
      await world.send(one, ...others);
      world.fates = ({ method }) => (method === "append" ? fate : "ok");
      const request = () => world.slice(events("a", "b"), true, producer(1));
      const first = one.partition.append(request());
      await world.clock.advance(30_000);
      expect(words(await first)).toBe("store_unavailable");
      one.crashed = true;
      world.fates = () => "ok";
      const next = world.start(operator);
      const acted = fate === "after" || fate === "silent after";
      const expected = acted ? ["applied again", "applied again"] : ["applied", "applied"];
      expect(words(await world.clock.run(next.partition.append(request())))).toEqual(expected);
      expect(await world.value(next)).toEqual({ total: 5, times: 5 });
    },
  );
});
