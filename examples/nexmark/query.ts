/* A query: operators that hold its result in their states, and how the rows are read from a state. */
import type { Operator } from "../../src/engine/operator/operator.ts";
import type { StateOf } from "../../src/engine/operator/operator-types.ts";

/** One row of a result, with the members of the query's SQL. */
export type Row = Readonly<Record<string, string | number>>;

export interface Query {
  readonly number: number;
  readonly title: string;
  /** All operators of the query. The last one has the result. */
  readonly operators: readonly Operator[];
  /** The operator whose states have the result. */
  readonly result: Operator;
  readonly rows: (state: unknown, key: string) => readonly Row[];
}

export interface QueryParts<O extends Operator> {
  readonly number: number;
  readonly title: string;
  readonly result: O;
  /** Operators whose messages reach the result. */
  readonly before?: readonly Operator[];
  /** The rows of one key of the result. */
  readonly rows: (state: StateOf<O>, key: string) => readonly Row[];
}

export function query<O extends Operator>({ number, title, result, before = [], rows }: QueryParts<O>): Query {
  return { number, title, operators: [...before, result], result, rows: rows as Query["rows"] };
}
