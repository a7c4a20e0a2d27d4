/** The outcomes of a file's events: sums over all runs, by code, with the first events that were not accepted. */
import type { BatchOutcome, BatchCounts, LineError } from "./send-batch.ts";

export interface Summary extends BatchCounts {
  readonly events: number;
  /** Refused and rejected events by code. Answers list the first 100 of each batch; the rest is under `not_listed`. */
  readonly codes: Readonly<Record<string, number>>;
  readonly first: readonly LineError[];
}

const FIRST = 10;
const NOT_LISTED = "not_listed";

export const NO_EVENTS_SENT: Summary = {
  events: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  rejected: 0,
  quarantined: 0,
  codes: {},
  first: [],
};

export function plus(summary: Summary, events: number, { counts, errors }: BatchOutcome): Summary {
  // An event that two operators refuse is listed twice, and counts once.
  const byLine = new Map(errors.map((error) => [error.line, error]));
  const codes: Record<string, number> = { ...summary.codes };
  for (const { code } of byLine.values()) codes[code] = (Object.hasOwn(codes, code) ? codes[code]! : 0) + 1;
  const unlisted = counts.refused + counts.rejected - byLine.size;
  if (unlisted > 0) codes[NOT_LISTED] = (codes[NOT_LISTED] ?? 0) + unlisted;
  return {
    events: summary.events + events,
    accepted: summary.accepted + counts.accepted,
    duplicates: summary.duplicates + counts.duplicates,
    refused: summary.refused + counts.refused,
    rejected: summary.rejected + counts.rejected,
    quarantined: summary.quarantined + counts.quarantined,
    codes,
    first: [...summary.first, ...byLine.values()].slice(0, FIRST),
  };
}

const number = (value: number): string => value.toLocaleString("en-US");

/** The summary as text for a terminal. */
export function summaryText(summary: Summary, seconds: number, sentNow: number): string {
  const { events, accepted, duplicates, refused, rejected, quarantined } = summary;
  const kinds = Object.entries({ accepted, duplicates, refused, rejected }).filter(([, n]) => n > 0);
  const rate = seconds > 0 ? `, ${number(Math.round(sentNow / seconds))} a second` : "";
  const lines = [
    `${number(events)} events: ${kinds.map(([kind, n]) => `${number(n)} ${kind}`).join(", ") || "none"}${rate}`,
  ];
  if (quarantined > 0) lines.push(`${number(quarantined)} of them are quarantined: a handler threw`);
  for (const [code, n] of Object.entries(summary.codes).sort(([, a], [, b]) => b - a))
    lines.push(
      `  ${number(n).padStart(9)}  ${code === NOT_LISTED ? "more, whose codes the answers don't list" : code}`,
    );
  for (const { line, id, code, message, acceptedBy } of summary.first) {
    const others = acceptedBy === undefined ? "" : `; ${acceptedBy.join(", ")} accepted it`;
    lines.push(`  line ${line}${id === null ? "" : ` (${id})`}: ${code}, ${message}${others}`);
  }
  return lines.join("\n");
}
