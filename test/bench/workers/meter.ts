// The operator that all benchmarks of Keyframe run: count, sum, maximum and last value of each device.

import { z } from "zod";
import { operator, type SnapshotPolicy } from "../../../src/keyframe.ts";

const reading = z.object({ device: z.string(), value: z.number(), unit: z.string() });

interface Options {
  partitions: number;
  snapshot: SnapshotPolicy;
  /** Bytes of states that a partition holds in memory, or undefined for the default. */
  memory?: number | undefined;
}

export const meter = (name: string, { partitions, snapshot, memory }: Options) =>
  operator(name, {
    version: 1,
    events: { "meter.read": reading },
    key: (event) => event.data.device,
    initial: () => ({ count: 0, sum: 0, max: 0, last: 0 }),
    on: {
      "meter.read"(state, event) {
        const { value } = event.data;
        state.count += 1;
        state.sum += value;
        state.max = Math.max(state.max, value);
        state.last = value;
      },
    },
    partitions,
    snapshot,
    ...(memory === undefined ? {} : { memory }),
  });
