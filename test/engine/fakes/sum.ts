/** The operator of the engine's tests: adds numbers up, refuses zero, throws at "boom". */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { operator, type Operator, type Spec } from "../../../src/engine/operator/operator.ts";

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

interface Sum {
  total: number;
  times: number;
}
type SumSpec = Spec<{ add: typeof anything }, Sum, { add: unknown }>;

export function sum(more: Partial<SumSpec> = {}): Operator {
  return operator("sum", {
    version: 1,
    events: { add: anything },
    key: (event) => event.partitionkey ?? "k",
    initial: () => ({ total: 0, times: 0 }),
    on: {
      add(state, event, ctx) {
        if (event.data === "boom") throw new Error("boom");
        if (event.data === 0) return ctx.refuse("zero", { total: state.total });
        state.total += event.data as number;
        state.times += 1;
        return { total: state.total };
      },
    },
    replies: { keep: "24h" },
    ...more,
  });
}
