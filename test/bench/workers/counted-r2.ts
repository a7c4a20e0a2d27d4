// An R2 binding that counts operations by price class (deletes are free) and adds a delay to every call.

import { counters } from "./counters.ts";

type Inner = Pick<R2Bucket, "get" | "head" | "put" | "list" | "delete">;

export function countedR2(bucket: R2Bucket, delay: () => Promise<void> | undefined): R2Bucket {
  const wrap = <Name extends keyof Inner>(name: Name, charge: (args: unknown[]) => void): Inner[Name] => {
    const work = bucket[name].bind(bucket) as (...args: unknown[]) => Promise<unknown>;
    const counted = async (...args: unknown[]): Promise<unknown> => {
      charge(args);
      const wait = delay();
      if (wait !== undefined) await wait;
      return work(...args);
    };
    return counted as unknown as Inner[Name];
  };
  const classA = (): void => void (counters.r2ClassA += 1);
  const classB = (): void => void (counters.r2ClassB += 1);
  const put = (args: unknown[]): void => {
    classA();
    counters.r2BytesPut += (args[1] as Uint8Array).byteLength;
  };
  const inner: Inner = {
    get: wrap("get", classB),
    head: wrap("head", classB),
    put: wrap("put", put),
    list: wrap("list", classA),
    delete: wrap("delete", () => undefined),
  };
  return inner as R2Bucket;
}
