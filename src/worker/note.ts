/** One JSON line for each noteworthy thing; never event data, never a token. */
export function note(what: string, facts: Readonly<Record<string, string | number | boolean | null>>): void {
  // oxlint-disable-next-line no-console -- the one place that writes to the platform's log
  console.log(JSON.stringify({ note: what, ...facts }));
}
