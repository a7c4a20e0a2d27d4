// The operators that are measured: how many, with a policy and partitions that the measurement chooses.

import { env } from "cloudflare:workers";
import type { SnapshotPolicy } from "../../../src/keyframe.ts";
import { meter } from "./meter.ts";

/** NEVER: no snapshot but where one is asked for. MEMORY: 0 for the default. */
const { NEVER, MEMORY, PARTITIONS, OPERATORS } = env as unknown as Record<
  "NEVER" | "MEMORY" | "PARTITIONS" | "OPERATORS",
  number
>;

const never: SnapshotPolicy = { every: "365d", maxTailBytes: 256_000_000, recovery: "1h" };

/** `meter`, `meter-1`, …: each takes all events. */
export const subjects = () =>
  Array.from({ length: OPERATORS }, (_, n) =>
    meter(n === 0 ? "meter" : `meter-${n}`, {
      partitions: PARTITIONS,
      snapshot: NEVER === 1 ? never : {},
      memory: MEMORY === 0 ? undefined : MEMORY,
    }),
  );
