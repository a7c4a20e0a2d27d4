/** Numbers and tables for people. */
import { stripVTControlCharacters } from "node:util";

type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

export type Paint = (colour: Colour, text: string) => string;

export const count = (n: number): string => n.toLocaleString("en-US");

export function bytes(n: number): string {
  if (n < 1_000) return `${n} B`;
  if (n < 1_000_000) return `${(n / 1_000).toFixed(n < 10_000 ? 1 : 0)} KB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
}

export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return ms < 86_400_000 ? `${Math.floor(ms / 3_600_000)} h` : `${Math.floor(ms / 86_400_000)} d`;
}

/** Returns "500ms", "30s", "5m", "24h", "7d" in milliseconds, or null if the text is no time. */
export function durationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return match === null ? null : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The age of something that began at an RFC 3339 time. A clock that is behind gives 0, never a negative age. */
export const age = (at: string, nowMs: number): string => span(Math.max(0, nowMs - Date.parse(at)));

/** JSON escapes control characters, so that no key can move the cursor. */
export const quoted = (text: string): string => JSON.stringify(text);

/**
 * A text for a terminal: escapes characters that JSON leaves as they are, and that a terminal obeys or a reader
 * misreads.
 * DEL and C1 controls are escaped, since some terminals obey them. Bidirectional marks and overrides are escaped, since
 * they show text in another order. C0 controls are escaped, except line ends, tabs and the command line's own colours.
 */
export const forTerminal = (text: string): string =>
  text.replaceAll(UNSHOWN, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const UNSHOWN =
  // oxlint-disable-next-line no-control-regex -- they are what it is about
  /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\u001b(?!\[(?:1|2|22|3[1236]|39)m)/g;

/** `>` before a heading aligns its column to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string[] {
  const names = headings.map((heading) => heading.replace(/^>/, ""));
  const widths = names.map((name, i) => rows.reduce((most, row) => Math.max(most, widthOf(row[i]!)), name.length));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const space = " ".repeat(widths[i]! - widthOf(cell));
        return headings[i]!.startsWith(">") ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  return [paint("dim", line(names)), ...rows.map(line)];
}

/** The width without a cell's colours. */
const widthOf = (cell: string): number => stripVTControlCharacters(cell).length;

/** A line of NDJSON from members that are JSON texts already, so that a file's text is shown byte for byte. */
export function jsonLine(members: Readonly<Record<string, string | undefined>>, paint: Paint): string {
  const parts = Object.entries(members).flatMap(([name, text]) =>
    text === undefined ? [] : [`${paint("dim", `${JSON.stringify(name)}:`)}${text}`],
  );
  return `{${parts.join(",")}}`;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The smallest value that at least this share of the values doesn't exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
