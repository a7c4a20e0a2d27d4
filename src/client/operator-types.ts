/**
 * The types that a client infers from the type of an operator: its events, state, replies and refusals. This file has
 * no code at run time.
 */
import type { EventOf, Operator, Refusal } from "../engine/operator/operator.ts";

export type AnyOperator = Operator;

export type EventType<Op extends AnyOperator> = keyof Op["events"] & string;

export type DataOf<Op extends AnyOperator, T extends string> = Extract<
  EventOf<Op["events"]>,
  { readonly type: T }
>["data"];

/** The type that the handler returns, refusals included. */
type Returned<Op extends AnyOperator, T extends string> =
  Op extends Operator<string, Op["events"], infer _State, infer Replies>
    ? T extends keyof Replies
      ? Replies[T]
      : unknown
    : never;

/** A handler that returns nothing replies null. */
type Nothing<R> = R extends undefined | void ? null : R;
type Value<R> = unknown extends R ? unknown : Nothing<Exclude<R, Refusal>>;

interface Placed {
  readonly key: string;
  readonly partition: number;
  /** Null if the seq isn't known any more. */
  readonly seq: number | null;
}

/** A duplicate hears the first reply, or null if the operator doesn't keep replies for so long. */
type Applied<V> = Placed &
  (
    | { readonly tag: "applied"; readonly duplicate: false; readonly value: V }
    | { readonly tag: "applied"; readonly duplicate: true; readonly value: V | null }
  );

type Detail<D> = unknown extends D ? unknown : Nothing<D> | null;
type Refused<R> = unknown extends R
  ? RefusedWith<string, unknown>
  : R extends Refusal<infer Code, infer D>
    ? RefusedWith<Code, Detail<D>>
    : never;
type RefusedWith<Code extends string, D> = Placed & {
  readonly tag: "refused";
  readonly duplicate: boolean;
  readonly code: Code;
  /** Also null if a duplicate comes so late that the detail isn't kept any more. */
  readonly detail: D;
};

type Quarantined = Placed & {
  readonly tag: "quarantined";
  readonly duplicate: boolean;
  /** The message of the error that the handler threw. */
  readonly message: string;
};

/** The outcomes of an event of a type: applied, refused or quarantined. */
export type AskResult<Op extends AnyOperator, T extends string> =
  Applied<Value<Returned<Op, T>>> | Refused<Returned<Op, T>> | Quarantined;
