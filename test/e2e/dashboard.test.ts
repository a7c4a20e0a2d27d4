/** The dashboard in a real browser, against the real app. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { buildDashboard, writeDashboard } from "../../src/local/build-dashboard.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { chromiumPath, NO_CHROMIUM, startBrowser } from "./browser.ts";
import { PATIENCE_MS } from "./command.ts";
import { Frames } from "./frames.ts";
import type { Overview } from "../../src/client/admin-answers.ts";
import { mockedOverview } from "./mocked-overview.ts";

const CONFIG = join(PROJECT_DIR, "test", "e2e", "dashboard", "wrangler.toml");
const AXE = readFileSync(join(PROJECT_DIR, "node_modules", "axe-core", "axe.min.js"), "utf8");
/** Bytes that all of it may have, packed. */
const BUDGET = 150_000;

/** Every page, with what shows that it is there. */
const PAGES: readonly (readonly [hash: string, there: string])[] = [
  ["#/", ".gauge"],
  ["#/operators/meters/partitions?partition=1", ".recoveries"],
  ["#/operators/idle/partitions", ".gauge"],
  ["#/operators/meters/keys?prefix=house&key=house-1", ".leaf"],
  ["#/operators/meters/keys?key=house-1&at=-1s", ".then"],
  ["#/operators/meters/verify?partition=1", ".actions"],
  ["#/operators/meters/quarantine", ".cards li"],
  ["#/timelines", ".lanes .name"],
];

interface Findings {
  readonly passes: number;
  readonly serious: readonly string[];
}

/** For the page: a tab that is shown or hidden. As a text, since these tests know no DOM. */
const visible = (shown: boolean): string => `
  Object.defineProperty(document, "hidden", { value: ${!shown}, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));`;

test(`all of it weighs less than ${BUDGET / 1000} KB`, async () => {
  const files = Object.values(await buildDashboard());
  expect(files.length).toBe(3);
  const packed = files.map(({ text }) => gzipSync(text).length).reduce((a, b) => a + b);
  expect(packed).toBeGreaterThan(10_000);
  expect(packed).toBeLessThan(BUDGET);
  expect(files.map(({ text }) => brotliCompressSync(text).length).reduce((a, b) => a + b)).toBeLessThan(packed);
});

test.runIf(chromiumPath === null)(NO_CHROMIUM, (context) => context.skip(NO_CHROMIUM));

describe.skipIf(chromiumPath === null)("in chromium", () => {
  let stateDir: string;
  let runtime: Runtime;
  let browser: Browser;
  const opened: Page[] = [];
  let events = 0;

  beforeAll(async () => {
    stateDir = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
    await writeDashboard();
    [runtime, browser] = await Promise.all([startApp({}), startBrowser()]);
    await send(reads(300));
    await send([split("never-read")]);
    for (const partition of [0, 1, 2, 3])
      expect((await post(`/v1/operators/meters/partitions/${partition}/snapshot`)).status).toBe(200);
    await send(reads(50));
  });
  afterEach(async () => {
    for (const page of opened.splice(0)) await page.context().close();
  });
  afterAll(async () => {
    await browser?.close();
    await runtime?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const startApp = (vars: Record<string, string>): Promise<Runtime> =>
    startRuntime({ port: 0, stateDir, configPath: CONFIG, vars });
  const post = (path: string, body = ""): Promise<Response> =>
    fetch(runtime.url + path, { method: "POST", headers: { "content-type": "application/json" }, body });
  async function send(all: readonly object[]): Promise<void> {
    const answer = await post("/v1/events", JSON.stringify(all));
    expect(answer.status, await answer.text()).toBe(200);
  }
  const read = (meter: string): object => ({ id: `e${events++}`, type: "meter.read", data: { meter, kwh: 1.5 } });
  const reads = (n: number): object[] => Array.from({ length: n }, (_, i) => read(`house-${i % 60}`));
  const split = (meter: string): object => ({ id: `e${events++}`, type: "meter.split", data: { meter } });

  interface Opened {
    readonly page: Page;
    /** The page's complaints, and the addresses that it asked. */
    readonly errors: string[];
    readonly asked: URL[];
  }

  async function open(hash = "#/", options: BrowserContextOptions = {}, url = runtime.url): Promise<Opened> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    opened.push(page);
    const [errors, asked]: [string[], URL[]] = [[], []];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") errors.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith("data:")) asked.push(new URL(request.url()));
    });
    await page.goto(`${url}/${hash}`);
    return { page, errors, asked };
  }

  test.each(PAGES)("%s loads without an error and asks nobody but the app", async (hash, there) => {
    const { page, errors, asked } = await open(hash);
    await page.locator(there).first().waitFor();
    await page.getByText("live", { exact: true }).first().waitFor();
    expect(errors).toEqual([]);
    expect(new Set(asked.map(({ origin }) => origin))).toEqual(new Set([runtime.url]));
    expect(await page.title()).toMatch(/ · Keyframe$/);
  });

  test("SNAP9: overview and operator pages ask only what D1 answers, and nothing while hidden", async () => {
    const { page, asked } = await open("#/operators/meters/partitions?partition=1");
    await page.locator(".stems").waitFor();
    await page.goto(`${runtime.url}/#/`);
    const looks = (): number => asked.filter(({ pathname }) => pathname === "/v1/overview").length;
    await expect.poll(looks).toBeGreaterThan(2);
    const routes = asked.map(({ pathname, search }) => pathname + search).filter((path) => path.startsWith("/v1/"));
    expect(new Set(routes)).toEqual(
      new Set(["/v1/overview", "/v1/operators/meters/partitions/1", "/v1/operators/meters/partitions/1/manifests"]),
    );
    await page.evaluate(visible(false));
    const before = looks();
    // Longer than the pause between two looks.
    await page.waitForTimeout(5_000);
    expect(looks()).toBe(before);
    await page.evaluate(visible(true));
    await expect.poll(looks).toBeGreaterThan(before);
  });

  test("the keyboard reaches everything", async () => {
    const { page } = await open("#/");
    await page.locator(".gauge").first().waitFor();
    const focused = (): Promise<string> =>
      page.evaluate<string>("document.activeElement.ariaLabel ?? document.activeElement.textContent");
    await page.keyboard.press("Tab");
    expect(await focused()).toMatch(/^Skip/);
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("main");
    expect(page.url()).toMatch(/#\/$/);
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Ask every partition");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("meters: 1 event in quarantine");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("meters");
    await page.keyboard.press("Tab");
    expect(await focused()).toMatch(/^partition 0: /);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await focused()).toMatch(/^partition 2: \d+ events? not yet in a snapshot/);
    // One stop for the whole strip.
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("idle");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Partition 3" }).waitFor();
    expect(await page.evaluate("document.activeElement.tagName")).toBe("H1");
    expect(page.url()).toContain("partition=3");
  });

  test.each([375, 320])("at %i pixels nothing scrolls sideways", async (width) => {
    const { page } = await open("#/", { viewport: { width, height: 700 } });
    for (const [hash, there] of PAGES) {
      await page.goto(`${runtime.url}/${hash}`);
      await page.locator(there).first().waitFor();
      const over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      expect({ hash, over }).toEqual({ hash, over: 0 });
    }
  });

  test("the key browser finds by prefix, shows state as a tree, and follows changes", async () => {
    const { page } = await open("#/operators/meters/keys");
    await page.getByLabel("Prefix").fill("house-59");
    await expect.poll(() => page.locator(".keylist a").count()).toBe(1);
    await page.locator(".keylist a").click();
    await page.getByRole("heading", { name: "house-59" }).waitFor();
    // The first is the state as it is; below it, its history has one more for each event.
    const all = page.locator(".leaf", { hasText: "reads" }).locator(".value");
    const reads = all.first();
    const before = Number(await reads.textContent());
    expect(before).toBeGreaterThan(0);
    await send([read("house-59")]);
    await expect.poll(() => reads.textContent()).toBe(String(before + 1));
    await expect.poll(() => all.count()).toBeGreaterThan(before);
    // Members open and close by themselves.
    await page.getByText("tenths", { exact: true }).first().click();
    await expect.poll(() => page.locator(".leaf", { hasText: /^0/ }).first().isVisible()).toBe(false);
    await page.getByLabel("Prefix").fill("no such key");
    await page.getByText("No key begins with this.").waitFor();
  });

  test("evict, and the recovery is shown: the same values, from a snapshot and the log, in phases", async () => {
    const status = (): Promise<{ appliedSeq: number }> =>
      fetch(`${runtime.url}/v1/operators/meters/partitions/1`).then(
        (answer) => answer.json() as Promise<{ appliedSeq: number }>,
      );
    const { appliedSeq } = await status();
    const { page, errors } = await open("#/operators/meters/verify?partition=1");
    await page.getByRole("button", { name: "Evict…" }).click();
    await page.getByRole("button", { name: "Leave it" }).click();
    expect(await page.locator(".result").count()).toBe(0);
    await page.getByRole("button", { name: "Evict…" }).click();
    await page.getByRole("button", { name: "Evict it" }).click();
    const result = page.locator(".result");
    await result.getByRole("heading", { name: "Recovered, and nothing is missing" }).waitFor();
    const text = await result.innerText();
    expect(text).toMatch(
      /\d m?s = open [\d.]+ m?s \+ load [\d.]+ m?s \+ replay [\d.]+ m?s( \+ rest [\d.]+ m?s)?; from snapshot \d+, \d+ events? replayed/,
    );
    const rows = await result.locator("tbody tr").allInnerTexts();
    expect(rows.map((row) => row.split("\t"))).toEqual([
      ["events applied", String(appliedSeq), String(appliedSeq), "same"],
      ...Array.from({ length: 3 }, () => [
        expect.stringMatching(/^house-/),
        expect.anything(),
        expect.anything(),
        "same",
      ]),
    ]);
    await page.getByRole("button", { name: "Snapshot now" }).click();
    await page.getByRole("heading", { name: /^Snapshot \d+ is current$/ }).waitFor();
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByRole("heading", { name: "Rebuilt, and equal" }).waitFor();
    expect(errors).toEqual([]);
  });

  test("a key that lives elsewhere, or nowhere, is said to", async () => {
    const { page } = await open("#/operators/meters/verify?partition=1&key=nowhere");
    await page.getByRole("button", { name: "Evict…" }).click();
    await page.getByRole("button", { name: "Evict it" }).click();
    await page.getByText(`the key "nowhere" has no state`).waitFor();
    expect(await page.locator(".result").count()).toBe(0);
  });

  test("a quarantined event is retried, and another deleted only when that was confirmed", async () => {
    await send([split("retried"), split("deleted")]);
    const { page } = await open("#/operators/meters/quarantine");
    const card = (key: string) => page.locator(".cards > li", { has: page.getByText(key, { exact: true }) });
    const group = page.getByRole("region", { name: "meter.split: Error: a meter without reads can't be split" });
    await group.getByRole("heading", { name: "3 events of meter.split" }).waitFor();
    // Where it was thrown, and by which code; what it holds stands before all else.
    expect(await group.locator(".stack").innerText()).toMatch(/meter\.split|index/);
    expect(await card("retried").innerText()).toMatch(/^data/);
    expect(await card("retried").innerText()).toContain("operator version 1");
    await card("retried").getByRole("button", { name: "Retry" }).click();
    await page.getByText(/threw again: a meter without reads/).waitFor();

    await send([read("retried")]);
    await page.getByRole("button", { name: "Look again" }).click();
    await card("retried").getByRole("button", { name: "Retry" }).click();
    await page.getByText(/^Event \d-\d+ is applied\.$/).waitFor();
    await expect.poll(() => card("retried").count()).toBe(0);
    const state = await fetch(`${runtime.url}/v1/operators/meters/state?key=retried`);
    expect(await state.json()).toMatchObject({ value: { kwh: 0.75 } });

    await card("deleted").getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Keep it" }).click();
    await card("deleted").getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete it" }).click();
    await page.getByText(/^Event \d-\d+ is deleted\.$/).waitFor();
    await expect.poll(() => card("deleted").count()).toBe(0);
  });

  test("many are retried, or deleted, at once, when that was confirmed; the tab counts them", async () => {
    await send([split("many-1"), split("many-2"), split("many-3")]);
    const { page } = await open("#/operators/meters/quarantine");
    const badge = page.locator(".tabs .badge");
    await badge.getByText("4", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Retry all 4…" }).click();
    await page.getByRole("button", { name: "Retry them" }).click();
    await page.getByText(/^0 events applied, 4 threw again/).waitFor();
    await send([read("many-1"), read("many-2"), read("many-3")]);
    await page.getByRole("button", { name: "Retry all 4…" }).click();
    await page.getByRole("button", { name: "Retry them" }).click();
    await page.getByText(/^3 events applied, 1 threw again/).waitFor();
    await badge.getByText("1", { exact: true }).waitFor();
    await send([split("gone-1"), split("gone-2")]);
    await page.getByRole("button", { name: "Look again" }).click();
    await page.getByRole("button", { name: "Delete all 3…" }).click();
    await page.getByRole("button", { name: "Keep them" }).click();
    await page.getByRole("button", { name: "Delete all 3…" }).click();
    await page.getByRole("button", { name: "Delete them" }).click();
    await page.getByText("3 events deleted.").waitFor();
    await page.getByText("Empty: no event of this operator is quarantined.").waitFor();
    await expect.poll(() => badge.count()).toBe(0);
    await send([split("never-read")]);
  });

  test("a key's history shows each event's data in a line, and what it changed", async () => {
    await send([read("told")]);
    await send([read("told")]);
    const { page } = await open("#/operators/meters/keys?key=told");
    const items = page.locator(".history > li");
    await expect.poll(() => items.count()).toBe(2);
    expect(await items.first().innerText()).toContain('{"meter":"told","kwh":1.5}');
    expect(await items.first().locator(".changes li").allInnerTexts()).toEqual(["kwh 1.5 → 3", "reads 1 → 2"]);
    expect(await items.last().locator(".changes li").first().innerText()).toBe("kwh none → 1.5");
    // When, in both ways.
    expect(await items.first().locator("time").innerText()).toMatch(/(just now|ago), \d\d:\d\d:\d\d$/);
  });

  test("a key's state at a moment stands beside the present one, and the address keeps its stamp", async () => {
    await send([read("past")]);
    const now = await fetch(`${runtime.url}/v1/operators/meters/state?key=past&at=now`);
    const { at } = (await now.json()) as { readonly at: number };
    await send([read("past")]);
    const { page } = await open("#/operators/meters/keys?key=past");
    const present = page.locator(".pair > section:not(.then) .leaf", { hasText: "reads" }).locator(".value");
    const then = page.locator(".then");
    const read1 = then.locator(".leaf", { hasText: "reads" }).locator(".value");
    await page.getByRole("textbox", { name: "As of" }).fill(String(at));
    await page.keyboard.press("Enter");
    await read1.waitFor();
    expect([await read1.textContent(), await present.textContent()]).toEqual(["1", "2"]);
    expect(await then.innerText()).toContain(`stamp ${at}`);
    expect(await page.locator(".since li").allInnerTexts()).toEqual(["kwh 1.5 → 3", "reads 1 → 2"]);

    // "now" becomes a stamp, which a link keeps.
    await page.getByRole("textbox", { name: "As of" }).fill("now");
    await page.getByRole("button", { name: "Show" }).click();
    await expect.poll(() => read1.textContent(), { timeout: PATIENCE_MS }).toBe("2");
    await send([read("past")]);
    await expect.poll(() => present.textContent(), { timeout: PATIENCE_MS }).toBe("3");
    expect(page.url()).toMatch(/[?&]at=\d{16}$/);
    await page.reload();
    await read1.waitFor();
    expect(await read1.textContent()).toBe("2");

    await page.getByRole("textbox", { name: "As of" }).fill("2001-01-01T00:00:00Z");
    await page.keyboard.press("Enter");
    await then.getByText("This key had no state.").waitFor();
    await page.getByRole("textbox", { name: "As of" }).fill("2125-01-01T00:00:00Z");
    await page.keyboard.press("Enter");
    await page.getByText("(not_settled)").waitFor();
    expect(await then.count()).toBe(0);
    await page.getByRole("textbox", { name: "As of" }).fill("");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.url()).not.toContain("at=");
  });

  describe("the slider of moments", () => {
    const slider = (page: Page) => page.getByRole("slider", { name: /^Moment/ });
    const glimpse = (page: Page, key: string) => page.locator(".keylist a", { hasText: key }).locator(".glimpse");

    test("goes by keyboard from now to the oldest moment and back, for the list and the key", async () => {
      await send([read("slid")]);
      const { page, errors } = await open("#/operators/meters/keys?prefix=slid&key=slid");
      await glimpse(page, "slid").waitFor();
      expect(await slider(page).getAttribute("aria-valuetext")).toBe("now");
      await slider(page).focus();
      await page.keyboard.press("Home");
      await page.locator(".then").getByText("This key had no state.").waitFor();
      await page.getByText("No key begins with this.").waitFor();
      await expect.poll(() => page.url()).toMatch(/[?&]at=\d{16}$/);
      expect(await slider(page).getAttribute("aria-valuetext")).toMatch(/^[\d: -]+, .+ ago$/);
      expect(await page.locator(".chosen-moment").innerText()).toBe(await slider(page).getAttribute("aria-valuetext"));
      const start = Number(await slider(page).inputValue());
      await page.keyboard.press("PageUp");
      await expect.poll(async () => Number(await slider(page).inputValue())).toBeGreaterThan(start);
      await page.keyboard.press("End");
      await glimpse(page, "slid").waitFor();
      await expect.poll(() => page.url()).not.toContain("at=");
      expect(await page.locator(".then").count()).toBe(0);
      expect(errors.filter((error) => !error.includes("404"))).toEqual([]);
    });

    test("has the savepoints on it, and shows both of one moment", async () => {
      await send([read("saved")]);
      const made = await fetch(`${runtime.url}/v1/savepoints/e2e-slider`, { method: "PUT" });
      const { at } = (await made.json()) as { readonly at: number };
      await send([read("saved")]);
      const { page } = await open("#/operators/meters/keys?prefix=saved");
      await expect.poll(() => glimpse(page, "saved").innerText()).toContain('"reads":2');
      expect(await page.locator(".marks i").first().getAttribute("title")).toMatch(/^e2e-slider, /);
      await page.getByRole("button", { name: "e2e-slider" }).click();
      await expect.poll(() => glimpse(page, "saved").innerText()).toContain('"reads":1');
      await page.locator(".keylist a").click();
      await page.locator(".then").getByText(`stamp ${at}`).waitFor();
      expect(page.url()).toContain(`at=${at}`);
      // A name that is typed means the same stamp.
      await page.getByRole("button", { name: "Back to now" }).click();
      await expect.poll(() => page.url()).not.toContain("at=");
      await page.getByRole("textbox", { name: "As of" }).fill("e2e-slider");
      await page.keyboard.press("Enter");
      await expect.poll(() => page.url()).toContain(`at=${at}`);
      await fetch(`${runtime.url}/v1/savepoints/e2e-slider`, { method: "DELETE" });
    });

    test.each([
      ["moment_gone", 410, /^Retention has given up this moment\. The oldest that can be read is [\d: -]+\./],
      ["not_settled", 409, /^This moment is in the future, or so recent/],
      ["invalid_moment", 400, /^This is no moment\. Write a time as/],
      ["no_savepoint", 404, /^There is no savepoint of this name\./],
    ])("says %s in words", async (code, status, words) => {
      const { page } = await open("#/operators/meters/keys?prefix=house");
      await page.locator(".keylist a").first().waitFor();
      await page.route("**/state?*at=*", (route) =>
        route.fulfill({
          status,
          contentType: "application/problem+json",
          json: { code, detail: "the detail", oldest: 1, oldestTime: "2026-01-31T12:00:00Z" },
        }),
      );
      await page.getByRole("textbox", { name: "As of" }).fill("-90m");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").waitFor();
      expect(await page.getByRole("alert").innerText()).toMatch(words);
      expect(await page.getByRole("alert").innerText()).toContain(`(${code})`);
      await page.getByText("No keys of that moment to show.").waitFor();
      await page.getByRole("button", { name: "Back to now" }).click();
      await page.locator(".keylist a").first().waitFor();
      expect(await page.getByRole("alert").count()).toBe(0);
    });
  });

  describe("what is wrong", () => {
    /** The answer as an app with these troubles would give it. */
    const withTroubles = (page: Page) =>
      page.route("**/v1/overview", async (route) => {
        const found = (await (await route.fetch()).json()) as Overview;
        const operators = found.operators.map((one) => {
          if (one.name !== "meters") return one;
          const partitions = one.partitions.map((partition, i) => ({
            ...partition,
            quarantined: i === 0 ? 12 : 0,
            ...(i === 1 ? { snapshotFailures: 3 } : {}),
          }));
          const lost = { partition: 2, unknown: "store_unavailable" };
          return { ...one, partitions: [...partitions.slice(0, 2), lost, ...partitions.slice(3)] };
        });
        await route.fulfill({ json: { ...found, operators } });
      });

    test.each([1280, 375])("stands first, with links, at %i pixels", async (width) => {
      const { page } = await open("about:blank", { viewport: { width, height: 700 } });
      await withTroubles(page);
      await page.goto(`${runtime.url}/#/`);
      const lines = page.locator(".state li");
      await expect
        .poll(() => lines.allInnerTexts())
        .toEqual([
          "meters, partition 1: its last 3 attempts at a snapshot failed",
          "meters, partition 2: its database doesn't answer: store_unavailable",
          "meters: 12 events in quarantine",
        ]);
      const place = await page.locator(".state").boundingBox();
      expect(place!.y).toBeLessThan((await page.getByRole("heading", { name: "Overview" }).boundingBox())!.y);
      expect(place!.y + place!.height).toBeLessThan(700);
      await page.getByText("without 1 partition whose state is unknown").waitFor();
      await lines.nth(2).locator("a").click();
      await page.getByRole("heading", { name: /^Quarantine/ }).waitFor();
    });

    test("a partition that refuses is known once it is asked, and no table calls it healthy", async () => {
      const { page } = await open("#/operators/meters/partitions");
      await page.route("**/partitions/3?live=true", (route) =>
        route.fulfill({
          status: 503,
          contentType: "application/problem+json",
          json: { code: "log_rewound", detail: "the database was restored to an older point: D1 says seq 40; decide" },
        }),
      );
      await page.getByText("from D1", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Ask every partition" }).click();
      await page.getByText(/^1 of 5 partitions refused at /).waitFor();
      await page.locator(".state li", { hasText: "meters, partition 3: refuses with log_rewound" }).waitFor();
      await expect.poll(() => page.locator("tbody tr").nth(3).innerText()).toMatch(/refuses with log_rewound/);
    });

    test("an app that doesn't answer greys everything out, and is not called healthy", async () => {
      const { page } = await open("#/operators/meters/partitions");
      await page
        .locator(".state")
        .getByText("Healthy")
        .or(page.locator(".state").getByText("problem"))
        .first()
        .waitFor();
      await page.route("**/v1/**", (route) => route.abort());
      await page.getByText("The app doesn't answer").waitFor();
      expect(await page.getByText(/^healthy$/).count()).toBe(0);
      expect(await page.locator(".big").innerText()).toBe("–");
      expect(await page.evaluate("getComputedStyle(document.querySelector('.panel')).filter")).toBe("grayscale(1)");
      expect(await page.evaluate("getComputedStyle(document.querySelector('.state')).filter")).toBe("none");
      await page.unroute("**/v1/**");
      await page.locator(".stale").waitFor({ state: "detached" });
    });

    test("charts begin with a past, and the last hour's counts stand below", async () => {
      const { page } = await open("#/");
      const bars = page.locator(".hour li");
      await expect.poll(() => bars.count()).toBeGreaterThanOrEqual(5);
      const texts = await bars.allInnerTexts();
      for (const name of ["duplicates", "refused", "quarantined", "failed snapshots", "commit"])
        expect(texts.some((text) => text.startsWith(name))).toBe(true);
      expect(await bars.last().innerText()).toMatch(/^commit\s+[\d.]+ m?s, at most [\d.]+ m?s$/);
    });
  });

  test("is dark where the system is, or where one says so, and remembers it", async () => {
    const paper = (page: Page): Promise<number> =>
      page.evaluate<number>("Number(/[0-9]+/.exec(getComputedStyle(document.documentElement).backgroundColor)[0])");
    const { page } = await open("#/", { colorScheme: "dark" });
    expect(await paper(page)).toBeLessThan(60);
    await page.getByRole("button", { name: "Theme: auto" }).click();
    expect(await paper(page)).toBeGreaterThan(200);
    await page.reload();
    await page.getByRole("button", { name: "Theme: light" }).click();
    await page.getByRole("button", { name: "Theme: dark" }).waitFor();
    expect(await paper(page)).toBeLessThan(60);
  });

  test.each(["light", "dark"] as const)("axe finds nothing serious in the %s pages", async (colorScheme) => {
    const { page } = await open("#/", { colorScheme, bypassCSP: true });
    for (const [hash, there] of PAGES) {
      await page.goto(`${runtime.url}/${hash}`);
      await page.locator(there).first().waitFor();
      await page.evaluate(AXE);
      const found = await page.evaluate<Findings>(`axe.run().then(({ violations, passes }) => ({
        passes: passes.length,
        serious: violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")),
      }))`);
      expect(found.passes).toBeGreaterThan(10);
      expect({ hash, serious: found.serious }).toEqual({ hash, serious: [] });
    }
  });

  test("a row out of sight hears some of the news, and all of it once it is seen", async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    opened.push(page);
    let looks = 0;
    const from = Date.now();
    await page.route("**/v1/overview", (route) =>
      route.fulfill({ json: mockedOverview(from + looks * 1_000, ++looks) }),
    );
    await page.goto(`${runtime.url}/#/operators/many/partitions`);
    await page.locator("tbody tr").nth(63).waitFor();
    // The overviews that the first and the last row show, at each change; the next overview is asked for then.
    await page.evaluate(`{
      const shown = (row) => document.querySelectorAll("tbody tr")[row].querySelectorAll("td")[2];
      const step = (row) => (Number(shown(row).textContent.replaceAll(",", "")) - 100_000) / (900 + row * 7);
      window.steps = [];
      const changes = new MutationObserver(() => {
        window.steps.push([step(0), step(63)]);
        document.dispatchEvent(new Event("visibilitychange"));
      });
      for (const row of [0, 63]) changes.observe(shown(row), { characterData: true, childList: true, subtree: true });
    }`);
    const stepsSoFar = (): Promise<[number, number][]> => page.evaluate<[number, number][]>("window.steps");
    const isBehind = ([seen, unseen]: readonly [number, number]): boolean => unseen < seen;
    const caughtUp = (steps: readonly (readonly [number, number])[]): number =>
      steps.slice(1).filter((now, i) => isBehind(steps[i]!) && !isBehind(now)).length;
    await expect.poll(async () => caughtUp(await stepsSoFar())).toBeGreaterThanOrEqual(2);
    let missed = 0;
    for (const now of await stepsSoFar()) {
      // A row shows one overview or another, and no row is ahead of the one in sight.
      expect(now.map((step) => Number.isInteger(step))).toEqual([true, true]);
      expect(now[1]).toBeLessThanOrEqual(now[0]);
      missed = isBehind(now) ? missed + 1 : 0;
      expect(missed).toBeLessThan(8);
    }
    await page.evaluate(`document.querySelectorAll("tbody tr")[63].scrollIntoView()`);
    await expect.poll(async () => (await stepsSoFar()).some(([above, below]) => below > above)).toBe(true);
  });

  // A measurement, made when it is asked for: no time is asserted.
  test.runIf(process.env["FRAMES"] === "1").each([
    ["the overview", "#/"],
    ["the operator's page", "#/operators/many/partitions"],
  ])("64 partitions that change each second: %s, in milliseconds", async (what, hash) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    opened.push(page);
    let at = Date.now();
    let looks = 0;
    await page.route("**/v1/overview", (route) => route.fulfill({ json: mockedOverview((at += 1_000), ++looks) }));
    await page.goto(`${runtime.url}/${hash}`);
    await page.locator(".gauge").nth(63).waitFor();
    // Each second, though the page itself asks every two: coming back to it makes it look at once.
    await page.evaluate(`void setInterval(() => document.dispatchEvent(new Event("visibilitychange")), 1000)`);
    const frames = await Frames.record(browser, page, 12_000);
    expect(looks).toBeGreaterThan(9);
    const text = (worst: readonly number[]): string => worst.map((ms) => ms.toFixed(1)).join(", ");
    const [turns, updates] = [frames.longest(5), frames.busiest(5)];
    process.stdout.write(`64 partitions, ${what}: the longest turns ${text(turns)} ms\n`);
    process.stdout.write(`64 partitions, ${what}: an update and its drawing ${text(updates)} ms\n`);
    expect([turns.length, updates.length]).toEqual([5, 5]);
  });

  test("asks for the token where one is set, keeps it in the tab and out of the address", async () => {
    await runtime.stop();
    runtime = await startApp({ ADMIN_TOKEN: "open-sesame", READ_TOKEN: "only-read" });
    const { page, asked } = await open("#/operators/meters/keys?key=house-1");
    const use = async (token: string): Promise<void> => {
      await page.getByLabel("Admin token").fill(token);
      await page.getByRole("button", { name: "Use it" }).click();
    };
    await page.getByText("This app is guarded.").waitFor();
    await use("guess");
    await page.getByText("The app doesn't know that token.").waitFor();
    await use("only-read");
    await page.getByText("The dashboard needs the admin token.").waitFor();
    await use("open-sesame");
    await page.locator(".leaf").first().waitFor();
    await page.reload();
    await page.locator(".leaf").first().waitFor();
    expect(asked.filter(({ href }) => /sesame|guess|only-read/.test(href))).toEqual([]);
    expect(await page.evaluate("JSON.stringify(localStorage) + document.cookie")).not.toContain("sesame");
    await page.getByRole("button", { name: "Forget token" }).click();
    await page.getByText("This app is guarded.").waitFor();
    expect(await page.evaluate("sessionStorage.length")).toBe(0);
  });
});
