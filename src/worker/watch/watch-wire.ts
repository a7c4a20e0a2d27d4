/**
 * The messages on the connection of a watched key, between the Worker and the partition's object. CODE1: the
 * subprotocol's name holds the version, and later additions must be optional.
 *
 * | from | message | |
 * |---|---|---|
 * | Worker | `{"n", "have"}` | ready for one message: at once if `n` is new, else when the value differs from `have` |
 * | object | `{"n", "seq"}`, a line end, the state's text or nothing | the value, read after message `n` came |
 * | Worker, object | `ping`, `pong` | the platform answers for the object, and doesn't wake it |
 *
 * `have` and `seq` are the event that last changed the key. If it is 0, the key has no state. If `seq` is null, the key
 * has no state, and since when isn't known.
 */
import { isObject } from "../../engine/base/json.ts";

export const WATCH_PROTOCOL = "keyframe.watch.1";
export const PING = "ping";
export const PONG = "pong";
/** The connection ends since the object can't answer now. The reason is the code of the failure. */
export const CANNOT = 1013;
/** The value that the peer was told may be wrong now: the peer asks again. */
export const ANEW = 1012;
/** The peer sent a message that isn't of this protocol. */
export const NO_MESSAGE = 1008;

interface Ready {
  readonly n: number;
  readonly have: number;
}

export interface WatchedValue {
  readonly seq: number | null;
  /** JSON; null if the key has no state. */
  readonly text: string | null;
}

export interface ValueMessage extends WatchedValue {
  readonly n: number;
}

export const readyText = ({ n, have }: Ready): string => JSON.stringify({ n, have });

/** Returns null if the message is no `Ready`. */
export function readReady(message: unknown): Ready | null {
  const { n, have } = members(message);
  return isCount(n) && isCount(have) ? { n, have } : null;
}

export const toldText = ({ n, seq, text }: ValueMessage): string => `${JSON.stringify({ n, seq })}\n${text ?? ""}`;

/** Returns null if the message is no `ValueMessage`. */
export function readTold(message: unknown): ValueMessage | null {
  if (typeof message !== "string") return null;
  const end = message.indexOf("\n");
  const { n, seq } = members(message.slice(0, end));
  if (end < 0 || !isCount(n) || !(seq === null || isCount(seq))) return null;
  const text = message.slice(end + 1);
  return { n, seq, text: text === "" ? null : text };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function members(text: unknown): Readonly<Record<string, unknown>> {
  if (typeof text !== "string") return {};
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
