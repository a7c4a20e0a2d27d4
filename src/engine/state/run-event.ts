/** Runs one logged event on one key: an event of a sender, an edit, or a timer that fires. */
import type { Event } from "../event/event.ts";
import type { Outcome } from "../log/outcome.ts";
import type { Operator } from "../operator/operator.ts";
import { edit, isEdit } from "./edit.ts";
import { type EventContext, fire, handle } from "./handler.ts";
import type { DirtyKey, Last } from "./overlay.ts";
import { type Firing, TIMER_TYPE } from "./timers.ts";

/**
 * Leaves the effect, if any, in `dirtyKey`. `last` is the result of the key's last change, for the condition of an edit,
 * or null if the condition was decided before. `again`: a timer fires though it isn't pending, as in a retry.
 */
export function runEvent(
  operator: Operator,
  dirtyKey: DirtyKey,
  event: Event,
  context: EventContext,
  last: Last | null,
  again = false,
): Outcome {
  if (event.type === TIMER_TYPE) return fire(operator, dirtyKey, event.data as Firing, context, again);
  return isEdit(event.type)
    ? edit(operator, dirtyKey, event, context, last)
    : handle(operator, dirtyKey, event, context);
}
