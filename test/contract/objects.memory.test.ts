import { MemoryStore } from "../../src/testkit/memory-store.ts";
import { objectsContract } from "./objects-contract.ts";

objectsContract("the memory fake", () => new MemoryStore());
