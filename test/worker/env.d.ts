/** What the tests' Worker has beyond the app's own environment. */
declare namespace Cloudflare {
  interface Env {
    readonly PARTITION: DurableObjectNamespace<import("./app.ts").Partition>;
    readonly SNAPSHOTS: R2Bucket;
    readonly LOG_0: D1Database;
    readonly LOG_1: D1Database;
    readonly MIGRATIONS: import("cloudflare:test").D1Migration[];
  }
  interface GlobalProps {
    mainModule: typeof import("./app.ts");
  }
}
