import { keyframe } from "keyframe-streams";
import { visits } from "./visits.ts";

export { Keyframe, Partition } from "keyframe-streams";

export const operators = [visits] as const;

export default keyframe({
  operators,
  authorize: (request) =>
    request.headers.get("authorization") === "Bearer let-me-in" ? { may: ["ingest", "read"] } : null,
});
