/** What a snapshot of the fold holds now. */
import type { Fold } from "../../../src/engine/fold.ts";
import { seq, type Seq } from "../../../src/engine/ids.ts";
import { settle, take, type Capture } from "../../../src/engine/snapshot.ts";

export function capture(fold: Fold, base: Seq = seq(0)): Capture {
  const steps = settle(take(fold, base));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
