/** The OpenAPI document and the page that is made of it, in plain Node. */
import { Validator } from "@seriousme/openapi-schema-validator";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { operator, type Operator } from "../../src/engine/operator/operator.ts";
import { operators } from "../../src/operators/index.ts";
import { readParam, type TextParam, type Whole } from "../../src/worker/api/described.ts";
import { DESCRIBED } from "../../src/worker/api/table.ts";
import { curlOf, docsPage } from "../../src/worker/api/docs-page.ts";
import { openApi, type Document, type Operation } from "../../src/worker/api/openapi.ts";
import { checker } from "./schemas.ts";

interface Tree {
  readonly of: string;
  readonly parts: readonly Tree[];
}
const tree: z.ZodType<Tree, Tree> = z.object({
  of: z.string(),
  get parts() {
    return z.array(tree);
  },
});

const odd = operator("odd", {
  version: 3,
  migrate: { 2: (old) => old, 3: (old) => old },
  events: {
    "a/b c": z.object({ n: z.int() }),
    "a_b c": z.object({ n: z.string() }),
    '<script>alert("x")</script>': z.string(),
    tree: tree,
    foreign: v.object({ n: v.number() }),
    unsayable: z.custom<string>((value) => value === "only this"),
    nothing: z.null(),
  },
  initial: () => 0,
  on: {
    "a/b c": () => undefined,
    "a_b c": () => undefined,
    '<script>alert("x")</script>': () => undefined,
    tree: () => undefined,
    foreign: () => undefined,
    unsayable: () => undefined,
    nothing: () => undefined,
  },
});

const APPS: readonly (readonly [string, readonly Operator[]])[] = [
  ["the operators of this app", operators],
  ["none", []],
  ["types and schemas of all kinds", [odd, ...operators]],
];

const operationsOf = ({ paths }: Document): readonly (readonly [string, Operation])[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );

describe.each(APPS)("the document, with %s", (_, app) => {
  const document = openApi(app);

  it("is valid OpenAPI 3.1", async () => {
    const validator = new Validator();
    const found = await validator.validate(structuredClone(document));
    expect(found.errors ?? []).toEqual([]);
    expect(found.valid).toBe(true);
    expect(validator.version).toBe("3.1");
  });

  it("refers to nothing that isn't there", () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, to]) => to!,
    );
    expect(refs.length).toBeGreaterThan(20);
    const names = Object.keys(document.components.schemas);
    expect(refs.filter((to) => !names.includes(to))).toEqual([]);
    expect(names.filter((name) => !/^[a-zA-Z0-9._-]+$/.test(name))).toEqual([]);
  });

  it("has examples that fit their schemas", () => {
    let seen = 0;
    for (const [at, { requestBody }] of operationsOf(document))
      for (const [type, { schema, example }] of Object.entries(requestBody?.content ?? {})) {
        if (example === undefined) continue;
        expect(checker(document, schema!)(example), `${at} ${type}`).toBeNull();
        seen += 1;
      }
    expect(seen).toBeGreaterThan(5);
    for (const route of DESCRIBED)
      for (const [name, param] of Object.entries({ ...route.inPath, ...route.inQuery }))
        if (param.example !== undefined)
          expect(readParam(param, String(param.example)), `${route.id} ${name}`).toBe(param.example);
  });

  it("names each operation once", () => {
    const ids = operationsOf(document).map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBe(DESCRIBED.length);
  });
});

describe("types that generators make", () =>
  it.each(["Event", "CloudEvent"])(
    "can carry an event: what holds for all members of %s holds for its data",
    (name) => {
      const { additionalProperties } = openApi(operators).components.schemas[name] as {
        readonly additionalProperties: Readonly<Record<string, unknown>>;
      };
      expect(Object.keys(additionalProperties)).toEqual(["description"]);
    },
  ));

describe("an operator's events", () => {
  const document = openApi([odd, ...operators]);
  const fits = (event: unknown): boolean => checker(document, { $ref: "#/components/schemas/Event" })(event) === null;

  it("are described by its own schemas, where those can say so", () => {
    const { odd: _, credits } = Object.fromEntries(document["x-operators"].map((one) => [one.name, one]));
    expect(Object.keys(credits!.events)).toEqual(["credits.bought", "credits.take", "account.closed"]);
    expect(document.components.schemas["credits.credits.bought"]).toMatchObject({
      type: "object",
      properties: { account: { type: "string", minLength: 1 }, n: { type: "integer" } },
    });
  });

  it("come to different names, whatever characters their types have", () => {
    expect(document["x-operators"][0]!.events).toMatchObject({
      "a/b c": { $ref: "#/components/schemas/odd.a_b_c" },
      "a_b c": { $ref: "#/components/schemas/odd.a_b_c.2" },
    });
  });

  it("are any where their schema can't be said as JSON Schema", () => {
    for (const name of ["odd.foreign", "odd.unsayable"])
      expect(Object.keys(document.components.schemas[name]!), name).toEqual(["description"]);
  });

  it("say where their key comes from", () => {
    const keys = Object.fromEntries(document["x-operators"].map(({ name, key }) => [name, key]));
    expect(keys["odd"]).toMatch(/partitionkey/);
    expect(keys["credits"]).toMatch(/function/);
  });

  it.each([
    [{ type: "credits.bought", data: { account: "ada", n: 5 } }, true],
    [{ type: "credits.bought", data: { account: "ada", n: 0 } }, false],
    [{ type: "credits.bought", data: { account: "ada" } }, false],
    [{ type: "credits.bought" }, false],
    [{ type: "nothing" }, true],
    [{ type: "nothing", data: 1 }, false],
    [{ type: "tree", data: { of: "a", parts: [{ of: "b", parts: [] }] } }, true],
    [{ type: "tree", data: { of: "a", parts: [{ of: 1, parts: [] }] } }, false],
    [{ type: "foreign", data: { n: "any" } }, true],
    [{ type: "of nobody", data: 1 }, true],
    [{ data: 1 }, false],
    [{ type: "" }, false],
    [{ type: "of nobody", id: null, subject: null, weight: 1.5 }, true],
    [{ type: "of nobody", id: 7 }, false],
    // Refused by the app: the document says so in words alone.
    [{ type: "of nobody", extension: {} }, true],
  ])("%j fits: %j", (event, expected) => expect(fits(event)).toBe(expected));
});

describe("a parameter is read as it is described", () => {
  const whole: Whole = { type: "integer", minimum: 1, maximum: 1000, about: "" };
  const text: TextParam = { type: "string", pattern: "^[a-z]+$", maxLength: 3, about: "" };
  const one: TextParam = { type: "string", enum: ["main"], about: "" };
  it.each([
    [whole, "1", 1],
    [whole, "1000", 1000],
    [whole, "0", null],
    [whole, "1001", null],
    [whole, "01", null],
    [whole, "1.0", null],
    [whole, "1e2", null],
    [whole, "-1", null],
    [whole, " 1", null],
    [whole, "", null],
    [whole, "9".repeat(400), null],
    [text, "abc", "abc"],
    [text, "abcd", null],
    [text, "aB", null],
    [text, "a\n", null],
    [text, "", null],
    [one, "main", "main"],
    [one, "mai", null],
  ])("%j: %j is %j", (param, given, expected) => expect(readParam(param, given)).toBe(expected));
});

describe("the page", () => {
  const document = openApi([odd, ...operators]);
  const page = async (): Promise<readonly [string, Response]> => {
    const response = await docsPage(document, "https://app.example");
    return [await response.text(), response];
  };

  it("has no script, and loads nothing", async () => {
    const [html, response] = await page();
    expect(html).not.toMatch(/<(script|link|img|iframe|object|embed|form|base)\b/i);
    expect(html).not.toMatch(/\s(src|srcset|style|on\w+)=/i);
    expect(html).not.toMatch(/url\(|@import/i);
    const policy = response.headers.get("content-security-policy")!;
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}=';/);
    expect(policy).not.toContain("unsafe");
  });

  it("has the style that its policy allows", async () => {
    const [html, response] = await page();
    const style = /<style>([^]*?)<\/style>/.exec(html)![1]!;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
    expect(response.headers.get("content-security-policy")).toContain(Buffer.from(digest).toString("base64"));
  });

  it("links to what is there", async () => {
    const [html] = await page();
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...html.matchAll(/\shref="([^"]+)"/g)].map(([, to]) => to!);
    expect(links.length).toBeGreaterThan(50);
    expect(links.filter((to) => to !== "/openapi.json" && !ids.includes(to.slice(1)))).toEqual([]);
  });

  it("shows every route, with a call of it, and every event type", async () => {
    const [html] = await page();
    for (const [, { operationId }] of operationsOf(document)) expect(html).toContain(`<section id="${operationId}">`);
    expect(html.split("curl ").length - 1).toBe(DESCRIBED.length);
    expect(html).toContain("credits.bought");
    expect(html).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;");
  });

  it("quotes for a shell", () => {
    const operation = document.paths["/v1/events"]!["post"]!;
    const content = { "application/json": { example: { data: "it's; $(rm)" } } };
    const text = curlOf(
      { method: "POST", path: "/v1/events", operation: { ...operation, requestBody: { required: true, content } } },
      "https://app.example",
    );
    expect(text).toContain(`--data '{"data":"it'\\''s; $(rm)"}'`);
  });
});
