// Two operators with the same handler, one partition each: one snapshots when told, the other never, so that what
// recovery costs with a snapshot can be set against replaying the whole log.

import { keyframe, type SnapshotPolicy } from "../../../src/keyframe.ts";
import { measured } from "./measured.ts";
import { meter } from "./meter.ts";

export { MeasuredPartition as Partition } from "./measured.ts";

const never: SnapshotPolicy = { every: "365d", maxTailBytes: 256_000_000, recovery: "1h" };

export default measured(
  keyframe({
    operators: [
      meter("snapshotted", { partitions: 1, snapshot: { every: "5m", maxTailBytes: 4_000_000 } }),
      meter("replayed", { partitions: 1, snapshot: never }),
    ],
  }),
);
