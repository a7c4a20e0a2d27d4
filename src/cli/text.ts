/** Numbers and tables for people. */
import { stripVTControlCharacters } from "node:util";

type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

export type Paint = (colour: Colour, text: string) => string;

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

/** The smallest value that at least this share of the values doesn't exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
