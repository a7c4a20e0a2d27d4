/**
 * Lists all troubles in a few lines with links: pure, from the page's data.
 *
 * PROBLEMS1. The same trouble of several partitions is one line.
 * PROBLEMS2. A partition of which the page knows nothing is never shown as healthy.
 */
import type { Overview, PartitionGlance } from "../client/admin-answers.ts";
import { troublesOf, type Health } from "./health.ts";
import { hrefOf } from "./place.ts";
import { count, many } from "../client/amounts.ts";

export interface ProblemLine {
  readonly level: "note" | "bad";
  readonly text: string;
  readonly href: string;
}

export function problemsOf({ operators }: Overview, nowMs: number): ProblemLine[] {
  const lines = operators.flatMap((operator): ProblemLine[] => {
    const { name, lost, partitions } = operator;
    if (lost !== undefined) return [{ level: "bad", text: `${name} can't be used: ${lost}`, href: hrefOf(name) }];
    const byKind = new Map<string, { one: PartitionGlance; health: Health }[]>();
    for (const one of partitions)
      for (const health of troublesOf(one, operator, nowMs))
        byKind.set(health.kind, [...(byKind.get(health.kind) ?? []), { one, health }]);
    return [...byKind].map(([kind, all]) => lineOf(name, kind, all));
  });
  return lines.sort((a, b) => Number(b.level === "bad") - Number(a.level === "bad"));
}

/** Partitions that a line names. If there are more, it gives their number. */
const NAMED = 4;

const which = (partitions: readonly number[]): string =>
  partitions.length === 1
    ? `partition ${partitions[0]}`
    : partitions.length <= NAMED
      ? `partitions ${partitions.join(", ")}`
      : `${count(partitions.length)} partitions`;

function lineOf(
  name: string,
  kind: string,
  all: readonly { readonly one: PartitionGlance; readonly health: Health }[],
): ProblemLine {
  const [first] = all;
  const level = first!.health.level === "bad" ? "bad" : "note";
  if (kind === "events in quarantine") {
    const events = all.reduce((sum, { one }) => sum + one.quarantined, 0);
    return { level, text: `${name}: ${many(events, "event")} in quarantine`, href: hrefOf(name, "quarantine") };
  }
  const at = all.map(({ one }) => one.partition);
  // The partition's own page has the rest of a long sentence.
  const what = all.length === 1 ? first!.health.why.split(";")[0]! : kind;
  return {
    level,
    text: `${name}, ${which(at)}: ${what}`,
    href: hrefOf(name, "partitions", { partition: String(at[0]) }),
  };
}
