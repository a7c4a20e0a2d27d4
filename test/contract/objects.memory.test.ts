import { MemoryStore } from "../engine/fakes/memory-store.ts";
import { objectsContract } from "./objects-contract.ts";

objectsContract("the memory fake", () => new MemoryStore());
