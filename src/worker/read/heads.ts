/** How far partitions have come on a line, from D1 alone: one statement for each database and line. */
import { partitionName, type Stamp } from "../../engine/base/ids.ts";
import type { PartitionHead } from "../../engine/base/records.ts";
import { persistent } from "../../engine/base/retry.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP, type Lineage, partsOf } from "../lineage.ts";
import { requestClock } from "../request-clock.ts";
import { savepointStores } from "../timelines.ts";

/** Returns `operator/partition` of a partition's name, without its line. */
export const unlinedName = (name: string): string => name.slice(name.indexOf("/") + 1);

/** By `operator/partition`. Null if a snapshot covers a later event. */
type Heads = ReadonlyMap<string, number | null>;

export async function headsOn(env: Env, line: number, at: Stamp): Promise<Heads> {
  const heads = await Promise.all(
    savepointStores(env, line).map((store) => persistent(requestClock, "D1", () => store.heads(at))),
  );
  return new Map(heads.flat().map(([name, seq]: PartitionHead) => [unlinedName(name), seq] as const));
}

/** Returns the head of each partition at the stamp: null if D1 doesn't tell, 0 if nothing was logged. */
export async function headsAt(
  env: Env,
  lineage: Lineage,
  at: Stamp,
): Promise<(operator: string, partition: number) => number | null> {
  const parts = partsOf(lineage).toReversed();
  const heads = await Promise.all(parts.map(({ line, upTo }) => headsOn(env, line, at < upTo ? at : upTo)));
  return (operator, partition) => {
    const place = unlinedName(partitionName({ line: 0, operator, partition }));
    for (const one of heads) {
      const head = one.get(place);
      // A line without a row of the partition, or whose own log begins later, leaves it to the line that it starts from.
      if (head !== undefined) return head;
    }
    return 0;
  };
}

/** Returns the partitions of a line that replays the source, as `operator/partition`, that lack a row up to the stamp. */
export async function behindAt(env: Env, { line, ancestors }: Lineage, source: Lineage, at: Stamp): Promise<string[]> {
  const parts = partsOf(source);
  const [start] = ancestors;
  const [begun, own, ownAt, now, then, ...names] = await Promise.all([
    headsAt(env, { line: start!.line, ancestors: ancestors.slice(1) }, start!.at),
    headsOn(env, line, LAST_STAMP),
    headsOn(env, line, at),
    headsAt(env, source, LAST_STAMP),
    headsAt(env, source, at),
    ...parts.map((part) => headsOn(env, part.line, LAST_STAMP)),
  ]);
  const places = new Set(names.flatMap((heads) => [...heads.keys()]));
  return [...places].filter((place) => {
    // A snapshot of a later event covers all rows before.
    if (ownAt.get(place) === null) return false;
    const [operator, partition] = partsOfName(place);
    const head = own.get(place) ?? begun(operator, partition);
    const wanted = then(operator, partition);
    return wanted === null || head === null ? head !== now(operator, partition) : head < wanted;
  });
}

function partsOfName(place: string): readonly [operator: string, partition: number] {
  const [operator, partition] = place.split("/") as [string, string];
  return [operator, Number(partition)];
}
