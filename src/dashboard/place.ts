/** The reader's place: the part of the address after "#", which no server sees. */
import { computed, signal } from "@preact/signals";

export type PageName = "partitions" | "keys" | "verify" | "quarantine";
export const PAGES: readonly (readonly [PageName, string])[] = [
  ["partitions", "Partitions"],
  ["keys", "Keys"],
  ["verify", "Recovery test"],
  ["quarantine", "Quarantine"],
];

export interface PagePlace {
  /** A page of the whole app, if `operator` is null. */
  readonly whole: "overview" | "timelines";
  readonly operator: string | null;
  readonly page: PageName;
  readonly query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

export const place = computed<PagePlace>(() => placeOf(hash.value));

function placeOf(address: string): PagePlace {
  const [path = "", query = ""] = address.replace(/^#/, "").split("?", 2);
  const [, first, operator, page] = path.split("/");
  const whole = first === "timelines" ? "timelines" : "overview";
  const known = PAGES.find(([name]) => name === page)?.[0] ?? "partitions";
  return {
    whole,
    operator: whole === "overview" && operator ? decode(operator) : null,
    page: known,
    query: new URLSearchParams(query),
  };
}

/** The page of all timelines. `timeline`: the one that is chosen. */
export const timelinesHref = (timeline?: string): string =>
  `#/timelines${timeline === undefined ? "" : `?${new URLSearchParams({ timeline }).toString()}`}`;

export function hrefOf(
  operator: string,
  page: PageName = "partitions",
  query: Readonly<Record<string, string>> = {},
): string {
  const text = new URLSearchParams(query).toString();
  return `#/operators/${encodeURIComponent(operator)}/${page}${text === "" ? "" : `?${text}`}`;
}

/**
 * Changes the open page's query without a step in the history, which each typed letter would add. Does nothing if the
 * address names another page: a late answer would take the reader back to the page that the reader has left.
 */
export function replace(href: string): void {
  const [open, wanted] = [placeOf(location.hash), placeOf(href)];
  if (open.whole !== wanted.whole || open.operator !== wanted.operator || open.page !== wanted.page) return;
  history.replaceState(null, "", href);
  hash.value = location.hash;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
