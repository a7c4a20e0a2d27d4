/**
 * A failure within a commit or a snapshot closes nothing for good: the instance ends, or tries again after a pause, and
 * the next one is sound.
 */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Dedup } from "../../../src/engine/state/dedup.ts";
import { Group } from "../../../src/engine/partition/group.ts";
import { Overlay } from "../../../src/engine/state/overlay.ts";
import { Quarantine } from "../../../src/engine/state/quarantine.ts";
import { KeyedState } from "../../../src/engine/state/keyed-state.ts";
import * as judging from "../../../src/engine/log/fence.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

const operator = sum();
afterEach(() => vi.restoreAllMocks());

const boom = (): never => {
  throw new Error("injected");
};

/** In any case the events count once in the end, and the snapshot is taken. */
async function expectSound(world: World, total: number, ...events: readonly Sent[]): Promise<void> {
  const next = world.start(operator);
  const result = await world.send(next, ...events);
  expect(result.tag).toBe("decided");
  expect(await world.value(next)).toEqual({ total, times: events.length });
  expect((await world.clock.run(next.partition.snapshot())).tag).toBe("current");
  expect(next.ended).toBeNull();
  expect(await world.value(world.start(operator))).toEqual({ total, times: events.length });
}

const a: Sent = { id: "a", data: 5 };
const b: Sent = { id: "b", data: 7 };

describe("LOG1: a commit that breaks", () => {
  it.each<[string, () => void]>([
    ["when its group is closed", () => vi.spyOn(Group.prototype, "close").mockImplementationOnce(boom)],
    ["when its statistics are written", () => vi.spyOn(Overlay.prototype, "growth").mockImplementationOnce(boom)],
    ["when it is settled", () => vi.spyOn(Overlay.prototype, "settle").mockImplementationOnce(boom)],
    ["when its states are taken in", () => vi.spyOn(KeyedState.prototype, "apply").mockImplementationOnce(boom)],
    ["when ids move on", () => vi.spyOn(Dedup.prototype, "committed").mockImplementationOnce(boom)],
    ["when the quarantine moves on", () => vi.spyOn(Quarantine.prototype, "committed").mockImplementationOnce(boom)],
  ])("%s ends the instance, and its callers hear 503 at once", async (_, inject) => {
    const world = new World();
    const one = world.start(operator);
    inject();
    const began = world.clock.now();
    const [first, second] = await world.clock.run(
      Promise.all([one.partition.append(world.slice([a])), one.partition.append(world.slice([b]))]),
    );
    expect([words(first), words(second)]).toEqual(["fenced", "fenced"]);
    expect(world.clock.now() - began).toBeLessThan(1_000);
    expect(one.ended).toMatch(/the commit failed: injected/);
    expect(one.notes.filter((note) => note.startsWith("rejected"))).toEqual([]);
    await expectSound(world, 12, a, b);
  });

  it("because who watches breaks, the same", async () => {
    const world = new World();
    const one = world.start(operator);
    one.watchers = { keys: [], changed: boom, opened: () => undefined };
    expect(words(await world.send(one, a))).toBe("fenced");
    await expectSound(world, 12, a, b);
  });

  it("because a handler changed a state after it had returned, the same", async () => {
    const kept: Record<string, unknown>[] = [];
    const leaking = sum({
      on: {
        add(state, event) {
          for (const earlier of kept) earlier["self"] = earlier;
          kept.push(state as unknown as Record<string, unknown>);
          state.total += event.data as number;
          state.times += 1;
          return {};
        },
      },
    });
    const world = new World();
    const one = world.start(leaking);
    expect(words(await world.send(one, { ...a, key: "x" }, { ...b, key: "y" }))).toBe("fenced");
    expect(one.ended).toMatch(/the commit failed/);
    kept.length = 0;
    expect(words(await world.send(world.start(leaking), { ...a, key: "x" }))).toEqual(["applied"]);
  });

  it("APPEND1: what breaks while a refusal is explained isn't asked of D1 for ever", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, a);
    // Another writer: the next append is refused.
    await world.send(world.start(operator), b);
    vi.spyOn(judging, "judgeAppend").mockImplementation(boom);
    const result = await world.send(one, { id: "c", data: 1 });
    expect(words(result)).toBe("fenced");
    expect(one.ended).toMatch(/the commit failed: injected/);
    expect(world.trace.filter((method) => method === "explain").length).toBeLessThan(5);
  });
});

describe("SNAP6: a snapshot that breaks", () => {
  const started = async (): Promise<{ world: World; one: Incarnation }> => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, a);
    return { world, one };
  };

  it.each<[string, () => void]>([
    ["when the state is captured", () => vi.spyOn(KeyedState.prototype, "capture").mockImplementation(boom)],
    ["when ids are captured", () => vi.spyOn(Dedup.prototype, "image").mockImplementation(boom)],
    ["when the quarantine is captured", () => vi.spyOn(Quarantine.prototype, "list").mockImplementation(boom)],
  ])("%s is tried again after a pause, and events go on", async (_, inject) => {
    const { world, one } = await started();
    inject();
    expect(await world.clock.run(one.partition.snapshot())).toMatchObject({
      tag: "failed",
      why: "the snapshot failed: injected",
    });
    expect(one.ended).toBeNull();
    // Not at once: the alarm is armed for it.
    expect(one.armed).toBeGreaterThanOrEqual(world.clock.now() + 20_000);
    expect(one.notes.filter((note) => note === "snapshot failed")).toHaveLength(1);
    for (let n = 0; n < 3; n++) {
      await world.clock.advance(40_000 * 2 ** n);
      await world.clock.run(one.partition.wake());
    }
    expect(one.notes.filter((note) => note === "snapshot failed").length).toBeLessThanOrEqual(4);
    expect(words(await world.send(one, b))).toEqual(["applied"]);
    vi.restoreAllMocks();
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("current");
    await expectSound(world, 12, a, b);
  });

  it("after it became current ends the instance, and the next one opens on it", async () => {
    const { world, one } = await started();
    vi.spyOn(KeyedState.prototype, "dropSaved").mockImplementationOnce(boom);
    await expect(world.clock.run(one.partition.snapshot())).rejects.toThrow(/the object has ended/);
    expect(one.ended).toMatch(/adopting a snapshot failed: injected/);
    await expectSound(world, 12, a, b);
  });
});
