/** The savepoints of a line in one database in memory, with the same guards as the SQL of d1-savepoints.ts. */
import { parsePartitionName } from "../engine/base/ids.ts";
import { SAVEPOINTS } from "../engine/base/limits.ts";
import type { SavepointStore } from "../engine/base/ports.ts";
import type { PartitionRow, Savepoint, Segment, Timeline } from "../engine/base/records.ts";

/** The part of a database that its savepoints need. */
interface Tables {
  readonly rows: ReadonlyMap<string, PartitionRow>;
  readonly kept: ReadonlyMap<string, { readonly retainFrom: number }>;
  readonly savepoints: Map<number, { -readonly [K in keyof Savepoint]: Savepoint[K] } & { readonly line: number }>;
  readonly timelines: ReadonlyMap<number, Timeline>;
  /** The number of the last savepoint. */
  number: number;
  /** Returns the rows above the partition's snapshot. */
  tail(name: string): readonly Segment[];
}

export function memorySavepoints(db: Tables, line: number): SavepointStore {
  const { savepoints } = db;
  const ofLine = () => [...savepoints.values()].filter((one) => one.line === line);
  const named = (name: string) => ofLine().find((one) => one.name === name);
  const isGone = (at: number) =>
    [...db.kept].some(([name, { retainFrom }]) => parsePartitionName(name).line === line && retainFrom > at) &&
    !ofLine().some((one) => one.at === at && one.state === "held");
  const partitions = () => [...db.rows].filter(([name]) => parsePartitionName(name).line === line);
  const shown = ({ number, name, at, createdMs, state }: Savepoint): Savepoint => ({
    number,
    name,
    at,
    createdMs,
    state,
  });
  return {
    all: async () =>
      ofLine()
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(shown),
    add: async (name, at, createdMs) => {
      const there = named(name);
      if (there !== undefined) return shown(there);
      const isStart = name.startsWith("@");
      if (isGone(at) || (isStart && db.timelines.get(Number(name.slice(1)))?.state !== "making")) return "gone";
      if (ofLine().length >= SAVEPOINTS) return "full";
      const number = (db.number += 1);
      savepoints.set(number, { number, name, at, createdMs, state: "taking", line });
      return shown(savepoints.get(number)!);
    },
    hold: async (savepoint) => {
      const there = named(savepoint.name);
      if (there?.number === savepoint.number) return "held";
      if (isGone(savepoint.at) || (there !== undefined && there.number > savepoint.number)) return "gone";
      if (there !== undefined) savepoints.delete(there.number);
      savepoints.set(savepoint.number, { ...savepoint, state: "held", line });
      return "held";
    },
    confirm: async (number) => {
      const there = savepoints.get(number);
      if (there?.state === "taking") there.state = "held";
      return there?.state ?? "gone";
    },
    withdraw: async (number) => {
      const there = savepoints.get(number);
      if (there !== undefined) there.state = "removing";
    },
    drop: async (number) => void savepoints.delete(number),
    heads: async (at) =>
      partitions().map(([name, { snapshotSeq, snapshotStamp }]) => [
        name,
        snapshotStamp > at ? null : (db.tail(name).findLast(({ stamp: of }) => of <= at)?.last ?? snapshotSeq),
      ]),
    unarchived: async () => partitions().flatMap(([name]) => db.tail(name)[0]?.stamp ?? []),
  };
}
