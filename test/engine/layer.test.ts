/** LOG1: what a row changes stands above what the rows before it changed, and is seen by nobody until it is settled. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, stamp } from "../../src/engine/ids.ts";
import { isNew, Layer, STALE, textOf } from "../../src/engine/layer.ts";
import { all, put } from "./fakes/change.ts";
import { KeyedState } from "../../src/engine/state.ts";

/** What an applied event leaves: a value, or nothing. */
function change(layer: Layer, key: string, value: unknown, at: number): void {
  const touched = layer.touch(key);
  touched.value = value === null ? STALE : value;
  touched.text = null;
  touched.dirty = value !== null;
  touched.seq = seq(at);
}

const textIn = (layer: Layer, key: string): string | null => textOf(layer.touch(key));

describe("layers", () => {
  it("see the nearest layer below that is not settled, else the state", () => {
    const state = new KeyedState();
    put(state, "a", { text: "0", seq: seq(1), stamp: stamp(1) });
    const one = new Layer(state, null);
    change(one, "a", 1, 2);
    const two = new Layer(state, one);
    const three = new Layer(state, two);
    expect(textIn(three, "a")).toBe("1");
    change(two, "b", 2, 3);
    const four = new Layer(state, two);
    expect([textIn(four, "a"), textIn(four, "b"), textIn(four, "c")]).toEqual(["1", "2", null]);
    expect(state.find("a")!.text).toBe("0");
  });

  it("see that a key was removed below", () => {
    const state = new KeyedState();
    put(state, "a", { text: "0", seq: seq(1), stamp: stamp(1) });
    const one = new Layer(state, null);
    change(one, "a", null, 2);
    const two = new Layer(state, one);
    expect(textIn(two, "a")).toBeNull();
    expect(isNew(two.touch("a"))).toBe(true);
  });

  it("settle in order, each with its own stamp and the seq of each key's last event", () => {
    const state = new KeyedState();
    const one = new Layer(state, null);
    change(one, "a", 1, 1);
    change(one, "b", 1, 2);
    const two = new Layer(state, one);
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
    const layer = new Layer(state, null);
    layer.touch("a");
    layer.touch("b");
    expect(layer.growth()).toEqual({ keys: 0, size: 0 });
    layer.settle(stamp(9));
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
        const layers = [new Layer(state, null)];
        for (const [i, [name, given, another]] of list.entries()) {
          if (another) layers.push(new Layer(state, layers.at(-1)!));
          change(layers.at(-1)!, name, given, i + 1);
          if (given === null) model.delete(name);
          else model.set(name, String(given));
        }
        const growth = layers.map((layer) => layer.growth());
        for (const [i, layer] of layers.entries()) layer.settle(stamp(i + 1));
        expect(new Map(all(state).map(([name, { text }]) => [name, text]))).toEqual(model);
        expect(growth.reduce((sum, { keys }) => sum + keys, 0)).toBe(state.keys);
        expect(growth.reduce((sum, { size }) => sum + size, 0)).toBe(state.size);
      }),
    );
  });
});
