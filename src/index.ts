/**
 * This repository's own Worker. Follow one event (docs/internals/walk.md has each file):
 *
 * | step | file |
 * |---|---|
 * | POST | worker/routes.ts, worker/ingest/events-route.ts, worker/http/body.ts |
 * | route | worker/ingest/intake.ts, engine/event/event.ts, engine/operator/routing.ts, engine/event/fingerprint.ts |
 * | to the object | worker/ingest/pending-request.ts, worker/object/partition-object.ts |
 * | admission | engine/partition/partition.ts, engine/partition/admission.ts |
 * | group | engine/partition/group-commit.ts, engine/partition/group.ts, engine/state/state-machine.ts |
 * | log | engine/log/append.ts, adapters/d1-log.ts |
 * | visible | engine/state/overlay.ts |
 * | snapshot | engine/checkpoint/checkpointer.ts, engine/checkpoint/checkpoint.ts |
 * | recovery | engine/recovery/recovery.ts |
 */
import { keyframe } from "./keyframe.ts";
import { operators } from "./operators/index.ts";

export { Keyframe, Partition } from "./keyframe.ts";
export default keyframe({ operators });
