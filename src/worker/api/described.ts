/**
 * Routes as data. The same description lets the request in, reads its parameters, and is shown in the document
 * (openapi.ts).
 *
 * DESCRIBED1. A route's method, path and role are described here and nowhere else: routes.ts registers the
 *     descriptions.
 * DESCRIBED2. A parameter with a `flaw` is read before its handler runs, or the request is refused. A parameter without
 *     one is read by its handler, which knows more (the bytes of a key, the cursors that a list gives), or takes any
 *     text.
 * DESCRIBED3. Answers are described as open: clients must accept members that they don't know. Tests read the same
 *     schemas as closed.
 */
import type { ProblemParts } from "../problem.ts";

/** JSON Schema 2020-12, as in an OpenAPI 3.1 document. */
export type Schema = Readonly<Record<string, unknown>>;

/** The answer to a parameter that doesn't fit. `at`: the parameters of the path. */
type Flaw = Pick<ProblemParts, "status" | "code"> & {
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

/** A whole number. A handler that is typed for a number must never get a text. */
export interface WholeParam extends Whole {
  readonly flaw: Flaw;
}

type Param = TextParam | WholeParam;
export type Params = Readonly<Record<string, Param>>;
/** Headers are read by the handlers. */
export type HeaderParams = Readonly<Record<string, TextParam | Whole>>;

type Value<P extends Param> = P extends WholeParam ? number : string;
/**
 * The parameters of a request, after reading. Those of the path are always there, those of the query if they were sent.
 */
export type RequestParams<P extends Params, Q extends Params> = { readonly [N in keyof P]: Value<P[N]> } & {
  readonly [N in keyof Q]: Value<Q[N]> | undefined;
};

export interface Body {
  readonly schema?: Schema;
  readonly example?: unknown;
}

export interface DescribedAnswer {
  readonly about: string;
  readonly schema?: Schema;
  /** Default: application/json. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Codes of the problem document. "any" stands for an operator's own codes. */
export type Codes = readonly string[] | "any";

export interface Described<P extends Params = Params, Q extends Params = Params> {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** In the syntax of hono: `:name`, and `*` at the end for a key with slashes. */
  readonly path: string;
  /** The token that opens the route; null if the route needs none. */
  readonly role: "ingest" | "read" | "metrics" | "admin" | null;
  readonly group: string;
  /** Never change it: generated clients use it as a name. */
  readonly id: string;
  readonly summary: string;
  readonly about?: string;
  /** In addition to `op` and `n`, which come from the path. */
  readonly inPath: P;
  readonly inQuery: Q;
  readonly inHeaders?: HeaderParams;
  /** By media type. */
  readonly body?: Readonly<Record<string, Body>>;
  readonly answers: Readonly<Record<number, DescribedAnswer>>;
  /** In addition to the problems of the parameters and those of every route. */
  readonly problems?: Readonly<Record<number, Codes>>;
  /** Further members of its problem documents. */
  readonly more?: Schema;
  /** The route works on an operator that D1 has lost, so only the name must be known. */
  readonly unplaced?: true;
  /** A Worker without the binding of the partitions' objects serves the route. It serves no other that has a role. */
  readonly withoutObjects?: true;
  /** The route is about main, or about all timelines: it takes no `timeline`. */
  readonly mainOnly?: true;
  /** The route changes the line of history that it is about, so a former main refuses it. Routes that ingest do too. */
  readonly changes?: true;
}

/** True if the route is refused on a line that never changes. */
export const changesLine = ({ role, changes }: Described): boolean => role === "ingest" || changes === true;

/** Keeps the types of the parameters. */
export const described = <const P extends Params, const Q extends Params>(route: Described<P, Q>): Described<P, Q> =>
  route;

/** Tests whether the path has the parameter as a part of its own. */
export const hasPart = (path: string, name: string): boolean => path.split("/").includes(`:${name}`);

/** Returns the value of a text, or null if the parameter can't have it. */
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

/**
 * Returns the values of the parameters, or the first flaw (DESCRIBED2). `sent` returns null if a parameter wasn't sent.
 */
export function readParams(
  params: Params,
  sent: (name: string) => string | undefined,
  at: Readonly<Record<string, string>>,
): { readonly given: Readonly<Record<string, string | number>> } | { readonly flaw: ProblemParts } {
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
