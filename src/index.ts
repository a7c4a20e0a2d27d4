/**
 * This repository's own Worker. Follow one event:
 *
 * | step | where |
 * |---|---|
 * | POST arrives, is let in | worker/routes.ts, worker/http/access.ts |
 * | or it comes from another Worker, or from a queue | worker/ingest/service.ts, worker/ingest/queue.ts |
 * | body to event texts | worker/ingest/events-route.ts, worker/http/content-mode.ts, worker/http/body.ts, worker/http/binary-mode.ts |
 * | text to a checked event, its key and partition | engine/event/event.ts, engine/event/cloudevent.ts, engine/operator/routing.ts |
 * | one call for each partition | worker/ingest/intake.ts -> worker/object/partition-object.ts |
 * | repeats dropped, seq given, handler run | engine/partition/partition.ts, engine/partition/group.ts, engine/state/dedup.ts, engine/state/handler.ts |
 * | into the log, guarded | engine/partition/group-commit.ts, engine/log/append.ts -> adapters/d1-log.ts |
 * | visible, answered | engine/state/overlay.ts, engine/state/keyed-state.ts, worker/ingest/intake.ts |
 * | into a snapshot | engine/checkpoint/checkpointer.ts, engine/checkpoint/checkpoint.ts, engine/snapshot/capture.ts -> adapters/r2-store.ts |
 * | back after a crash | engine/recovery/recovery.ts, engine/state/state-machine.ts |
 */
import { keyframe } from "./keyframe.ts";
import { operators } from "./operators/index.ts";

export { Keyframe, Partition } from "./keyframe.ts";
export default keyframe({ operators });
