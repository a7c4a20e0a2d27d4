/** The types that an operator gives to clients that send it events, ask it and read it. This file has types alone. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Operator, Refusal } from "./operator.ts";

type TypesOf<O> = O extends { readonly types?: infer T } ? NonNullable<T> : never;
type RepliesOf<O> = TypesOf<O> extends { readonly replies: infer Replies } ? Replies : never;
type Data<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : never;

export type StateOf<O> = TypesOf<O> extends { readonly state: infer State } ? State : never;

/** The reply of any of the operator's handlers. */
export type ReplyOf<O> = Exclude<RepliesOf<O>[keyof RepliesOf<O>], Refusal>;

/** An event of this operator, or of any of several, as its sender writes it. */
export type EventFor<O extends Operator> = O extends Operator ? Written<O["events"]> : never;

type Written<E> = {
  [T in keyof E & string]: {
    readonly type: T;
    readonly data: Data<E[T]>;
    /** `source` and `id` identify a duplicate. A missing `id` is made up, and then a second sending counts again. */
    readonly id?: string;
    /** Default "/". */
    readonly source?: string;
    /** RFC 3339. Default: the time of receipt. */
    readonly time?: string;
    readonly subject?: string;
    /** Short for `partitionkey`. */
    readonly key?: string;
    readonly partitionkey?: string;
    readonly [extension: string]: unknown;
  };
}[keyof E & string];
