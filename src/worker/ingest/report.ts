/** The answers of `POST /v1/events` and of asking: what was counted, and the status that follows from it. */
import { compareUtf8 } from "../../engine/base/json.ts";
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";
import type { EventError } from "./event-result.ts";
import type { Asked } from "./ask.ts";
import type { Run } from "./decoders.ts";
import type { Intake } from "./intake.ts";
import { problem } from "../problem.ts";
import type { BodyError, Line } from "../http/body.ts";
import { REJECTED_STATUS, retryOf } from "../http/rejected-status.ts";
import { unavailableStatus } from "../trouble.ts";

/**
 * Takes the lines in, and returns the reason why `handling=strict` sends nothing of the request. If no reason is known,
 * returns the lines that are to be taken in yet. Facts that only a partition knows come too late: refusals, ids of
 * earlier requests, 503.
 */
export function strictly(intake: Intake, lines: readonly Line[]): Response | Run[] {
  for (const line of lines) intake.add(line);
  intake.rejectReused();
  if (intake.counts.rejected === 0) {
    if (intake.holdBack()) return report(intake, false);
    if (!intake.batchFull) return [];
    intake.forget();
    return [{ lines }];
  }
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

/** The body had a flaw, and the events before it are decided, as far as they can be. */
export function reportFlaw({ status, code, message: detail }: BodyError, intake: Intake | null): Response {
  if (intake === null || intake.counts.received === 0) return problem({ status, code, detail });
  // If an event before the flaw isn't durable, report that instead of the flaw: the sender retries from `through` on,
  // and hears of the flaw later.
  if (intake.interruption !== null) return report(intake, false);
  return problem({ status, code, detail, more: { ...intake.counts, errors: intake.errors.sort(byPlace) } });
}

export function report(intake: Intake, full: boolean): Response {
  const { counts, errors, interruption, unfit } = intake;
  const results = full ? { results: intake.results.sort(byPlace) } : {};
  const body = { ...counts, errors: errors.sort(byPlace), ...results };
  if (interruption !== null)
    return problem({
      status: unavailableStatus(interruption.code),
      code: interruption.code,
      detail: `${interruption.message}; send it again, events that are in the log already count as duplicates`,
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

/** The answer about the one event that was asked. */
export function reportAsked(asked: Asked, operator: string): Response {
  switch (asked.tag) {
    case "applied": {
      const { value, key, partition, seq, duplicate } = asked;
      return Response.json({ value, key, partition, seq, duplicate });
    }
    case "refused": {
      const { tag: _, code, ...more } = asked;
      return problem({ status: 409, code, detail: `refused by ${operator}`, more });
    }
    case "quarantined": {
      const { tag: _, error, ...more } = asked;
      return problem({ status: 422, code: "quarantined", detail: `the handler threw: ${error}`, more });
    }
    case "rejected": {
      const { tag: _, code, message, ...more } = asked;
      return problem({ status: REJECTED_STATUS[code] ?? 422, code, detail: message, more, ...retryOf(code) });
    }
    case "unavailable":
      return problem({
        status: unavailableStatus(asked.code),
        code: asked.code,
        detail: asked.message,
        retryAfterSec: asked.retryAfterSec,
      });
  }
}
