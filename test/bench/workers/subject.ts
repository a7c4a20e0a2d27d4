// The operator whose snapshots are measured: a policy and partitions that the measurement chooses.

import { env } from "cloudflare:workers";
import type { SnapshotPolicy } from "../../../src/keyframe.ts";
import { meter } from "./meter.ts";

/** NEVER: no snapshot but where one is asked for. MEMORY: 0 for the default. */
const { NEVER, MEMORY, PARTITIONS } = env as unknown as { NEVER: number; MEMORY: number; PARTITIONS: number };

const never: SnapshotPolicy = { every: "365d", maxTailBytes: 256_000_000, recovery: "1h" };

export const subject = () =>
  meter("meter", {
    partitions: PARTITIONS,
    snapshot: NEVER === 1 ? never : {},
    memory: MEMORY === 0 ? undefined : MEMORY,
  });
