/** How far partitions have come on a line, from D1 alone: one statement for each database and line. */
import { partitionName, type Stamp } from "../../engine/base/ids.ts";
import { type PartitionHead, partsIn, type Split } from "../../engine/base/records.ts";
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

/** The heads of a line at a stamp, with those of its past. */
export interface LineHeads {
  /** Returns null if D1 doesn't tell, 0 if nothing was logged. */
  of(operator: string, partition: number): number | null;
  /** The partitions that have a row, as `operator/partition`. */
  readonly names: ReadonlySet<string>;
}

export async function headsAt(env: Env, lineage: Lineage, at: Stamp): Promise<LineHeads> {
  const parts = partsOf(lineage).toReversed();
  const heads = await Promise.all(
    parts.map(async ({ line, upTo, split = {} }) => ({
      split,
      found: await headsOn(env, line, at < upTo ? at : upTo),
    })),
  );
  return {
    names: new Set(heads.flatMap(({ found, split }) => [...found.keys()].flatMap((name) => startingFrom(name, split)))),
    of: (operator, partition) => {
      for (const { found, split } of heads) {
        const earlier = Math.floor(partition / partsIn(split, operator));
        const head = found.get(unlinedName(partitionName({ line: 0, operator, partition: earlier })));
        // A line without a row of the partition leaves it to the line that it starts from.
        if (head !== undefined) return head;
      }
      return 0;
    },
  };
}

/** Returns the partitions that start from one of an earlier line, as `operator/partition`. */
function startingFrom(name: string, split: Split): readonly string[] {
  const [operator, partition] = partsOfName(name);
  const parts = partsIn(split, operator);
  return Array.from({ length: parts }, (_, i) =>
    unlinedName(partitionName({ line: 0, operator, partition: partition * parts + i })),
  );
}

/** Returns the partitions of a line that replays the source, as `operator/partition`, that lack a row up to the stamp. */
export async function behindAt(env: Env, { line, ancestors }: Lineage, source: Lineage, at: Stamp): Promise<string[]> {
  const [start] = ancestors;
  const [begun, own, ownAt, now, then] = await Promise.all([
    headsAt(env, { line: start!.line, ancestors: ancestors.slice(1) }, start!.at),
    headsOn(env, line, LAST_STAMP),
    headsOn(env, line, at),
    headsAt(env, source, LAST_STAMP),
    headsAt(env, source, at),
  ]);
  return [...now.names].filter((name) => {
    // A snapshot of a later event covers all rows before.
    if (ownAt.get(name) === null) return false;
    const [operator, partition] = partsOfName(name);
    const head = own.get(name) ?? begun.of(operator, partition);
    const wanted = then.of(operator, partition);
    return wanted === null || head === null ? head !== now.of(operator, partition) : head < wanted;
  });
}

export function partsOfName(name: string): readonly [operator: string, partition: number] {
  const [operator, partition] = name.split("/") as [string, string];
  return [operator, Number(partition)];
}
