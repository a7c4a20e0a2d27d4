/**
 * Routes events: from a checked event to the operators that want it, its key, and the partition of the key's group.
 *
 * ROUTING1. The stored number of partitions, hash and seed apply, not the code's (CODE2).
 * ROUTING2. The key's group alone decides the partition, so that a read, which has only the key, finds it.
 * ROUTING3. An event that any wanting operator rejects (schema, key) is rejected before any partition sees it (IN4).
 */
import { messageOf } from "../base/errors.ts";
import { HASH_NAME } from "../base/hash.ts";
import type { PartitionId } from "../base/ids.ts";
import { exceeds } from "../base/json.ts";
import { NAME_BYTES } from "../base/limits.ts";
import type { Ancestors, Replay } from "../base/records.ts";
import type { Event } from "../event/event.ts";
import { type Rejected, rejected, type RejectionCode } from "../event/rejection.ts";
import { partitionAmong } from "./key-placement.ts";
import type { Operator } from "./operator.ts";
import { dataFlaw } from "./schema.ts";

/** The facts that D1 stores of an operator when it is first used. */
export interface Placement {
  readonly operator: string;
  readonly partitions: number;
  readonly hash: string;
  readonly seed: number;
  /** Name of the log database of each partition, by its number. */
  readonly databases: readonly string[];
  /** RFC 3339: when D1 was told. Missing while D1 hasn't been. */
  readonly since?: string;
}

/** A partition, with the facts that its object needs to find its log. */
export interface Address extends PartitionId {
  readonly database: string;
  readonly seed: number;
  /** The operator's number of partitions. Missing if the caller runs code that doesn't send it yet. */
  readonly partitions?: number;
  /** The lines that the partition's line starts from. Missing if there are none. */
  readonly ancestors?: Ancestors;
  /** The caller named the line, so it may be sealed. Otherwise the caller believes that the line is main. */
  readonly named?: true;
}

/** One operator with its stored placement. */
export interface Route {
  readonly line: number;
  readonly ancestors: Ancestors;
  /** The line takes in the log of another line, and no events. */
  readonly replay?: Replay;
  readonly operator: Operator;
  readonly placement: Placement;
  readonly addresses: readonly Address[];
}

/** `named`: the caller named the line. */
export function route(
  line: number,
  operator: Operator,
  placement: Placement,
  ancestors: Ancestors = [],
  named = false,
): Route {
  if (placement.hash !== HASH_NAME)
    throw new Error(
      `operator "${operator.name}" was placed with the hash "${placement.hash}", which this code doesn't have`,
    );
  const addresses = Array.from({ length: placement.partitions }, (_, partition) => ({
    line,
    operator: operator.name,
    partition,
    seed: placement.seed,
    partitions: placement.partitions,
    database: placement.databases[partition]!,
    ...(ancestors.length === 0 ? {} : { ancestors }),
    ...(named ? { named } : {}),
  }));
  return { line, ancestors, operator, placement, addresses };
}

export type Keyed = { readonly tag: "keyed"; readonly key: string; readonly partition: number } | Rejected;

/** Returns the key of an event for one operator, and checks the schema on the way. */
export function keyOf(route: Route, event: Event): Keyed {
  const { operator } = route;
  const no = (code: RejectionCode, message: string): Keyed => rejected(code, `${operator.name}: ${message}`, event.id);
  const schema = operator.events[event.type];
  if (schema === undefined || !Object.hasOwn(operator.events, event.type))
    return no("unknown_type", `no handler for type ${JSON.stringify(event.type.slice(0, 100))}`);
  const wrong = dataFlaw(schema, event.data, `"${event.type}" in operator "${operator.name}"`);
  if (wrong !== null) return no("invalid_data", wrong);
  let key: unknown;
  try {
    key = operator.key(event);
  } catch (error) {
    return no("missing_key", `no key can be made of the event: ${messageOf(error)}`);
  }
  if (key === undefined || key === null)
    return no("missing_key", 'the event has no key; set "key" (short for partitionkey) or "subject"');
  const flaw = keyFlaw(key);
  if (flaw !== null) return no("invalid_key", flaw);
  const partition = partitionOfKey(route, key as string);
  if (partition === null) return no("invalid_key", "no group can be made of the key");
  return { tag: "keyed", key: key as string, partition };
}

/** Returns why the value is no key (IN2). Returns null if it is one. */
export function keyFlaw(key: unknown): string | null {
  if (typeof key !== "string" || key === "") return "a key is a string that isn't empty";
  if (exceeds(key, NAME_BYTES)) return `a key has at most ${NAME_BYTES} bytes`;
  return key.isWellFormed() ? null : "a key is well-formed Unicode, without lone surrogates";
}

/** Returns null if no partition can be told for the key. */
export const partitionOfKey = ({ operator, placement: { seed, partitions } }: Route, key: string): number | null =>
  partitionAmong(operator, key, seed, partitions);
