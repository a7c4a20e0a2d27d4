/** LOG1: what a row changes stands above what the rows before it changed, and is seen by nobody until it is settled. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, stamp } from "../../../src/engine/base/ids.ts";
import { isNew, Overlay, STALE, textOf } from "../../../src/engine/state/overlay.ts";
import { all, put } from "../fakes/change.ts";
import { KeyedState } from "../../../src/engine/state/keyed-state.ts";

/** The result of an applied event: a value, or nothing. */
function change(overlay: Overlay, key: string, value: unknown, at: number): void {
  const dirtyKey = overlay.edit(key);
  dirtyKey.value = value === null ? STALE : value;
  dirtyKey.text = null;
  dirtyKey.dirty = value !== null;
  dirtyKey.seq = seq(at);
}

const textIn = (overlay: Overlay, key: string): string | null => textOf(overlay.edit(key));

describe("layers", () => {
  it("see the nearest layer below that is not settled, else the state", () => {
    const state = new KeyedState();
    put(state, "a", { text: "0", seq: seq(1), stamp: stamp(1) });
    const one = new Overlay(state, null);
    change(one, "a", 1, 2);
    const two = new Overlay(state, one);
    const three = new Overlay(state, two);
    expect(textIn(three, "a")).toBe("1");
    change(two, "b", 2, 3);
    const four = new Overlay(state, two);
    expect([textIn(four, "a"), textIn(four, "b"), textIn(four, "c")]).toEqual(["1", "2", null]);
    expect(state.find("a")!.text).toBe("0");
  });

  it("see that a key was removed below", () => {
    const state = new KeyedState();
    put(state, "a", { text: "0", seq: seq(1), stamp: stamp(1) });
    const one = new Overlay(state, null);
    change(one, "a", null, 2);
    const two = new Overlay(state, one);
    expect(textIn(two, "a")).toBeNull();
    expect(isNew(two.edit("a"))).toBe(true);
  });

  it("settle in order, each with its own stamp and the seq of each key's last event", () => {
    const state = new KeyedState();
    const one = new Overlay(state, null);
    change(one, "a", 1, 1);
    change(one, "b", 1, 2);
    const two = new Overlay(state, one);
    change(two, "b", 2, 3);
    one.settle(stamp(10));
    expect(state.find("b")).toEqual({ text: "1", seq: 2, stamp: 10 });
    two.settle(stamp(20));
    expect(state.find("a")).toEqual({ text: "1", seq: 1, stamp: 10 });
    expect(state.find("b")).toEqual({ text: "2", seq: 3, stamp: 20 });
  });

  it("leave alone what they touched and didn't change", () => {
    const state = new KeyedState();
    put(state, "a", { text: "0", seq: seq(1), stamp: stamp(1) });
    const overlay = new Overlay(state, null);
    overlay.edit("a");
    overlay.edit("b");
    expect(overlay.growth()).toEqual({ keys: 0, size: 0 });
    overlay.settle(stamp(9));
    expect(state.find("a")).toEqual({ text: "0", seq: 1, stamp: 1 });
    expect(state.keys).toBe(1);
  });

  it("SNAP9: say by how much the state will have grown", () => {
    const key = fc.constantFrom("a", "bb", "ccc");
    const value = fc.option(fc.integer({ min: 0, max: 5_000 }));
    const changes = fc.array(fc.tuple(key, value, fc.boolean()), { maxLength: 30 });
    fc.assert(
      fc.property(changes, (list) => {
        const state = new KeyedState();
        const model = new Map<string, string>();
        const layers = [new Overlay(state, null)];
        for (const [i, [name, given, another]] of list.entries()) {
          if (another) layers.push(new Overlay(state, layers.at(-1)!));
          change(layers.at(-1)!, name, given, i + 1);
          if (given === null) model.delete(name);
          else model.set(name, String(given));
        }
        const growth = layers.map((overlay) => overlay.growth());
        for (const [i, overlay] of layers.entries()) overlay.settle(stamp(i + 1));
        expect(new Map(all(state).map(([name, { text }]) => [name, text]))).toEqual(model);
        expect(growth.reduce((sum, { keys }) => sum + keys, 0)).toBe(state.keys);
        expect(growth.reduce((sum, { size }) => sum + size, 0)).toBe(state.size);
      }),
    );
  });
});
