/** What the type of an operator says to a client: its events, its state, its replies and refusals. Types alone, nothing at run time. */
import type { EventOf, Operator, Refusal } from "../engine/operator/operator.ts";

export type AnyOperator = Operator;

export type EventType<Op extends AnyOperator> = keyof Op["events"] & string;

export type DataOf<Op extends AnyOperator, T extends string> = Extract<
  EventOf<Op["events"]>,
  { readonly type: T }
>["data"];

export type StateOf<Op extends AnyOperator> =
  Op extends Operator<string, Op["events"], infer State, infer _Replies> ? State : never;

/** What the handler returns, refusals included. */
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
  /** Null: it isn't known any more. */
  readonly seq: number | null;
}

/** A repeat learns the first reply, or null where the operator doesn't keep it for so long. */
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
  /** Null also where a repeat comes so late that it isn't kept any more. */
  readonly detail: D;
};

type Quarantined = Placed & {
  readonly tag: "quarantined";
  readonly duplicate: boolean;
  /** What the handler threw. */
  readonly message: string;
};

/** What an operator answers to an event of a type: decided, in one of three ways. */
export type AskResult<Op extends AnyOperator, T extends string> =
  Applied<Value<Returned<Op, T>>> | Refused<Returned<Op, T>> | Quarantined;
