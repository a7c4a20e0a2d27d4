/* Results as text: one line for each row, in one order, and how two results differ. */
import type { Row } from "./query.ts";

/** The rows as NDJSON lines, sorted, so that two runs give equal texts. */
export const linesOf = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

/** The first lines that only one of two sorted lists has, as often as it has them more. */
export function differences(
  found: readonly string[],
  expected: readonly string[],
  most: number,
): { surplus: string[]; missing: string[] } {
  const [surplus, missing]: [string[], string[]] = [[], []];
  let [i, j] = [0, 0];
  while ((i < found.length || j < expected.length) && surplus.length + missing.length < most) {
    const [one, other] = [found[i], expected[j]];
    if (one === other) [i, j] = [i + 1, j + 1];
    else if (one !== undefined && (other === undefined || one < other)) surplus.push(found[i++]!);
    else missing.push(expected[j++]!);
  }
  return { surplus, missing };
}
