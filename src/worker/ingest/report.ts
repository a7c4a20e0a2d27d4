/** The answer of `POST /v1/events`: the counts of a request, and the status that follows from them. */
import { compareUtf8 } from "../../engine/base/json.ts";
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";
import type { EventError } from "./event-result.ts";
import type { Intake } from "./intake.ts";
import { problem } from "../problem.ts";
import { retryOf } from "../http/rejected-status.ts";
import { unavailableStatus } from "../trouble.ts";

/**
 * Returns the reason why `handling=strict` sends nothing of the request, or null if no reason is known. Facts that only
 * a partition knows come too late: refusals, ids of earlier requests, 503.
 */
export function strictly(intake: Intake): Response | null {
  intake.rejectReused();
  if (intake.counts.rejected === 0) return intake.holdBack() ? report(intake, false) : null;
  intake.rejectAll();
  return problem({
    status: 422,
    code: "strict",
    detail: "an event was rejected, so with handling=strict none was accepted",
    more: { ...intake.counts, errors: intake.errors.sort(byPlace) },
  });
}

interface Placed {
  readonly index: number;
  readonly operator?: string | null;
}

/** Sorts in the order of the request: the partitions' answers come in any order. */
const byPlace = (a: Placed, b: Placed): number => a.index - b.index || compareUtf8(a.operator ?? "", b.operator ?? "");

/** Returns the invalid attribute. If the problem is about one event, the problem itself names the attribute too. */
const blamed = (error: EventError | undefined): { readonly attribute?: unknown } =>
  error?.["attribute"] === undefined ? {} : { attribute: error["attribute"] };

export function report(intake: Intake, full: boolean): Response {
  const { counts, errors, interruption, unfit } = intake;
  const results = full ? { results: intake.results.sort(byPlace) } : {};
  const body = { ...counts, errors: errors.sort(byPlace), ...results };
  if (interruption !== null)
    return problem({
      status: unavailableStatus(interruption.code),
      code: interruption.code,
      detail: `${interruption.message}; send it again, what is there already counts as duplicate`,
      more: body,
      retryAfterSec: interruption.retryAfterSec,
    });
  if (unfit !== null) return problem({ status: unfit.status, code: unfit.code, detail: unfit.message, more: body });
  if (counts.refused === 0 && counts.rejected === 0) return Response.json(body);
  const single = counts.received === 1 ? errors[0] : undefined;
  if (single !== undefined && (counts.refused === 1 || single.code === "id_reused"))
    return problem({ status: 409, code: single.code, detail: single.message, more: body });
  if (single?.code === MIGRATION_FAILED)
    return problem({ status: 503, code: single.code, detail: single.message, more: body, ...retryOf(single.code) });
  if (counts.rejected === counts.received)
    return problem({
      status: 422,
      code: errors[0]?.code ?? "rejected",
      detail: errors[0]?.message ?? "every event was rejected",
      more: { ...body, ...blamed(single) },
    });
  return Response.json(body, { status: 207 });
}
