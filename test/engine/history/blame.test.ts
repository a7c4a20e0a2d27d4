/** Which event last changed a member of a state: what a look at every value says, or an honest word that it isn't known. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, type Seq } from "../../../src/engine/base/ids.ts";
import { memberAt, parsePointer } from "../../../src/engine/history/json-pointer.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { blame, type Blame } from "../../../src/engine/history/blame.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { ERASE, PUT, REMOVE } from "../../../src/engine/state/edit.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

/** Data that are a list replace `total` by it. */
const lists = (more: object = {}): Operator =>
  sum({
    snapshot: { maxTailBytes: 256_000_000, retain: "1d" },
    on: {
      add(state, event, ctx) {
        const { data } = event;
        if (data === "boom") throw new Error("boom");
        if (data === 0) return ctx.refuse("zero");
        if (data === "gone") return ctx.remove();
        if (Array.isArray(data)) (state as { total: unknown }).total = data;
        else state.times += data as number;
      },
    },
    ...more,
  });

const blamed = (world: World, operator: Operator, path: string, before: Seq | null = null): Promise<Blame> =>
  world.clock.run(blame(world.reader(operator), "k", parsePointer(path)!, before));

/** Seq, and the member before and after, or what else it says. */
const said = (found: Blame): string => {
  switch (found.tag) {
    case "changed":
      return `${found.item.seq}: ${found.from} to ${found.to}`;
    case "unknown":
      return `${found.item.seq}: ${found.why}`;
    case "unchanged":
      return `${found.before} ${found.bottom}`;
  }
};

async function sendAll(world: World, one: Incarnation, data: readonly unknown[], from = 0): Promise<void> {
  await world.send(one, ...data.map((one, i) => ({ id: `e${from + i}`, key: "k", data: one })));
}

const EVENT: fc.Arbitrary<Omit<Sent, "id">> = fc.oneof(
  fc
    .constantFrom<unknown>(0, "boom", "gone", 1, 1, [1], [1, 2], [2, 2], [{ n: 1 }])
    .map((data) => ({ key: "k", data })),
  fc.constantFrom(REMOVE, ERASE).map((type) => ({ type, key: "k", data: { if: "any", version: 1 } })),
  fc.nat(2).map((times) => ({
    type: PUT,
    key: "k",
    data: { if: "any", version: 1, state: { total: [1, times], times } },
  })),
);

describe("blame", () => {
  it(
    "BLAME1: names the newest event with another text before it than after it, page by page and from anywhere",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.oneof({ weight: 6, arbitrary: EVENT }, { weight: 1, arbitrary: fc.constant("snapshot" as const) }),
            {
              minLength: 1,
              maxLength: 30,
            },
          ),
          fc.constantFrom("", "/total", "/total/0", "/total/1", "/total/0/n", "/times", "/none", "/total/length"),
          fc.nat(40),
          async (steps, path, below) => {
            const world = new World();
            const operator = lists();
            const one = world.start(operator);
            const values: unknown[] = [undefined];
            for (const [n, step] of steps.entries()) {
              if (step === "snapshot") await world.clock.run(one.partition.snapshot());
              else {
                await world.send(one, { id: `e${n}`, ...step });
                values.push(await world.value(one, "k"));
              }
              await world.clock.advance(100);
            }
            const texts = values.map((value) => JSON.stringify(memberAt(value, parsePointer(path)!)) ?? null);
            for (const before of [null, below === 0 ? null : seq(below)]) {
              const end = Math.min(values.length, before ?? values.length);
              let at = end - 1;
              while (at > 0 && texts[at] === texts[at - 1]) at -= 1;
              const expected = at < 1 ? "null beginning" : `${at}: ${texts[at - 1]} to ${texts[at]}`;
              expect(said(await blamed(world, operator, path, before))).toBe(expected);
            }
          },
        ),
        runs(80),
      ),
    PATIENCE_MS,
  );

  it("BLAME3: reads some pages at a time, and says where to go on", async () => {
    const world = new World();
    const operator = lists();
    const one = world.start(operator);
    await sendAll(world, one, [[7]]);
    for (let n = 0; n < 5; n++)
      await sendAll(
        world,
        one,
        Array.from({ length: 300 }, () => 1),
        1 + 300 * n,
      );
    const first = await blamed(world, operator, "/total");
    expect(first).toMatchObject({ tag: "unchanged", before: 1 + 1_500 - 1_110 + 1 });
    const next = first.tag === "unchanged" ? first.before : null;
    expect(said(await blamed(world, operator, "/total", next))).toBe("1: null to [7]");
    expect(said(await blamed(world, operator, "/times"))).toBe("1501: 1499 to 1500");
  });

  it("BLAME2: stops at an event whose effect isn't known, and goes past those that had none", async () => {
    const world = new World();
    const one = world.start(lists());
    await sendAll(world, one, [[1], 1, 0, "boom"]);
    const newer = lists({ version: 2, migrate: { 2: (old: unknown) => ({ ...(old as object), two: true }) } });
    expect(said(await blamed(world, newer, "/total"))).toBe("2: version 1 applied seq 1, and this is version 2");
    expect(said(await blamed(world, newer, "/total", seq(2)))).toBe(
      "1: version 1 applied seq 1, and this is version 2",
    );
    one.crashed = true;
    const two = world.start(newer, "code-2");
    await world.clock.run(two.partition.snapshot());
    await sendAll(world, two, [1, [5]], 10);
    expect(said(await blamed(world, newer, "/total"))).toBe("6: [1] to [5]");
    expect(said(await blamed(world, newer, "/total", seq(6)))).toBe(
      "2: version 1 applied seq 1, and this is version 2",
    );
  });

  it("says that retention has given up the log", async () => {
    const world = new World();
    const operator = lists();
    const one = world.start(operator);
    await sendAll(world, one, [[7]]);
    for (let day = 0; day < 20; day++) {
      await sendAll(world, one, [1], day + 1);
      await world.clock.run(one.partition.snapshot());
      await world.clock.advance(5 * GARBAGE_MS);
    }
    expect(said(await blamed(world, operator, "/times"))).toBe("21: 19 to 20");
    const found = await blamed(world, operator, "/total");
    expect(said(found)).toMatch(/^\d+: between it and the beginning of the log, the log is not kept$/);
    const oldest = found.tag === "unknown" ? found.item.seq : seq(1);
    expect(oldest).toBeGreaterThan(1);
    expect(said(await blamed(world, operator, "/total", oldest))).toBe("null given up");
  });
});

describe("a JSON pointer", () => {
  const value = { "": 0, a: [{ b: null }, "text"], "a/b": 1, "m~n": 2, "~1": 3, " ": 4, __proto__x: 5, ü: 6 };
  it.each<[string, unknown]>([
    ["", value],
    ["/", 0],
    ["/a/0/b", null],
    ["/a/1", "text"],
    ["/a/2", undefined],
    ["/a/-", undefined],
    ["/a/00", undefined],
    ["/a/length", undefined],
    ["/a/1/0", undefined],
    ["/a/1/length", undefined],
    ["/a~1b", 1],
    ["/m~0n", 2],
    ["/~01", 3],
    ["/ ", 4],
    ["/ü", 6],
    ["/constructor", undefined],
    ["/__proto__", undefined],
  ])("RFC 6901: %j", (path, found) => {
    expect(memberAt(value, parsePointer(path)!)).toEqual(found);
  });

  it.each(["a", "#/a", "/~", "/~2", "/a~"])("%j is none", (path) => {
    expect(parsePointer(path)).toBeNull();
  });
});
