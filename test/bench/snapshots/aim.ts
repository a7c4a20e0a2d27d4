// The aims for snapshots, and what came of them.

import { short, table } from "../table.ts";

export interface Aim {
  readonly what: string;
  readonly value: number;
  /** `within`: a ratio that may be off by this factor to either side. */
  readonly bound: { readonly most: number } | { readonly least: number } | { readonly within: number };
}

/**
 * The result of a part of the benchmark; `text`: absolute values, which say little on a machine that does other things
 * too.
 */
export interface Found {
  readonly aims: readonly Aim[];
  readonly text: string;
}

export const reached = ({ value, bound }: Aim): boolean => {
  if (!Number.isFinite(value)) return false;
  if ("most" in bound) return value <= bound.most;
  if ("least" in bound) return value >= bound.least;
  return value <= bound.within && value >= 1 / bound.within;
};

export function aimTable(aims: readonly Aim[]): string {
  const rows = aims.map((aim) => [aim.what, short(aim.value), aimText(aim), reached(aim) ? "reached" : "MISSED"]);
  return table(["aim", "value", "promised", ""], rows);
}

function aimText({ bound }: Aim): string {
  if ("most" in bound) return `<= ${bound.most}`;
  if ("least" in bound) return `>= ${bound.least}`;
  return `${short(1 / bound.within)} to ${bound.within}`;
}
