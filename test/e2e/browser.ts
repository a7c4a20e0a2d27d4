/** A real browser for the dashboard's tests: the machine's own chromium, where it has one. */
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser's path, or null if there is none. CHROMIUM names one that stands elsewhere. */
export const chromiumPath: string | null =
  [process.env["CHROMIUM"] ?? "", ...PLACES].find((place) => place !== "" && existsSync(place)) ?? null;

export const NO_CHROMIUM = "skipped: no chromium here (apt-get install chromium, or CHROMIUM=/path/to/it)";

export async function startBrowser(): Promise<Browser> {
  // A container's root may not use the sandbox; what is opened here is our own page alone.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: chromiumPath!, args });
}
