/**
 * The OpenAPI 3.1 document: the descriptions that routes.ts registers (api/), and the schemas of the operators' events.
 *
 * OPENAPI1. The document holds only the content of descriptions and operators: no route is written by hand.
 * OPENAPI2. An event's data is described by the operator's own schema if it has a JSON Schema (Standard JSON Schema:
 *     zod, arktype, …). Else the data may be any JSON.
 */
import type { StandardJSONSchemaV1 } from "@standard-schema/spec";
import { usesDefaultKey, type Operator } from "../../engine/operator/operator.ts";
import { KEY, OP, PARTITION, TIMELINE, UNAVAILABLE } from "./common.ts";
import {
  changesLine,
  hasPart,
  type DescribedAnswer,
  type Codes,
  type Described,
  type Schema,
  type TextParam,
  type Whole,
} from "./described.ts";
import { OPENAPI_VERSION } from "./service.ts";
import { ref } from "./schemas.ts";
import { DESCRIBED, NAMED_SCHEMAS } from "./table.ts";

export type Document = ReturnType<typeof openApi>;

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly required?: true;
  readonly schema: Schema;
  readonly example?: string | number;
}

type Content = Readonly<Record<string, { readonly schema?: Schema; readonly example?: unknown }>>;

export interface Reply {
  readonly description: string;
  readonly headers?: Schema;
  readonly content?: Content;
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, Reply>>;
}

export function openApi(operators: readonly Operator[]) {
  const data = dataSchemas(operators);
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of DESCRIBED)
    (paths[templateOf(route.path)] ??= {})[route.method.toLowerCase()] = operation(route, operators);
  return {
    openapi: OPENAPI_VERSION,
    info: {
      title: "Keyframe",
      version: "1",
      summary: "Stateful stream processing that never loses its place.",
      description:
        "JSON in, JSON out. Every error is a problem document (RFC 9457) with `type`, `title`, `status`, `detail` and `code`; `code` is stable. Clients must take members and codes that they don't know.",
    },
    servers: [{ url: "/" }],
    tags: [...new Set(DESCRIBED.map(({ group }) => group))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: Object.fromEntries(
        Object.entries(TOKENS).map(([name, description]) => [name, { type: "http", scheme: "bearer", description }]),
      ),
      schemas: allSchemas(data),
    },
    "x-operators": operators.map((operator) => ({
      name: operator.name,
      version: operator.version,
      key: usesDefaultKey(operator) ? DEFAULT_KEY : OWN_KEY,
      events: Object.fromEntries(
        data.filter((one) => one.operator === operator.name).map((one) => [one.type, ref(one.name)]),
      ),
    })),
  };
}

const DEFAULT_KEY = "`key` (short for `partitionkey`), else `subject`";
const OWN_KEY = "by a function of the operator, from the event";

const TOKENS = {
  ingest: "INGEST_TOKEN: send and ask.",
  read: "READ_TOKEN: operators and their state.",
  metrics: "METRICS_TOKEN: /metrics.",
  admin: "ADMIN_TOKEN: all routes.",
} as const;

/** Returns a path in the syntax of OpenAPI. */
export const templateOf = (path: string): string => path.replaceAll(/:(\w+)/g, "{$1}").replace(/\*$/, "{key}");

function operation(route: Described, operators: readonly Operator[]): Operation {
  const { method, role, group, id, summary, about, body } = route;
  return {
    operationId: id,
    tags: [group],
    summary,
    ...(about === undefined ? {} : { description: about }),
    security: role === null ? [] : role === "admin" ? [{ admin: [] }] : [{ [role]: [] }, { admin: [] }],
    parameters: parameters(route, operators),
    ...(body === undefined || method === "GET" ? {} : { requestBody: { required: true as const, content: body } }),
    responses: responses(route),
  };
}

type Told = TextParam | Whole;

/** Returns the parameters of the path: the route's own, and the ones that any path may name. */
function inPath({ path, inPath: own }: Described): Readonly<Record<string, Told>> {
  return {
    ...(hasPart(path, "op") ? { op: OP } : {}),
    ...(hasPart(path, "n") ? { n: PARTITION } : {}),
    ...(path.endsWith("*") ? { key: KEY_IN_PATH } : {}),
    ...own,
  };
}
const KEY_IN_PATH: Told = { ...KEY, about: "The key, percent-encoded." };

function parameters(route: Described, operators: readonly Operator[]): readonly Parameter[] {
  const names = operators.map(({ name }) => name);
  const parameter =
    (place: Parameter["in"]) =>
    (entry: readonly [string, Told]): Parameter => {
      const [name, { about, example, flaw: _, ...schema }] = entry;
      const known = name === "op" && names.length > 0 ? { ...schema, enum: names } : schema;
      const sample = name === "op" ? names[0] : example;
      return {
        name,
        in: place,
        description: about,
        ...(place === "path" ? { required: true as const } : {}),
        schema: known,
        ...(sample === undefined ? {} : { example: sample }),
      };
    };
  return [
    ...Object.entries(inPath(route)).map(parameter("path")),
    ...Object.entries({
      ...route.inQuery,
      ...(route.role === null || route.mainOnly === true ? {} : { timeline: TIMELINE }),
    }).map(parameter("query")),
    ...Object.entries(route.inHeaders ?? {}).map(parameter("header")),
  ];
}

function responses(route: Described): Operation["responses"] {
  const good = Object.entries(route.answers).map(([status, answer]) => [status, response(answer)] as const);
  const bad = Object.entries(problemsOf(route)).map(
    ([status, codes]) => [status, trouble(Number(status), codes, route.more)] as const,
  );
  return Object.fromEntries([...good, ...bad]);
}

const response = ({ about, schema, type = "application/json", headers }: DescribedAnswer): Reply => ({
  description: about,
  ...(headers === undefined
    ? {}
    : {
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: "string" } }]),
        ),
      }),
  ...(schema === undefined ? {} : { content: { [type]: { schema } } }),
});

/** Returns the failures that a route may answer: its own, those of its parameters, and those of every route. */
function problemsOf(route: Described): Readonly<Record<number, Codes>> {
  const { role, path, unplaced } = route;
  const all = new Map<number, Set<string> | "any">();
  const add = (status: number, codes: Codes): void => {
    const known = all.get(status) ?? new Set();
    all.set(status, codes === "any" || known === "any" ? "any" : new Set([...known, ...codes]));
  };
  for (const [status, codes] of Object.entries(route.problems ?? {})) add(Number(status), codes);
  for (const { flaw } of Object.values({ ...route.inPath, ...route.inQuery })) if (flaw) add(flaw.status, [flaw.code]);
  if (role !== null) {
    add(400, ["unsupported_parameter"]);
    add(401, ["no_token", "bad_token", "closed", "unknown_caller"]);
    add(403, ["wrong_role", "origin_not_allowed", "key_not_allowed"]);
    if (route.mainOnly !== true) add(404, ["no_timeline"]);
    if (changesLine(route)) add(409, ["timeline_sealed", "timeline_replays"]);
    if (route.mainOnly !== true) add(409, ["timeline_unstarted"]);
    add(500, ["internal_error"]);
    add(503, Object.keys(UNAVAILABLE));
  }
  if (hasPart(path, "op")) add(404, ["no_operator"]);
  if (hasPart(path, "n") && unplaced !== true) add(404, ["no_partition"]);
  return Object.fromEntries([...all].map(([status, codes]) => [status, codes === "any" ? codes : [...codes]]));
}

function trouble(status: number, codes: Codes, more: Schema | undefined): Reply {
  // Every route has these, so one place describes them.
  const usual = status === 503 && codes !== "any" && codes.every((code) => Object.hasOwn(UNAVAILABLE, code));
  const narrowed = usual ? [ref("Unavailable")] : codes === "any" ? [] : [{ properties: { code: { enum: codes } } }];
  const schema = { allOf: [ref("Problem"), ...narrowed, ...(more === undefined ? [] : [more])] };
  return {
    description: usual ? "Send it again after `Retry-After`; the codes are those of `Unavailable`." : inWords(codes),
    ...(status === 503 ? { headers: { "Retry-After": { description: "Seconds.", schema: { type: "string" } } } } : {}),
    content: { "application/problem+json": { schema } },
  };
}

const inWords = (codes: Codes): string =>
  codes === "any" ? "The code is the operator's own, or `id_reused`." : codes.map((code) => `\`${code}\``).join(", ");

/** The data of one event type, for one operator. */
interface Data {
  readonly operator: string;
  readonly type: string;
  /** The name in the document. */
  readonly name: string;
  readonly schema: Schema;
}

function dataSchemas(operators: readonly Operator[]): readonly Data[] {
  const taken = new Set(Object.keys(NAMED_SCHEMAS));
  return operators.flatMap((operator) =>
    Object.entries(operator.events).map(([type, schema]) => {
      // Types may have any character, names in the document may not. So two types may get the same name.
      const plain = `${operator.name}.${type}`.replaceAll(/[^A-Za-z0-9._-]/g, "_");
      let name = plain;
      for (let n = 2; taken.has(name); n++) name = `${plain}.${n}`;
      taken.add(name);
      return { operator: operator.name, type, name, schema: jsonSchema(schema, name) };
    }),
  );
}

const allSchemas = (data: readonly Data[]): Readonly<Record<string, Schema>> => ({
  ...NAMED_SCHEMAS,
  Event: withData("Event", data),
  CloudEvent: withData("CloudEvent", data),
  ...Object.fromEntries(data.map(({ name, schema }) => [name, schema])),
});

function jsonSchema(schema: Operator["events"][string], name: string): Schema {
  const standard = schema["~standard"] as Partial<StandardJSONSchemaV1.Props>;
  try {
    const said = standard.jsonSchema?.input({ target: "draft-2020-12" });
    if (said === undefined) return UNKNOWN;
    const { $schema: _, ...rest } = said;
    // A reference points into the schema itself. Without an `$id` it would point into the document.
    return JSON.stringify(rest).includes('"$ref"') ? { $id: `urn:keyframe:data:${name}`, ...rest } : rest;
  } catch {
    return UNKNOWN;
  }
}
const UNKNOWN: Schema = { description: "Checked by the operator's schema, which can't be shown as JSON Schema." };

/**
 * Describes an event's data by its type, with a rule of each operator that wants it. Types that no operator wants are
 * allowed here.
 */
function withData(name: string, data: readonly Data[]): Schema {
  const rules = data.map(({ type, name: of, schema }) => ({
    anyOf: [
      { properties: { type: { not: { const: type } } } },
      // Missing data counts as null.
      { properties: { data: ref(of) }, ...(takesNull(schema) ? {} : { required: ["data"] }) },
    ],
  }));
  return { ...NAMED_SCHEMAS[name], ...(rules.length === 0 ? {} : { allOf: rules }) };
}

const takesNull = ({ type }: Schema): boolean => typeof type !== "string" || type === "null";
