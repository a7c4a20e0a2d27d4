/* Which of two bids is better: the higher price, then the earlier time, then the lower id. */
import { timeMs } from "../../src/engine/operator/operator.ts";

interface Ranked {
  readonly id: string;
  readonly price: number;
  readonly time: string;
}

export function isBetter(one: Ranked, other: Ranked): boolean {
  if (one.price !== other.price) return one.price > other.price;
  const [oneMs, otherMs] = [timeMs(one.time), timeMs(other.time)];
  return oneMs === otherMs ? one.id < other.id : oneMs < otherMs;
}
