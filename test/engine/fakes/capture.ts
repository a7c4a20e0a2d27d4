/** The contents of a snapshot of the state now. */
import type { StateMachine } from "../../../src/engine/state/state-machine.ts";
import { seq, type Seq } from "../../../src/engine/base/ids.ts";
import { finishCapture, beginCapture, type Capture } from "../../../src/engine/snapshot/capture.ts";

export function capture(machine: StateMachine, base: Seq = seq(0)): Capture {
  const steps = finishCapture(beginCapture(machine, base));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
