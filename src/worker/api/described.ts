/**
 * What a route is, as data: the same description lets the request in, reads its parameters, and is shown in the document (openapi.ts).
 *
 * DESCRIBED1. A route's method, path and role stand here and nowhere else: routes.ts registers what is described.
 * DESCRIBED2. A parameter with a `flaw` reaches its handler read, or not at all. One without is read by its handler, which knows more
 *     (the bytes of a key, the cursors that a list gives), or takes any text.
 * DESCRIBED3. Answers are described as open: clients must take members that they don't know. Tests read the same schemas as closed.
 */
import type { Problem } from "../problem.ts";

/** JSON Schema 2020-12, as it stands in an OpenAPI 3.1 document. */
export type Schema = Readonly<Record<string, unknown>>;

/** The answer to what doesn't fit. `at`: the parameters of the path. */
type Flaw = Pick<Problem, "status" | "code"> & {
  readonly detail: string | ((given: string, at: Readonly<Record<string, string>>) => string);
};

interface Told {
  readonly about: string;
  readonly example?: string | number;
  readonly flaw?: Flaw;
}

export interface TextParam extends Told {
  readonly type: "string";
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface Whole extends Told {
  readonly type: "integer";
  readonly minimum: number;
  readonly maximum: number;
}

/** A handler that is promised a number must never get a text. */
export interface WholeParam extends Whole {
  readonly flaw: Flaw;
}

export type Param = TextParam | WholeParam;
export type Params = Readonly<Record<string, Param>>;
/** Headers are read by the handlers. */
export type HeaderParams = Readonly<Record<string, TextParam | Whole>>;

type Value<P extends Param> = P extends WholeParam ? number : string;
/** The parameters of a request, read: those of the path are there, those of the query where they were sent. */
export type Given<P extends Params, Q extends Params> = { readonly [N in keyof P]: Value<P[N]> } & {
  readonly [N in keyof Q]: Value<Q[N]> | undefined;
};

export interface Body {
  readonly schema?: Schema;
  readonly example?: unknown;
}

export interface Answer {
  readonly about: string;
  readonly schema?: Schema;
  /** Default: application/json. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Codes of the problem document; "any": an operator's own. */
export type Codes = readonly string[] | "any";

export interface Described<P extends Params = Params, Q extends Params = Params> {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** As hono has it: `:name`, and `*` at the end for a key with slashes. */
  readonly path: string;
  /** Whose token opens it; null: everybody's. */
  readonly role: "ingest" | "read" | "metrics" | "admin" | null;
  readonly group: string;
  /** Stable: generated clients are named after it. */
  readonly id: string;
  readonly summary: string;
  readonly about?: string;
  /** Beside `op` and `n`, which a path has where it names them. */
  readonly inPath: P;
  readonly inQuery: Q;
  readonly inHeaders?: HeaderParams;
  /** By media type. */
  readonly body?: Readonly<Record<string, Body>>;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those of the parameters and those that every route has. */
  readonly problems?: Readonly<Record<number, Codes>>;
  /** Further members of its problem documents. */
  readonly more?: Schema;
  /** It works on an operator that D1 has lost, so the name alone must be known. */
  readonly unplaced?: true;
}

/** Keeps the types of the parameters. */
export const described = <const P extends Params, const Q extends Params>(route: Described<P, Q>): Described<P, Q> =>
  route;

/** Whether the path has the parameter, as a part of its own. */
export const hasPart = (path: string, name: string): boolean => path.split("/").includes(`:${name}`);

/** The value that a text is read as; null where the parameter can't have it. */
export function readParam(param: TextParam | Whole, text: string): string | number | null {
  if (param.type === "integer") {
    const value = Number(text);
    const whole = /^(0|[1-9]\d{0,15})$/.test(text);
    return whole && value >= param.minimum && value <= param.maximum ? value : null;
  }
  const { pattern, enum: values, minLength = 0, maxLength = Number.POSITIVE_INFINITY } = param;
  if (text.length < minLength || text.length > maxLength) return null;
  if (values !== undefined && !values.includes(text)) return null;
  return pattern === undefined || new RegExp(pattern, "u").test(text) ? text : null;
}

/** What its parameters were read as, or the first one that doesn't fit (DESCRIBED2). `sent`: null where it wasn't. */
export function readParams(
  params: Params,
  sent: (name: string) => string | undefined,
  at: Readonly<Record<string, string>>,
): { readonly given: Readonly<Record<string, string | number>> } | { readonly flaw: Problem } {
  const given: Record<string, string | number> = {};
  for (const [name, param] of Object.entries(params)) {
    const text = sent(name);
    if (text === undefined) continue;
    const value = readParam(param, text);
    if (value !== null) given[name] = value;
    else if (param.flaw !== undefined) {
      const { status, code, detail } = param.flaw;
      return { flaw: { status, code, detail: typeof detail === "string" ? detail : detail(text, at) } };
    } else given[name] = text;
  }
  return { given };
}
