/**
 * The operators under the dashboard's tests: an operator of several partitions, one of whose handlers can throw; and
 * one that nobody uses.
 */
import { z } from "zod";
import { keyframe, operator } from "../../../src/keyframe.ts";

export { Partition } from "../../../src/keyframe.ts";

const meters = operator("meters", {
  version: 1,
  events: {
    "meter.read": z.object({ meter: z.string(), kwh: z.number() }),
    "meter.split": z.object({ meter: z.string() }),
  },
  key: (event) => event.data.meter,
  initial: () => ({ kwh: 0, reads: 0, last: { kwh: 0, tenths: [0] } }),
  on: {
    "meter.read"(state, event) {
      const { kwh } = event.data;
      state.kwh += kwh;
      state.reads += 1;
      state.last = { kwh, tenths: [Math.round(kwh * 10)] };
      return { kwh: state.kwh };
    },
    "meter.split"(state) {
      if (state.reads === 0) throw new Error("a meter without reads can't be split");
      state.kwh /= 2;
    },
  },
  partitions: 4,
});

const idle = operator("idle", {
  version: 1,
  events: { "idle.never": z.string() },
  key: (event) => event.data,
  initial: () => ({ n: 0 }),
  on: { "idle.never": (state) => void (state.n += 1) },
});

export default keyframe({ operators: [meters, idle] });
