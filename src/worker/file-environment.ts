/** The environment in which a request reads a partition's files, without waking the partition (SNAP9). */
import { brotli } from "../adapters/brotli.ts";
import type { PartitionId } from "../engine/base/ids.ts";
import { SIZES } from "../engine/base/limits.ts";
import type { ObjectStore } from "../engine/base/ports.ts";
import type { FileEnvironment } from "../engine/operator/environment.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { NO_CACHE } from "../engine/snapshot/range-reader.ts";
import { requestClock } from "./request-clock.ts";

export const fileEnvironment = (id: PartitionId, operator: Operator, objects: ObjectStore): FileEnvironment => ({
  id,
  operator,
  objects,
  codec: brotli,
  clock: requestClock,
  cache: NO_CACHE,
  sizes: SIZES,
});
