/** A draft: the events of one request and batch that go to one partition, until their call is delivered. */
import type { Address, Route } from "../../engine/operator/routing.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { sleep } from "../../engine/base/retry.ts";
import { Prints } from "../../engine/event/fingerprint.ts";
import { utf8Length } from "../../engine/base/json.ts";
import type { Producer } from "../../engine/event/producer.ts";
import { busy, WIRE_VERSION, type AppendRequest, type AppendResponse } from "../../engine/partition/protocol.ts";
import type { PartitionClient } from "./partition-client.ts";

export interface Draft {
  readonly route: Route;
  readonly partition: number;
  readonly texts: string[];
  readonly keys: string[];
  readonly prints: Prints;
  readonly places: number[];
}

export const newDraft = (route: Route, partition: number): Draft => ({
  route,
  partition,
  texts: [],
  keys: [],
  prints: new Prints(8),
  places: [],
});

export const addressOf = ({ route, partition }: Draft): Address => route.addresses[partition]!;

/** Values that all calls of a batch share. */
interface Common {
  readonly receivedMs: number;
  readonly full: boolean;
  readonly producer: Producer | null;
  /** The sender has heard of this stamp (TIME1), or 0. */
  readonly after: Stamp;
  /** Index of the batch's first event in its request. */
  readonly base: number;
  /** All texts are known to be ASCII, which saves a look at every character. */
  readonly ascii: boolean;
}

export function sliceOf({ route, texts, keys, prints, places }: Draft, common: Common): AppendRequest {
  const { receivedMs, full, producer, after, base, ascii } = common;
  const body = texts.length === 1 ? texts[0]! : texts.join(",");
  const lengths = new Uint32Array(texts.length);
  for (let i = 0; i < texts.length; i++) lengths[i] = texts[i]!.length;
  return {
    v: WIRE_VERSION,
    operatorVersion: route.operator.version,
    at: receivedMs,
    body,
    bytes: ascii ? body.length : utf8Length(body),
    lengths,
    keys,
    prints: prints.words(),
    full,
    ...(after === 0 ? {} : { after }),
    ...(producer === null ? {} : { producer, indexes: Uint32Array.from(places, (place) => base + place) }),
  };
}

/**
 * Sends a request until it is decided, or the deadline is near. The object keeps the time: a timer in the Worker for
 * every call would cost more than the event.
 */
export async function deliver(
  post: PartitionClient,
  address: Address,
  slice: AppendRequest,
  deadlineMs: number,
): Promise<AppendResponse> {
  const { clock } = post;
  for (let attempt = 0; ; attempt++) {
    // The object may have died or been replaced during the call. A retry finds out whether the call had committed.
    const result = await post
      .append(address, attempt === 0 ? slice : { ...slice, waitMs: deadlineMs - clock.now() })
      .catch((error: unknown): AppendResponse => {
        post.note("partition went away", {
          operator: address.operator,
          partition: address.partition,
          attempt,
          error: messageOf(error),
        });
        return busy("partition_gone", "the partition's object went away during the call");
      });
    // Another line may be main by now, which the next request finds out.
    if (result.tag !== "busy" || result.retryAfterMs > 5_000 || result.code === "line_sealed") return result;
    const wait = 10 + clock.jitter() * Math.min(1_000, 20 * 2 ** attempt);
    if (clock.now() + wait >= deadlineMs) return result;
    await sleep(clock, wait);
  }
}
