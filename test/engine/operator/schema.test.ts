/**
 * O2: a schema checks, it doesn't change. An event that it would change is rejected with the path; a member that it
 * leaves out is no change.
 */
import * as v from "valibot";
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { operator, type Schemas } from "../../../src/engine/operator/operator.ts";
import { dataFlaw } from "../../../src/engine/operator/schema.ts";
import { given } from "../../../src/testkit/testkit.ts";

type Schema = Schemas[string];
const flawOf = (schema: Schema, data: unknown): string | null => dataFlaw(schema, data, "it");
/** Each gives itself, or what it is told. */
const giving = (value: unknown): Schema => ({
  "~standard": { version: 1, vendor: "test", validate: () => ({ value }) },
});

describe("a schema that would change the data", () => {
  // prettier-ignore
  it.each<[string, Schema, unknown, string]>([
    ["trims", (z.object({ account: z.string().trim() })), { account: " ada " }, 'data.account: the schema changes " ada " into "ada"'],
    ["trims, with valibot", v.object({ account: v.pipe(v.string(), v.trim()) }), { account: " ada " }, 'data.account: the schema changes " ada " into "ada"'],
    ["lowers", z.object({ mail: z.string().toLowerCase() }), { mail: "Ada@x" }, 'data.mail: the schema changes "Ada@x" into "ada@x"'],
    ["catches", z.object({ n: z.int().catch(0) }), { n: "7" }, 'data.n: the schema changes "7" into 0'],
    ["catches nothing there", z.object({ n: z.int().catch(0) }), {}, "data.n: the schema fills in 0"],
    ["catches with undefined", z.object({ n: z.int().optional().catch(undefined) }), { n: "7" }, 'data.n: the schema changes "7" into undefined'],
    ["falls back, with valibot", v.object({ n: v.fallback(v.number(), 0) }), { n: "7" }, 'data.n: the schema changes "7" into 0'],
    ["transforms", z.object({ n: z.number().transform(Math.abs) }), { n: -5 }, "data.n: the schema changes -5 into 5"],
    ["rounds", z.object({ n: z.number().overwrite(Math.round) }), { n: 1.5 }, "data.n: the schema changes 1.5 into 2"],
    ["coerces", z.object({ n: z.coerce.number() }), { n: "5" }, 'data.n: the schema changes "5" into 5'],
    ["has a default", z.object({ n: z.int().default(1) }), {}, "data.n: the schema fills in 1"],
    ["has a default deep inside", z.object({ a: z.array(z.object({ n: z.int().default(1) })) }), { a: [{ n: 2 }, {}] }, "data.a.1.n: the schema fills in 1"],
    ["shortens a list", z.object({ a: z.array(z.int()).transform((a) => a.slice(1)) }), { a: [1, 2] }, "data.a: the schema changes a list into a list"],
    ["makes a date", z.object({ at: z.coerce.date() }), { at: "2026-01-01" }, 'data.at: the schema changes "2026-01-01" into an object of class Date'],
    ["makes a map", giving(new Map()), { a: 1 }, "data: the schema changes an object into an object of class Map"],
    ["makes an object of a list", giving({}), [1], "data: the schema changes a list into an object"],
    ["makes a list of an object", giving([]), {}, "data: the schema changes an object into a list"],
    ["makes a bigint", giving(7n), 7, "data: the schema changes 7 into 7n"],
    ["gives no number", giving(Number.NaN), 7, "data: the schema changes 7 into NaN"],
    ["gives nothing", giving(undefined), 7, "data: the schema changes 7 into undefined"],
    ["renames a member", z.record(z.string().trim(), z.int()), { " a ": 1 }, "data.a: the schema fills in 1"],
    ["fills in what all objects have", giving({ constructor: "x" }), {}, 'data.constructor: the schema fills in "x"'],
  ])("that %s rejects what it would change", (_, schema, data, why) => {
    expect(flawOf(schema, data)).toBe(`${why}, but a schema only checks: send it as it should be`);
  });

  it.each<[string, Schema, unknown]>([
    ["trims", z.object({ account: z.string().trim() }), { account: "ada" }],
    ["catches", z.object({ n: z.int().catch(0) }), { n: 7 }],
    ["coerces", z.object({ n: z.coerce.number() }), { n: 5 }],
    ["has a default", z.object({ n: z.int().default(1) }), { n: 2 }],
    ["strips members", z.object({ n: z.int() }), { n: 2, more: { deep: [1] } }],
    ["strips members inside", v.object({ a: v.array(v.object({ n: v.number() })) }), { a: [{ n: 1, more: 2 }] }],
    ["leaves out what is optional", z.object({ n: z.int().optional() }), {}],
    ["takes anything", z.unknown(), { a: [null, { b: "c" }] }],
    ["gives a copy", giving(structuredClone({ a: [null, { b: -0.5 }] })), { a: [null, { b: -0.5 }] }],
  ])("that %s takes what it leaves as it is", (_, schema, data) => {
    expect(flawOf(schema, data)).toBeNull();
  });

  it("says what it can of long values and paths", () => {
    const schema = z.object({ ["x".repeat(500)]: z.string().toUpperCase() });
    const said = flawOf(schema, { ["x".repeat(500)]: "y".repeat(500) })!;
    expect(said.length).toBeLessThan(420);
    expect(said).toMatch(/^data\.x+: the schema changes "y+… into "Y+…, but/);
  });
});

it("issues, a schema that throws and one that is asynchronous are told apart", () => {
  expect(flawOf(z.object({ n: z.int() }), { n: "x" })).toMatch(/^data\.n: /);
  const throws = { "~standard": { ...giving(1)["~standard"], validate: (): never => { throw new Error("asynchronous, it says"); } } }; // prettier-ignore
  expect(flawOf(throws, 1)).toBe("the schema threw: asynchronous, it says");
  const waits = { "~standard": { ...giving(1)["~standard"], validate: () => Promise.reject(new Error("later")) } };
  expect(() => flawOf(waits, 1)).toThrow(/asynchronous; use a synchronous one/);
});

describe("data that would be changed in place", () => {
  const inPlace = (change: (data: { n: number }) => void): Schema => ({
    "~standard": { version: 1, vendor: "test", validate: (data) => (change(data as { n: number }), { value: data }) },
  });

  it("is rejected, by the schema's own error", () => {
    const abs = inPlace((data) => (data.n = Math.abs(data.n)));
    expect(flawOf(abs, { n: -5 })).toMatch(/^the schema threw: Cannot assign to read only property 'n'/);
    const deep = inPlace((data) => (data as unknown as { a: [{ n: number }] }).a[0].n++);
    expect(flawOf(deep, { a: [{ n: 1 }] })).toMatch(/^the schema threw: Cannot assign/);
    expect(
      flawOf(
        inPlace(() => undefined),
        Object.freeze({ n: 1 }),
      ),
    ).toBeNull();
  });

  it("nor does a key function change it", async () => {
    const accounts = operator("accounts", {
      version: 1,
      events: { paid: z.object({ account: z.string() }) },
      key: (event) => (event.data.account = event.data.account.trim()),
      initial: () => ({ n: 0 }),
      on: { paid: (state) => void (state.n += 1) },
    });
    await given(accounts, [])
      .when({ type: "paid", data: { account: " ada " } })
      .expectRejection("missing_key");
  });
});

it('" ada " becomes no account beside "ada"', async () => {
  const accounts = operator("accounts", {
    version: 1,
    events: { paid: z.object({ account: z.string().trim().min(1), n: z.int().catch(0) }) },
    key: (event) => event.data.account,
    initial: () => ({ sum: 0 }),
    on: { paid: (state, event) => void (state.sum += event.data.n) },
  });
  const paid = given(accounts, [{ type: "paid", data: { account: "ada", n: 1 } }]);
  await paid.when({ type: "paid", data: { account: " ada ", n: 1 } }).expectRejection("invalid_data");
  await paid.when({ type: "paid", data: { account: "ada", n: "2" as never } }).expectRejection("invalid_data");
  expect(await paid.states()).toEqual({ ada: { sum: 1 } });
});
