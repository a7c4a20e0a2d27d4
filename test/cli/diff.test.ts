/** `keyframe diff`: what two snapshots hold differently, whatever files each of them is made of. */
import { afterAll, describe, expect, it } from "vitest";
import fc from "fast-check";
import { compareUtf8 } from "../../src/engine/base/json.ts";
import { compareStates, layersOf, mergedState } from "../../src/cli/layers.ts";
import { viewSnapshot, type SnapshotView } from "../../src/cli/snapshot-view.ts";
import { Folder, goldenFile, snapshotOf } from "./files.ts";
import { run } from "./run.ts";

const folder = new Folder();
afterAll(() => folder.remove());

const written = async (name: string, ...args: Parameters<typeof snapshotOf>): Promise<string> =>
  folder.write(name, await snapshotOf(...args));

describe("keyframe diff", () => {
  it("full against full: added, removed and changed, in the order of the keys", async () => {
    const a = await written("a.kfs", { a: 1, b: 2, d: { n: 4 }, é: 5 });
    const b = await written("b.kfs", { a: 1, c: 3, d: { n: 40 }, é: 5 });
    const ran = await run(["diff", a, b]);
    expect(ran).toEqual({
      status: 1,
      out: ['- "b"', '+ "c"', '~ "d"'],
      err: "1 added, 1 removed, 1 changed, 2 the same\n",
    });
    const { out } = await run(["diff", a, b, "--values", "--json"]);
    expect(out.map((line) => JSON.parse(line) as unknown)).toEqual([
      { change: "removed", key: "b", before: 2 },
      { change: "added", key: "c", after: 3 },
      { change: "changed", key: "d", before: { n: 4 }, after: { n: 40 } },
    ]);
    expect((await run(["diff", a, b, "--values"])).out.slice(-3)).toEqual(['~ "d"', '    - {"n":4}', '    + {"n":40}']);
  });

  it("a file and itself are equal", async () => {
    const ran = await run(["diff", goldenFile("full.kfs"), goldenFile("full.kfs")]);
    expect(ran).toMatchObject({ status: 0, out: [] });
  });

  it("a delta is read on the files it builds on, of which the other side may be one", async () => {
    const ran = await run(["diff", goldenFile("full.kfs"), goldenFile("delta.kfs")]);
    expect(ran).toMatchObject({
      status: 1,
      out: ['~ "a"', '- "gone"', '+ "m0"', '+ "m1"', '+ "m2"', '+ "m3"', '+ "m4"'],
    });
  });

  it("a chain of deltas, given in any order", async () => {
    const full = await written("1.kfs", { a: 1, b: 1 });
    const second = await written("2.kfs", { b: 2, c: 2 }, 9);
    const third = await written("3.kfs", { a: null, c: 3 }, 18);
    const whole = await written("4.kfs", { b: 2, c: 3 }, 0, 27);
    expect(await run(["diff", third, whole, "--on", second, full])).toMatchObject({ status: 0, out: [] });
    expect(await run(["diff", third, whole, "--on", second])).toMatchObject({
      status: 2,
      err: expect.stringContaining("give the file of seq 9 with --on"),
    });
  });

  it("a manifest is no side of it", async () => {
    const ran = await run(["diff", goldenFile("full.kfs"), goldenFile("manifest.kfm")]);
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining("is a manifest") });
  });

  it("layers give what applying them one after the other gives", async () => {
    const states = fc.dictionary(fc.string({ minLength: 1, unit: "grapheme" }), fc.option(fc.nat(9)), {
      noNullPrototype: true,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(states, { minLength: 1, maxLength: 4 }), async (drawn) => {
        const model = new Map<string, unknown>();
        const views: SnapshotView[] = [];
        for (const [i, layer] of drawn.entries()) {
          const entries = Object.entries(layer)
            .filter(([, value]) => i > 0 || value !== null)
            .sort(([a], [b]) => compareUtf8(a, b));
          for (const [key, value] of entries)
            if (value === null) model.delete(key);
            else model.set(key, value);
          views.push(await view(entries, 9 * i));
        }
        const merged = [...mergedState(layersOf(views.at(-1)!, views))].map(([key, { text }]) => [
          key,
          JSON.parse(text),
        ]);
        expect(merged).toEqual([...model].sort(([a], [b]) => compareUtf8(a, b)));
      }),
      { numRuns: 50 },
    );
  });

  const view = async (entries: [string, unknown][], base: number): Promise<SnapshotView> =>
    viewSnapshot({ name: `${base}.kfs`, kind: "snapshot", bytes: await snapshotOf(Object.fromEntries(entries), base) });
});

describe("compareStates", () => {
  const state = (text: string) =>
    text
      .split("")
      .map((key) => [key.toLowerCase(), { text: key }] as const)
      .values();
  it.each([
    ["", "", ""],
    ["", "a", "+a"],
    ["a", "", "-a"],
    ["a", "a", "=a"],
    ["a", "A", "~a"],
    ["abd", "bcD", "-a=b+c~d"],
    ["bd", "ace", "+a-b+c-d+e"],
  ])("%j and %j: %s", (a, b, expected) => {
    const signs = { added: "+", removed: "-", changed: "~", same: "=" };
    expect([...compareStates(state(a), state(b))].map(({ tag, key }) => signs[tag] + key).join("")).toBe(expected);
  });
});
