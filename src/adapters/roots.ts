/** Roots as D1 gives them: the results of several statements, read as one value. */
import { Failure } from "../engine/base/errors.ts";
import type { Stamp } from "../engine/base/ids.ts";
import type { PartitionRow, Pin, Point, Roots } from "../engine/base/records.ts";

type StoredPoint = Omit<Point, "files" | "intact"> & { readonly files: string; readonly intact: number };

/** Reads the results of RETENTION, POINTS_OF, PINS_OF, SAVEPOINTS_OF and REMOVED. */
export function rootsFrom(results: readonly D1Result<never>[]): Roots | null {
  const [rows, points, pins, savepoints, removed] = results.map((one) => one.results as unknown[]);
  if (removed!.length > 0) throw new Failure("line_gone", "the line of history was removed");
  const found = rows![0] as (PartitionRow & Pick<Roots, "retainFrom" | "archiveFrom">) | undefined;
  if (found === undefined) return null;
  const { retainFrom, archiveFrom, ...row } = found;
  const read = (point: StoredPoint): Point => ({
    ...point,
    files: JSON.parse(point.files) as string[],
    intact: point.intact === 1,
  });
  return {
    row,
    points: (points as StoredPoint[]).map(read),
    pins: pins as Pin[],
    savepoints: (savepoints as { readonly at: Stamp }[]).map(({ at }) => at),
    retainFrom,
    archiveFrom,
  };
}
