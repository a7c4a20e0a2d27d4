/** Watchers hear of each change once it is in the log, whichever instance brought it there, and of nothing before. */
import { FRESH_MS } from "../../../src/engine/base/limits.ts";
import { describe, expect, it } from "vitest";
import type { Seq } from "../../../src/engine/base/ids.ts";
import type { Watchers } from "../../../src/engine/base/ports.ts";
import { sum } from "../fakes/sum.ts";
import { World } from "../fakes/world.ts";

/** Notes what it hears. */
class Ears implements Watchers {
  readonly heard: (readonly [string, number | null, number])[] = [];
  readonly keys: readonly string[];

  constructor(...keys: readonly string[]) {
    this.keys = keys;
  }

  readonly heads: number[] = [];

  opened(head: Seq): void {
    this.heads.push(head);
  }

  changed(key: string, text: string | null, at: Seq): void {
    this.heard.push([key, text === null ? null : (JSON.parse(text) as { total: number }).total, at]);
  }
}

describe("watchers", () => {
  it("LOG1: hear of a change when its commit is proven, not while that is unknown", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    const ears = (one.watchers = new Ears("k"));
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.fates = ({ method }) => (method === "append" ? held : "ok");
    const sending = one.partition.append(world.slice([{ id: "b", data: 2 }]));
    await world.clock.settle();
    expect(ears.heard).toEqual([]);
    // It is in the log, but nobody has said so.
    world.fates = ({ method }) => (method === "append" ? "silent after" : method === "explain" ? "before" : "ok");
    release();
    await world.clock.settle();
    world.fates = () => "ok";
    await world.clock.run(sending);
    expect(ears.heard).toEqual([["k", 3, 2]]);
  });

  it("hear of a removal, of each row's last value, and not of what changed nothing", async () => {
    const spec = sum({
      on: {
        add: (state, event, ctx) => {
          if (event.data === "gone") return ctx.remove();
          if (event.data === "boom") throw new Error("boom");
          if (event.data === "no") return ctx.refuse("no", null);
          state.total += event.data as number;
        },
      },
    });
    const world = new World();
    const one = world.start(spec);
    const ears = (one.watchers = new Ears("k"));
    await world.send(one, { id: "a", data: 1 }, { id: "b", data: 2 }, { id: "c", key: "other", data: 5 });
    await world.send(one, { id: "d", data: "boom" }, { id: "e", data: "no" }, { id: "a", data: 1 });
    await world.send(one, { id: "f", data: "gone" });
    expect(ears.heard).toEqual([
      ["k", 3, 2],
      ["other", 5, 3],
      ["k", null, 6],
    ]);
  });

  it("hear, when an instance opens, what others brought into the log; of their own keys alone", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 }, { id: "b", key: "other", data: 1 });
    const next = world.start(sum());
    const ears = (next.watchers = new Ears("k", "none"));
    expect(await world.value(next, "other")).toEqual({ total: 1, times: 1 });
    expect(ears.heard).toEqual([["k", 1, 1]]);
    expect(ears.heads).toEqual([2]);
  });

  it("hear, when one that was open for reading continues, what was logged meanwhile", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    const reader = world.start(sum());
    await world.value(reader);
    const ears = (reader.watchers = new Ears("k"));
    await world.send(one, { id: "b", data: 1 }, { id: "c", data: 1 });
    expect(ears.heard).toEqual([]);
    await world.clock.advance(FRESH_MS);
    await world.value(reader);
    await world.send(reader, { id: "d", key: "other", data: 1 });
    expect(ears.heard).toEqual([
      ["k", 3, 3],
      ["other", 1, 4],
    ]);
  });

  it("hear nothing of what a snapshot holds: who wrote it told them", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    await world.clock.run(one.partition.snapshot());
    const next = world.start(sum());
    const ears = (next.watchers = new Ears("k"));
    await world.send(next, { id: "b", key: "other", data: 1 });
    expect(ears.heard).toEqual([["other", 1, 2]]);
  });
});
