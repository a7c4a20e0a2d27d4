/**
 * Counts the calls that one request makes. The platform refuses every call beyond its own limit, at any point of the
 * code, and the caller would see a lost object. So a request ends before that limit: it answers with the decided
 * events, and says where to resume.
 */
import type { ObjectStore } from "../../engine/base/ports.ts";
import { busy } from "../../engine/partition/protocol.ts";
import { CALLS } from "../../engine/base/limits.ts";
import type { PartitionClient } from "./partition-client.ts";

/** Longer than a delivery waits before it retries a call. */
const NOT_REPEATED_MS = 6_000;

/** Wraps the client for one request: calls beyond the limit are not made. */
export function counted(post: PartitionClient): PartitionClient {
  let calls = 0;
  return {
    ...post,
    append: (address, slice) => {
      if (calls < CALLS) {
        calls += 1;
        return post.append(address, slice);
      }
      const why = `this request has made ${CALLS} calls to partitions, and the platform allows a request no more`;
      return Promise.resolve(busy("too_many_calls", why, NOT_REPEATED_MS));
    },
  };
}

/** An object store that counts its calls. */
export interface CountedStore extends ObjectStore {
  readonly calls: number;
}

export function countedStore(store: ObjectStore): CountedStore {
  let calls = 0;
  const one = <T>(call: Promise<T>): Promise<T> => {
    calls += 1;
    return call;
  };
  return {
    get calls() {
      return calls;
    },
    put: (name, bytes) => one(store.put(name, bytes)),
    get: (name) => one(store.get(name)),
    range: (name, offset, length) => one(store.range(name, offset, length)),
    list: (prefix, after) => one(store.list(prefix, after)),
    delete: (names) => one(store.delete(names)),
  };
}
