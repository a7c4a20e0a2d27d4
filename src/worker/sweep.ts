/** The cron sweep: finds partitions whose alarm was lost, from D1 alone, and wakes only those (SNAP6, SNAP9). */
import { brotli } from "../adapters/brotli.ts";
import { logDatabases } from "../adapters/catalogue.ts";
import { partitionsWithTail, type PartitionStatus } from "../adapters/d1-status.ts";
import { parsePartitionName, stamp } from "../engine/ids.ts";
import { readManifest } from "../engine/manifest.ts";
import { snapshotAt } from "../engine/policy.ts";
import { stampMs } from "../engine/stamp.ts";
import type { App, Env } from "./app.ts";
import { note } from "./note.ts";
import { partitionStub } from "./stub.ts";

const MOST = 200;
/** An alarm may be a minute late and be well. */
const GRACE_MS = 120_000;

export async function sweep(app: App, env: Env): Promise<void> {
  const routes = await app.routes(env);
  for (const db of logDatabases(env as unknown as Record<string, unknown>).values()) {
    for (const status of await partitionsWithTail(db, MOST)) {
      const id = parsePartitionName(status.partition);
      const route = routes.byOperator.get(id.operator);
      const address = route?.addresses[id.partition];
      if (route === undefined || address === undefined || !overdue(status, route.operator.snapshot)) continue;
      note("alarm was lost", { name: status.partition, tailEvents: status.tailEvents });
      await partitionStub(env, address)
        .wake(address)
        .catch(() => undefined);
    }
  }
}

function overdue(status: PartitionStatus, policy: Parameters<typeof snapshotAt>[1]): boolean {
  const manifest = status.manifest === null ? null : readManifest(status.manifest, brotli.crc32);
  const tailSinceMs = status.tailStamp === null ? null : stampMs(stamp(status.tailStamp));
  const at = snapshotAt(
    {
      ...status,
      tailSinceMs,
      lastMs: manifest === null ? 0 : Date.parse(manifest.at),
      lastBytes: manifest?.snapshot.bytes ?? 0,
    },
    policy,
  );
  return at !== null && Date.now() > Math.max(at, tailSinceMs ?? 0) + GRACE_MS;
}
