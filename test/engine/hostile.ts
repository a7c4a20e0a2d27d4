/**
 * Helpers of the fuzz tests: how many runs, values that nobody expects, and changes of a JSON value that keep it JSON.
 *
 * `FUZZ_RUNS=100000 npx vitest run --config test/vitest.unit.ts test/engine/fuzz` runs each property that often.
 */
import fc from "fast-check";
import { Damage, Failure } from "../../src/engine/base/errors.ts";

/** Runs of a property, at least what `npm test` does. */
export const runs = (usual: number): { readonly numRuns: number } => ({
  numRuns: Math.max(usual, Number(process.env["FUZZ_RUNS"] ?? 0)),
});

/** With FUZZ_RUNS a property takes as long as it takes, and so it does on a machine that is busy with other things. */
export const PATIENCE_MS = process.env["FUZZ_RUNS"] === undefined ? 1_200_000 : 14_400_000;

/** Numbers that JSON.stringify can't write, though JSON.parse reads them. */
const LITERALS = {
  "<1e400>": "1e400",
  "<-0>": "-0",
  "<1.0>": "1.0",
  "<deep>": `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
};

const surprise = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", "x", "__proto__", "\ud800", "a\nb\tc", [], {}, [[]], [[0, 0]], { seq: 1 }),
  fc.constantFrom<unknown>(
    -1,
    0,
    1,
    2,
    0.5,
    65_536,
    2 ** 31,
    2 ** 32,
    2 ** 32 - 1,
    1e15,
    2 ** 53 - 1,
    2 ** 53,
    -(2 ** 53),
    1e308,
  ),
  fc.constantFrom<unknown>(...Object.keys(LITERALS)),
  fc.jsonValue({ maxDepth: 2 }),
);

export interface Change {
  readonly where: number;
  readonly how: "replace" | "remove" | "twice" | "swap" | "nudge" | "add";
  readonly value: unknown;
}

/** A change of whatever value it will be applied to. */
const change: fc.Arbitrary<Change> = fc.record({
  where: fc.nat(1_000_000),
  how: fc.constantFrom<Change["how"][]>("replace", "replace", "remove", "twice", "swap", "nudge", "add"),
  value: surprise,
});

export const changes = fc.array(change, { minLength: 1, maxLength: 3 });

type Holder = Record<string, unknown> | unknown[];

/** The JSON text of a copy with the changes made. */
export function changedText(value: unknown, made: readonly Change[]): string {
  const root: Record<string, unknown> = { root: structuredClone(value) };
  for (const one of made) apply(root, one);
  return Object.entries(LITERALS).reduce(
    (text, [name, literal]) => text.replaceAll(JSON.stringify(name), literal),
    JSON.stringify(root["root"] ?? null),
  );
}

function apply(root: Holder, { where, how, value }: Change): void {
  const slots = [...slotsOf(root)];
  const slot = slots[where % slots.length];
  // Everything was taken out by an earlier change.
  if (slot === undefined) return;
  const [holder, name] = slot;
  const old = (holder as Record<string, unknown>)[name];
  const put = (at: string, what: unknown): void =>
    void Object.defineProperty(holder, at, {
      value: structuredClone(what),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  switch (how) {
    case "replace":
      return put(name, value);
    case "remove":
      return Array.isArray(holder) ? void holder.splice(Number(name), 1) : void delete holder[name];
    case "twice":
      return Array.isArray(holder) ? void holder.splice(Number(name), 0, structuredClone(old)) : put(`${name}2`, old);
    case "swap": {
      const [other, otherName] = slots[(where * 7 + 1) % slots.length]!;
      put(name, (other as Record<string, unknown>)[otherName]);
      return;
    }
    case "nudge":
      return put(name, typeof old === "number" ? old + (where % 2 === 0 ? 1 : -1) : value);
    case "add":
      return Array.isArray(old) ? void old.push(structuredClone(value)) : put("__proto__", value);
  }
}

function* slotsOf(holder: Holder): Generator<readonly [Holder, string]> {
  for (const [name, value] of Object.entries(holder)) {
    yield [holder, name];
    if (typeof value === "object" && value !== null) yield* slotsOf(value as Holder);
  }
}

/** How long one reading may take: far more than any of these small things needs, far less than a hang. */
const READING_MS = 2_000;

type Read<T> = { readonly value: T } | { readonly named: string };

/** Returns the value that was read, or the name of the failure. @throws a failure without a name */
export function readOrNamed<T>(reader: () => T): Read<T> {
  const begun = performance.now();
  const read = valueOrName(reader);
  const took = performance.now() - begun;
  if (took > READING_MS) throw new Error(`it took ${took} ms`);
  return read;
}

function valueOrName<T>(read: () => T): Read<T> {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof Damage) return { named: "Damage" };
    if (error instanceof Failure) return { named: error.code };
    throw error;
  }
}
