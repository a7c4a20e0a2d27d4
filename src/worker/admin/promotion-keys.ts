/** The keys whose states a promotion changes, for its preview: a diff of main and the timeline, within bounds (CHANGED1). */
import { CHANGED_MS } from "../../engine/base/limits.ts";
import { changedKeys } from "../../engine/history/changed-keys.ts";
import type { Route } from "../../engine/operator/routing.ts";
import type { Env } from "../env.ts";
import { crossedBy, finerOf, type Side, stateOf } from "../read/diff-route.ts";
import { requestClock } from "../request-clock.ts";

/** The changed keys of an operator, as the preview shows them. */
interface ShownKeys {
  readonly operator: string;
  readonly count?: number;
  readonly atLeast?: number;
  readonly first: readonly string[];
  readonly flaw?: string;
}

/** Says of a partition of an operator, of so many, whether any of its states can differ. */
export type MayDiffer = (operator: string, partition: number, partitions: number) => boolean;

/** Main and the timeline at settled stamps, or the reason why they can't be compared. */
export type Sides = readonly [main: Side, other: Side] | { readonly flaw: string };

/** Counts the keys that differ, for each operator that may have any. One time holds for all. */
export async function keysThatDiffer(
  env: Env,
  routes: Iterable<Route>,
  sides: Sides,
  mayDiffer: MayDiffer,
): Promise<ShownKeys[]> {
  const until = requestClock.now() + CHANGED_MS;
  const found: ShownKeys[] = [];
  for (const route of routes) {
    const operator = route.operator.name;
    const both = "flaw" in sides ? [] : sides;
    const finer = finerOf(route, both);
    const { partitions } = finer.placement;
    const addresses = finer.addresses.filter(({ partition }) => mayDiffer(operator, partition, partitions));
    if (addresses.length === 0) continue;
    if ("flaw" in sides || crossedBy(route, both) !== null) {
      const flaw = "flaw" in sides ? sides.flaw : "the partitions were split otherwise";
      found.push({ operator, atLeast: 0, first: [], flaw });
      continue;
    }
    const [main, other] = sides;
    const pairs = addresses.map((one) => [stateOf(env, main, finer, one), stateOf(env, other, finer, one)] as const);
    const { count, complete, first, flaws } = await changedKeys(requestClock, pairs, until);
    found.push({
      operator,
      ...(complete ? { count } : { atLeast: count }),
      first,
      ...(flaws.length === 0 ? {} : { flaw: flaws[0]! }),
    });
  }
  return found;
}
