/** The dashboard's page of timelines in a real browser, against an app of its own, since a promotion changes main. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { writeDashboard } from "../../src/local/build-dashboard.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { chromiumPath, NO_CHROMIUM, startBrowser } from "./browser.ts";
import { PATIENCE_MS } from "./command.ts";

const CONFIG = join(PROJECT_DIR, "test", "e2e", "dashboard", "wrangler.toml");
const AXE = readFileSync(join(PROJECT_DIR, "node_modules", "axe-core", "axe.min.js"), "utf8");

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
    const starting = startRuntime({ port: 0, stateDir, configPath: CONFIG, vars: {} });
    [runtime, browser] = await Promise.all([starting, startBrowser()]);
    await send(["ada", "bob", "cyd"]);
  });
  afterEach(async () => {
    for (const page of opened.splice(0)) await page.context().close();
  });
  afterAll(async () => {
    await browser?.close();
    await runtime?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const call = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const headers = { "content-type": "application/json" };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(runtime.url + path, { method, headers, ...sent });
    const text = await answer.text();
    expect(answer.ok, text).toBe(true);
    return JSON.parse(text) as Record<string, unknown>;
  };
  const send = (meters: readonly string[], timeline = "main"): Promise<unknown> =>
    call(
      "POST",
      `/v1/events?timeline=${timeline}`,
      meters.map((meter) => ({ id: `e${events++}`, type: "meter.read", data: { meter, kwh: 1 } })),
    );
  const reads = async (meter: string, timeline = "main"): Promise<unknown> => {
    const { value } = await call("GET", `/v1/operators/meters/state?key=${meter}&timeline=${timeline}`);
    return (value as { readonly reads: number }).reads;
  };

  async function open(hash: string, width = 1280): Promise<Page> {
    const context = await browser.newContext({ viewport: { width, height: 800 }, bypassCSP: true });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    opened.push(page);
    await page.goto(`${runtime.url}/${hash}`);
    return page;
  }
  const said = (page: Page, text: string | RegExp): Promise<void> => page.locator(".said").getByText(text).waitFor();
  const names = (page: Page): Promise<string[]> => page.locator(".lanes .name").allInnerTexts();

  test("a timeline is made, drawn below the one that it starts from, compared with main, and deleted", async () => {
    const page = await open("#/timelines");
    await page.getByLabel("Name of the timeline").fill("what-if");
    await page.getByLabel("Expires").selectOption("12h");
    await page.getByRole("button", { name: "Start it" }).click();
    await said(page, /^what-if starts from main, /);
    expect(page.url()).toContain("timeline=what-if");
    await page.getByText("No state differs.").waitFor();
    await expect.poll(() => names(page)).toEqual(["main", "what-if"]);
    await page
      .getByText(/^in 11 h, /)
      .first()
      .waitFor();

    await send(["ada", "ada", "new"], "what-if");
    await page.getByRole("button", { name: "Compare again" }).click();
    await page.getByText("2 keys differ", { exact: true }).waitFor();
    const row = page.locator("tbody tr", { hasText: "ada" });
    expect(await row.locator(".changes li").allInnerTexts()).toEqual(["kwh 1 → 3", "reads 1 → 3"]);
    await row.getByRole("link").click();
    await page.locator(".then .leaf", { hasText: "reads" }).waitFor();
    expect(await page.locator(".then .leaf", { hasText: "reads" }).locator(".value").innerText()).toBe("3");
    expect(page.url()).toMatch(/at=what-if%40\d{16}$/);

    await page.goto(`${runtime.url}/#/timelines?timeline=what-if`);
    await page.getByRole("button", { name: "Delete…" }).first().click();
    await page.getByRole("button", { name: "Delete it" }).first().click();
    await said(page, "Timeline what-if is deleted.");
    await expect.poll(() => names(page)).toEqual(["main"]);
  });

  test("no more than 200 of the keys that differ are shown, and all are counted", async () => {
    await call("PUT", "/v1/timelines/many", {});
    await send(
      Array.from({ length: 230 }, (_, i) => `many-${i}`),
      "many",
    );
    const page = await open("#/timelines?timeline=many");
    await page.getByText("230 keys differ", { exact: true }).waitFor();
    expect(
      await page
        .getByRole("region", { name: /keys that differ/ })
        .locator("tbody tr")
        .count(),
    ).toBe(200);
    await page.getByText("The first 200 are shown.").waitFor();
    await call("DELETE", "/v1/timelines/many");
  });

  test("a savepoint is made and deleted, and says why it can't be made", async () => {
    const page = await open("#/timelines");
    await page.getByLabel("Name of the savepoint").fill("month-end");
    await page.getByRole("button", { name: "Save it" }).click();
    await said(page, /^month-end is saved: /);
    await page.locator(".lanes .mark").waitFor();
    await page.getByLabel("Name of the savepoint").fill("next-year");
    await page.getByLabel("Moment", { exact: true }).fill("2125-01-01T00:00:00Z");
    await page.getByRole("button", { name: "Save it" }).click();
    await said(page, /^This moment is in the future.*\(not_settled\)$/);
    await page.locator(".savepoint").getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete it" }).click();
    await said(page, "Savepoint month-end is deleted.");
    await expect.poll(() => page.locator(".lanes .mark").count()).toBe(0);
  });

  test("an answer that comes after its reader has left brings nobody back", async () => {
    const page = await open("#/timelines");
    const held = Promise.withResolvers<void>();
    await page.route("**/v1/timelines/late", async (route) => {
      await held.promise;
      await route.continue();
    });
    await page.getByLabel("Name of the timeline").fill("late");
    await page.getByRole("button", { name: "Start it" }).click();
    await page.evaluate("location.hash = '#/operators/meters/verify'");
    await page.getByRole("heading", { name: "Verify" }).waitFor();
    const answered = page.waitForResponse("**/v1/timelines/late");
    held.resolve();
    await (await answered).finished();
    // Two frames: the page has handled the answer.
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    expect(page.url()).toMatch(/#\/operators\/meters\/verify$/);
    await call("DELETE", "/v1/timelines/late");
  });

  test("a timeline that replays main is started, follows it, and its preview brings it up to main", async () => {
    await call("PUT", "/v1/savepoints/before", {});
    await send(["eve", "eve"]);
    const page = await open("#/timelines");
    for (const outcomes of ["logged", "decide"]) {
      await page.getByLabel("Name of the timeline").fill(`redo-${outcomes}`);
      await page.getByLabel("From the moment").fill("before");
      await page.getByLabel("Takes").selectOption(outcomes);
      await page.getByText(/^It runs main's log from there with the code that is deployed/).waitFor();
      await page.getByRole("button", { name: "Start it" }).click();
      await said(page, new RegExp(`^redo-${outcomes} starts from main, .*, and replays main's log from there\\.$`));
      await expect
        .poll(() => page.locator("[aria-labelledby=timeline-title] dl").innerText())
        .toMatch(new RegExp(`replays\\s+main\\s+outcomes\\s+${outcomes}`));
      expect(
        await page
          .locator("tbody tr", { hasText: `redo-${outcomes}` })
          .first()
          .innerText(),
      ).toContain("replaying");
      expect(await page.getByLabel("Takes").inputValue(), "the next one is an open one again").toBe("own");
    }
    await page.getByText(/^It hasn't come to main's last events yet\./).waitFor();
    await page.getByRole("button", { name: "Preview", exact: true }).click();
    await page.getByText("Outcomes that change: 0 outcomes").waitFor();
    await page.getByRole("button", { name: "Compare again" }).click();
    await page.getByText("No state differs.").waitFor();
    expect(await reads("eve", "redo-decide")).toBe(2);
    for (const outcomes of ["logged", "decide"]) await call("DELETE", `/v1/timelines/redo-${outcomes}`);
    await call("DELETE", "/v1/savepoints/before");
  });

  test("a timeline that follows main shows how far it has come, and which outcomes change", async () => {
    const page = await open("about:blank");
    const start = { from: "main", at: 1839149485287423, time: "2026-11-30T13:13:39.225Z" };
    const redo = { name: "redo", line: 2, state: "following", ...start };
    const previews: string[] = [];
    await page.route("**/v1/timelines", (route) =>
      route.fulfill({ json: [{ name: "main", line: 1, state: "main" }, redo] }),
    );
    await page.route("**/v1/timelines/redo", (route) =>
      route.fulfill({ json: { ...redo, lag: 12, replay: { of: "main", outcomes: "logged" } } }),
    );
    await page.route("**/v1/timelines/redo/promotion", (route) => {
      previews.push(route.request().method());
      const changes = { events: 3, partitions: [{ operator: "meters", partition: 0, events: 3 }] };
      return route.fulfill({ headers: { etag: '"1"' }, json: { timeline: "redo", mode: "follow", lag: 0, changes } });
    });
    await page.goto(`${runtime.url}/#/timelines?timeline=redo`);
    await page.getByText("not compared", { exact: true }).waitFor();
    await page.getByText(/^there is no timeline "redo" \(404 no_timeline\)$/).waitFor();
    await page.getByText("The preview brings the timeline up to main first.").waitFor();
    expect(await page.locator("tbody tr", { hasText: "redo" }).first().innerText()).toContain("following");
    await expect
      .poll(() => page.locator("[aria-labelledby=timeline-title] dl").innerText())
      .toMatch(/lag\s+12\s+replays\s+main\s+outcomes\s+logged/);
    expect(previews).toEqual([]);
    await page.getByRole("button", { name: "Preview", exact: true }).click();
    await page.getByText("Outcomes that change: 3 outcomes").waitFor();
    await page.getByRole("button", { name: "Promote redo…" }).click();
    await page.getByText(/^Main gives up no event, and 3 outcomes will differ\./).waitFor();
  });

  test.each([1280, 400, 320])("at %i pixels nothing scrolls sideways, and axe finds nothing serious", async (width) => {
    await call("PUT", "/v1/timelines/narrow", {});
    await send(["ada"], "narrow");
    const page = await open("#/timelines?timeline=narrow", width);
    await page.getByText("1 key differs", { exact: true }).waitFor();
    await page.getByText("Main gives up: 0 events").waitFor();
    expect(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(0);
    await page.evaluate(AXE);
    const serious = await page.evaluate(`axe.run().then(({ violations }) => violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")))`);
    expect(serious).toEqual([]);
    await call("DELETE", "/v1/timelines/narrow");
  });

  // The last one, since main is another line afterwards.
  test("a promotion asks, is refused if main has other events than its preview, and can be undone", async () => {
    await call("PUT", "/v1/timelines/fix", {});
    await send(["bob", "bob"]);
    await send(["bob"], "fix");
    expect([await reads("bob"), await reads("bob", "fix")]).toEqual([3, 2]);
    const page = await open("#/timelines?timeline=fix");
    await page.getByText("Main gives up: 2 events").waitFor();
    await page.getByText("It has of fix instead: 1 event").waitFor();
    const promote = async (): Promise<void> => {
      await page.getByRole("button", { name: "Promote fix…" }).click();
      await page.getByRole("button", { name: "Make it main" }).click();
    };
    await page.getByRole("button", { name: "Promote fix…" }).click();
    await page.getByText("Main gives up 2 events and has 1 event of fix instead.").waitFor();
    await page.getByRole("button", { name: "Leave main as it is" }).click();
    expect(await reads("bob")).toBe(3);

    await send(["cyd"]);
    await promote();
    await page
      .getByText(/^Main or fix has other events or outcomes than that preview, so nothing was promoted\./)
      .waitFor();
    await page.getByText("Main gives up: 3 events").waitFor();
    expect(await reads("bob")).toBe(3);

    await promote();
    await said(page, "fix is main now. What was main is main~1, with the 3 events that main gave up.");
    expect([await reads("bob"), await reads("cyd")]).toEqual([2, 1]);
    await expect.poll(() => names(page)).toEqual(["main~1 sealed", "main"]);
    expect(page.url()).toContain("timeline=main%7E1");

    const other = await open("#/");
    await other.getByText(/^without \d partitions? to which nothing was sent since main was promoted$/).waitFor();

    await page.getByRole("button", { name: "Start one where it ends" }).click();
    expect(await page.getByLabel("From the moment").inputValue()).toBe("main~1@now");
    expect(await page.evaluate("document.activeElement.id")).toBe("timeline-name");
    await page.keyboard.type("undo");
    await page.keyboard.press("Enter");
    await said(page, /^undo starts from main~1, /);
    await page.getByRole("button", { name: "Promote undo…" }).click();
    await page.getByRole("button", { name: "Make it main" }).click();
    await said(page, /^undo is main now\./);
    expect([await reads("bob"), await reads("cyd")]).toEqual([3, 2]);
  });
});
