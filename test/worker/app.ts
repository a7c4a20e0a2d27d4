/** The Worker under test: the shipped operators, and those that only tests need. */
import { keyframe } from "../../src/keyframe.ts";
import { operators } from "../../src/operators/index.ts";
import { echo, fragile, left, namedState, right, shelves, shortOfIds, tally } from "./operators.ts";

export { Partition } from "./gated-partition.ts";
export { Keyframe } from "../../src/keyframe.ts";

export const all = [...operators, tally, fragile, left, right, shelves, echo, namedState, shortOfIds];
export default keyframe({ operators: all });
