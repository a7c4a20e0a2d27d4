/** Takes the picture of the README anew: `node test/e2e/picture.ts` writes docs/verify.png, with the bundled flights. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postLines, postEmpty, splitInto } from "../../src/local/client.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { readFlights } from "../../src/local/flights.ts";
import { startRuntime } from "../../src/local/runtime.ts";
import { startBrowser } from "./browser.ts";

const EVENTS = 6_000;
const AFTER_SNAPSHOT = 1_000;

const stateDir = mkdtempSync(join(tmpdir(), "keyframe-picture-"));
const runtime = await startRuntime({ port: 0, stateDir, vars: {} });
const browser = await startBrowser();
try {
  const lines = readFlights(EVENTS).map(({ line }) => line);
  const send = async (some: string[]): Promise<void> => {
    for (const chunk of splitInto(some, 1_000)) await postLines(runtime.url, chunk);
  };
  await send(lines.slice(0, -AFTER_SNAPSHOT));
  await postEmpty(`${runtime.url}/v1/operators/airport-delays/partitions/0/snapshot`);
  await send(lines.slice(-AFTER_SNAPSHOT));
  const context = await browser.newContext({ viewport: { width: 1_000, height: 640 }, colorScheme: "light" });
  const page = await context.newPage();
  await page.goto(`${runtime.url}/#/operators/airport-delays/verify?partition=0&key=ATL`);
  await page.getByRole("button", { name: "Evict…" }).click();
  await page.getByRole("button", { name: "Evict it" }).click();
  await page.getByRole("heading", { name: "Recovered, and nothing is missing" }).waitFor();
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(PROJECT_DIR, "docs", "verify.png") });
} finally {
  await browser.close();
  await runtime.stop();
  rmSync(stateDir, { recursive: true, force: true });
}
