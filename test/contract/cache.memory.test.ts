import { MemoryCache } from "../../src/testkit/memory-cache.ts";
import { cacheContract } from "./cache-contract.ts";

cacheContract("the memory fake", (use) => Promise.resolve(use(() => new MemoryCache())));
