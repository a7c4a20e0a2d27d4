import type { MemoryStore } from "../../../src/testkit/memory-store.ts";

/**
 * From now on the store answers each read of these objects with an error, or not at all. @returns what makes them
 * readable again
 */
export function unreachable(
  store: MemoryStore,
  names: readonly string[],
  answer: "error" | "silence" = "error",
): () => void {
  const [get, range] = [store.get.bind(store), store.range.bind(store)];
  const fail = (): Promise<never> =>
    answer === "error"
      ? Promise.reject(new Error("We encountered an internal error (10001)"))
      : new Promise(() => undefined);
  store.get = (name) => (names.includes(name) ? fail() : get(name));
  store.range = (name, offset, length) => (names.includes(name) ? fail() : range(name, offset, length));
  return () => Object.assign(store, { get, range });
}
