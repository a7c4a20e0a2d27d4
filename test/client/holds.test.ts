/** Members that an answer must hold (src/client/holds.ts), beside the routes' descriptions (src/worker/api). */
import { describe, expect, it } from "vitest";
import { HOLDS, type Shape } from "../../src/client/holds.ts";
import type { Described, Schema } from "../../src/worker/api/described.ts";
import { DESCRIBED, NAMED_SCHEMAS } from "../../src/worker/api/table.ts";

const REF = "#/components/schemas/";
const resolved = (schema: Schema): Schema => {
  const { $ref: to } = schema as { readonly $ref?: string };
  return to === undefined ? schema : NAMED_SCHEMAS[to.slice(REF.length)]!;
};

/** The forms that a described value may have: those of `anyOf`, and the value itself. */
function formsOf(schema: Schema): Schema[] {
  const { anyOf } = resolved(schema) as { readonly anyOf?: readonly Schema[] };
  return anyOf === undefined ? [resolved(schema)] : anyOf.flatMap(formsOf);
}

const WORDS: Readonly<Record<Extract<Shape, string>, (schema: Schema) => boolean>> = {
  anything: () => true,
  true: ({ type, const: value }) => value === true || type === "boolean",
  false: ({ type, const: value }) => value === false || type === "boolean",
  "a boolean": ({ type, const: value }) => type === "boolean" || typeof value === "boolean",
  "a number": ({ type }) => type === "integer" || type === "number",
  "a whole number": ({ type }) => type === "integer",
  "a number or null": ({ type }) => type === "integer" || type === "number" || type === "null",
  "a text": ({ type, enum: values, const: value }) =>
    type === "string" || typeof value === "string" || (Array.isArray(values) && typeof values[0] === "string"),
  "a text or null": ({ type }) => type === "string" || type === "null",
};

/** Members that the shape asks for and no form of the schema promises. `asked`: members that a parameter asks for. */
function unpromised(shape: Shape, schema: Schema, at: string, asked: readonly string[] = []): string[] {
  const forms = formsOf(schema);
  if (typeof shape === "string") return forms.some((form) => WORDS[shape](form)) ? [] : [`${at} is ${shape}`];
  if (typeof shape === "function") {
    // With and without what it looks at.
    return [{}, { equal: true }, { unreadable: "x" }].flatMap((given) =>
      unpromised(shape(given, given), schema, at, asked),
    );
  }
  if (Array.isArray(shape)) {
    const lists = forms.filter(({ type }) => type === "array");
    if (lists.length === 0) return [`${at} is a list`];
    return unpromised(shape[0] as Shape, lists[0]!["items"] as Schema, `${at}[]`);
  }
  const names = Object.keys(shape);
  const found = forms
    .filter(({ type }) => type === "object" || type === undefined)
    .map((form) => {
      const { properties = {}, required = [] } = form as {
        readonly properties?: Readonly<Record<string, Schema>>;
        readonly required?: readonly string[];
      };
      // A value that is described as anything may have any members.
      if (form["type"] === undefined) return [];
      return names.flatMap((name) => {
        const bare = name.replace(/\?$/, "");
        const described = properties[bare];
        if (described === undefined) return [`${at}.${bare} is described`];
        const promised =
          bare !== name || required.includes(bare) || asked.includes(bare) ? [] : [`${at}.${bare} is always there`];
        return [...promised, ...unpromised((shape as Record<string, Shape>)[name]!, described, `${at}.${bare}`)];
      });
    });
  return found.sort((a, b) => a.length - b.length)[0] ?? [`${at} is an object`];
}

/** Members that the schema describes and the shape doesn't hold. */
function unheld(shape: Shape, schema: Schema, at: string): string[] {
  if (typeof shape === "string" || typeof shape === "function") return [];
  const [form] = formsOf(schema) as [Schema];
  if (Array.isArray(shape)) return unheld(shape[0] as Shape, form["items"] as Schema, `${at}[]`);
  const members = shape as Readonly<Record<string, Shape>>;
  const { properties, required } = form as {
    readonly properties: Readonly<Record<string, Schema>>;
    readonly required: readonly string[];
  };
  return Object.entries(properties).flatMap(([name, described]) => {
    const held = members[required.includes(name) ? name : `${name}?`];
    return held === undefined ? [`${at}.${name}`] : unheld(held, described, `${at}.${name}`);
  });
}

const routeOf = (method: string, path: string): Described | undefined =>
  DESCRIBED.find((route) => route.method === method && route.path === path.split("?")[0]);

describe("what an answer must hold", () => {
  it.each(HOLDS.map(([method, path, shape]) => [`${method} ${path}`, method, path, shape] as const))(
    "%s: no more than the route is described to answer",
    (_, method, path, shape) => {
      const route = routeOf(method, path);
      const schema = Object.entries(route?.answers ?? {}).find(([status]) => status.startsWith("2"))?.[1].schema;
      expect(schema).toBeDefined();
      const parameters = path.split("?")[1]?.split("&") ?? [];
      expect(unpromised(shape, schema!, "it", parameters)).toEqual([]);
    },
  );

  it("GET /v1/operators/:op/quarantine and its kind: all that the route is described to answer", () => {
    const ofQuarantine = HOLDS.filter(([, path]) => path.includes("/quarantine"));
    expect(ofQuarantine.length).toBeGreaterThanOrEqual(6);
    for (const [method, path, shape] of ofQuarantine) {
      const { schema } = routeOf(method, path)!.answers[200]!;
      expect([path, unheld(shape, schema!, "it")]).toEqual([path, []]);
    }
  });

  it("is a stamp too, of every route that takes a moment", () => {
    const moments = DESCRIBED.filter(({ inQuery, answers }) => "at" in inQuery && answers[200]?.type === undefined);
    const known = HOLDS.filter(([, path]) => /[?&]at$/.test(path));
    expect(known.every(([, , shape]) => (shape as { readonly at?: Shape }).at === "a whole number")).toBe(true);
    const paths = new Set(known.map(([method, path]) => `${method} ${path.split("?")[0]}`));
    expect([...paths, "GET /v1/operators/:op/state/*"].sort()).toEqual(
      moments.map(({ method, path }) => `${method} ${path}`).sort(),
    );
  });

  it("is known of every route that answers JSON, but for those that nobody asks in code", () => {
    const json = DESCRIBED.filter(({ answers }) =>
      Object.entries(answers).some(([status, { type, schema }]) => status < "300" && schema !== undefined && !type),
    );
    const unknown = json.filter(
      ({ method, path }) => !HOLDS.some(([verb, template]) => verb === method && template.split("?")[0] === path),
    );
    expect(unknown.map(({ path }) => path)).toEqual(["/v1/operators/:op/state/*", "/openapi.json"]);
  });
});
