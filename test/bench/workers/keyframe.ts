// The system under test: one operator of four partitions under its default policy.

import { env } from "cloudflare:workers";
import { keyframe } from "../../../src/keyframe.ts";
import { measured } from "./measured.ts";
import { meter } from "./meter.ts";
import { OBJECTS } from "./reading.ts";

const { TAIL_BYTES } = env as unknown as { TAIL_BYTES: number };

export { MeasuredPartition as Partition } from "./measured.ts";

export default measured(
  keyframe({
    operators: [meter("meter", { partitions: OBJECTS, snapshot: { every: "5m", maxTailBytes: TAIL_BYTES } })],
  }),
);
