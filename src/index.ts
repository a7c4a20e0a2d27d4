/**
 * This repository's own Worker. Follow one event:
 *
 * | step | where |
 * |---|---|
 * | POST arrives, is let in | worker/routes.ts, worker/access.ts |
 * | or it comes from another Worker, or from a queue | worker/service.ts, worker/consume.ts |
 * | body to event texts | worker/events-route.ts, worker/content-mode.ts, worker/body.ts, worker/binary-mode.ts |
 * | text to a checked event, its key and partition | engine/event.ts, engine/cloudevent.ts, engine/address.ts |
 * | one call for each partition | worker/intake.ts -> worker/partition-object.ts |
 * | repeats dropped, seq given, handler run | engine/partition.ts, engine/group.ts, engine/dedup.ts, engine/handling.ts |
 * | into the log, guarded | engine/committer.ts, engine/commit.ts -> adapters/d1-log.ts |
 * | visible, answered | engine/layer.ts, engine/state.ts, worker/intake.ts |
 * | into a snapshot | engine/snapshotter.ts, engine/checkpoint.ts, engine/snapshot.ts -> adapters/r2-store.ts |
 * | back after a crash | engine/recovery.ts, engine/fold.ts |
 */
import { keyframe } from "./keyframe.ts";
import { operators } from "./operators/index.ts";

export { Keyframe, Partition } from "./keyframe.ts";
export default keyframe({ operators });
