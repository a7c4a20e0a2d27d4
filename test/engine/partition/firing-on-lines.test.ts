/** TIMER2, FIRING3, MACHINE7: timers on a line that starts from another one, and on one that replays another one. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, it } from "vitest";
import { stamp } from "../../../src/engine/base/ids.ts";
import { operator } from "../../../src/engine/operator/operator.ts";
import { type Incarnation, World } from "../fakes/world.ts";

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

/** An event sets one timer of so many milliseconds. `fixed` code sets another one beside it, which was forgotten. */
const reminding = (fixed: boolean) =>
  operator("sum", {
    version: 1,
    events: { add: anything },
    key: (event) => event.partitionkey ?? "k",
    initial: () => ({ events: 0, soon: 0, late: 0 }),
    on: {
      add(state, event, ctx) {
        state.events += 1;
        ctx.timers.set("soon", { after: event.data as number });
        if (fixed) ctx.timers.set("late", { after: 2 * (event.data as number) });
      },
    },
    timers: { soon: (state) => void (state.soon += 1), late: (state) => void (state.late += 1) },
  });

const END = stamp(Number.MAX_SAFE_INTEGER);
const send = (world: World, to: Incarnation, id: string, afterMs: number) => world.send(to, { id, data: afterMs });
const wake = (world: World, one: Incarnation): Promise<void> => world.clock.run(one.partition.wake());

/** Main with a timer that has fired, one that is pending, and what came after. */
async function main(): Promise<{ world: World; one: Incarnation }> {
  const world = new World();
  const one = world.start(reminding(false));
  await send(world, one, "a", 5_000);
  await world.clock.advance(6_000);
  await wake(world, one);
  await send(world, one, "b", 60_000);
  return { world, one };
}

describe("a fork", () => {
  it("fires what was pending where it starts, and main fires it too", async () => {
    const { world, one } = await main();
    const at = stamp((await world.clock.run(one.partition.read(["k"])))[0]!.stamp);
    const fork = world.fork(reminding(false), at);
    const two = fork.start(reminding(false));
    await wake(fork, two);
    expect(await fork.value(two)).toEqual({ events: 2, soon: 1, late: 0 });
    await world.clock.advance(61_000);
    await wake(fork, two);
    await wake(world, one);
    expect(await fork.value(two)).toEqual({ events: 2, soon: 2, late: 0 });
    expect(await world.value(one)).toEqual({ events: 2, soon: 2, late: 0 });
  });
});

describe("a line that replays", () => {
  it.each(["logged", "decide"] as const)(
    "fires what main fired, and what its own code has set once it is main (%s)",
    async (outcomes) => {
      const { world, one } = await main();
      const line = world.fork(reminding(true), stamp(0));
      world.db.lines.set(2, { floor: 0, open: false, replaying: true });
      const two = line.start(reminding(true));
      const source = [{ env: world.reader(reminding(true)), upTo: END }];
      const takeIn = () =>
        line.clock.run(two.partition.takeIn({ source, outcomes, untilMs: Number.POSITIVE_INFINITY }));
      await takeIn();
      expect(await line.value(two)).toEqual({ events: 2, soon: 1, late: 0 });
      await world.clock.advance(200_000);
      await wake(line, two);
      expect(await line.value(two), "nothing fires by itself").toEqual({ events: 2, soon: 1, late: 0 });
      await wake(world, one);
      await takeIn();
      expect(await line.value(two)).toEqual({ events: 2, soon: 2, late: 0 });
      world.db.lines.set(1, { floor: 0, open: false });
      world.db.lines.set(2, { floor: 0, open: true });
      const three = line.start(reminding(true));
      await wake(line, three);
      expect(await line.value(three)).toEqual({ events: 2, soon: 2, late: 1 });
      expect((await line.clock.run(three.partition.facts())).appliedSeq).toBe(5);
    },
  );
});
