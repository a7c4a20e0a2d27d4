/** One event for one operator, and its answer: for HTTP and for Workers that are bound to this one. */
import type { Line } from "../http/body.ts";
import type { EventResult } from "./event-result.ts";
import type { Intake } from "./intake.ts";

/** The position of the event. */
interface Standing {
  readonly key: string;
  readonly partition: number;
  readonly seq: number;
  /** The event was sent before; the answer is the first one. */
  readonly duplicate: boolean;
}

export type Asked<Reply = unknown> =
  | ({ readonly tag: "applied"; readonly value: Reply } & Standing)
  /** The handler refused; a retry gets the same answer. */
  | ({ readonly tag: "refused"; readonly code: string; readonly detail: unknown } & Standing)
  /** The handler threw: the event is in the quarantine. */
  | ({ readonly tag: "quarantined"; readonly error: string } & Standing)
  /** The event has no effect. The message says what to fix. */
  | ({
      readonly tag: "rejected";
      readonly code: string;
      readonly message: string;
      readonly id: string | null;
      /** The invalid attribute, if the rejection is about one. */
      readonly attribute?: string;
      /** With `id_reused`: the position of the event that has the id. */
    } & Partial<Pick<Standing, "key" | "partition" | "seq">>)
  /** The event isn't known to be durable: send it again, with the same id. */
  | { readonly tag: "unavailable"; readonly code: string; readonly message: string; readonly retryAfterSec: number };

/** Takes the one event in, and returns its answer. */
export async function ask(intake: Intake, lines: readonly Line[]): Promise<Asked> {
  await intake.take([{ lines }]);
  if (intake.interruption !== null) return { tag: "unavailable", ...intake.interruption };
  return resultOf(intake.results[0]!, intake);
}

function resultOf({ status, value, key, partition, seq, duplicate }: EventResult, intake: Intake): Asked {
  const standing = { key: key!, partition: partition!, seq: seq!, duplicate };
  switch (status) {
    case "applied":
      return { tag: "applied", value, ...standing };
    case "refused":
      return { tag: "refused", ...(value as { code: string; detail: unknown }), ...standing };
    case "quarantined":
      return {
        tag: "quarantined",
        error: (value as { error: string } | null)?.error ?? "see the quarantine",
        ...standing,
      };
    case "forgotten":
      throw new Error("the partition knows the event by its number, and an ask has none");
    case "rejected": {
      const { code, message, id, attribute } = intake.errors[0]!;
      const blamed = typeof attribute === "string" ? { attribute } : {};
      // Without `duplicate`: the client takes an answer with all of a standing for an outcome of the event.
      const known = key === null ? {} : { key, partition: partition!, seq: seq! };
      return { tag: "rejected", code, message, id, ...blamed, ...known };
    }
  }
}
