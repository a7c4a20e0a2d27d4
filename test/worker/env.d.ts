/** The bindings that the tests' Worker has beyond the app's own environment. */
import type { D1Migration } from "cloudflare:test";
import type * as main from "./app.ts";

declare global {
  namespace Cloudflare {
    interface Env {
      readonly PARTITION: DurableObjectNamespace<main.Partition>;
      readonly SNAPSHOTS: R2Bucket;
      readonly LOG_0: D1Database;
      readonly LOG_1: D1Database;
      readonly MIGRATIONS: D1Migration[];
    }
    interface GlobalProps {
      mainModule: typeof main;
    }
  }
}
