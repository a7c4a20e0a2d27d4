import { env } from "cloudflare:workers";
import { R2Store } from "../../../src/adapters/r2-store.ts";
import { objectsContract } from "../../contract/objects-contract.ts";

objectsContract("R2", () => new R2Store(env.SNAPSHOTS));
