/** docs/monitoring is what the table of metrics makes of it, and asks for no metric that isn't there. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { ALERTS, MONITORING_DIR, monitoringFiles } from "../monitoring/make.ts";
import { APP_FAMILIES, FAMILIES } from "../../src/worker/metrics/metric-list.ts";

const families = [...Object.values(FAMILIES), ...Object.values(APP_FAMILIES)];
const known = new Set(
  families.flatMap(({ name, type }) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);
const named = (text: string): string[] => [...new Set(text.match(/keyframe_\w+/g))];

const files = await monitoringFiles();

describe("docs/monitoring", () => {
  it.each(Object.keys(files))("%s is up to date: npm run build:monitoring", (name) => {
    expect(readFileSync(path.join(MONITORING_DIR, name), "utf8")).toBe(files[name]);
  });

  it.each(Object.entries(files))("%s asks for metrics that exist", (_, text) => {
    const asked = named(text);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
  });

  it("the dashboard shows every metric", () => {
    const shown = named(files["grafana-dashboard.json"]!).map((name) => name.replace(/_bucket$/, ""));
    expect(families.map(({ name }) => name).filter((name) => !shown.includes(name))).toEqual([]);
  });

  it("counters are shown and judged as rates, never as they stand", () => {
    const counters = families.filter(({ type }) => type === "counter").map(({ name }) => name);
    for (const text of Object.values(files))
      for (const name of counters) {
        const bare = text
          .split(name)
          .slice(0, -1)
          .filter((before) => !/(rate|increase)\($/.test(before));
        expect({ name, bare: bare.length }).toEqual({ name, bare: 0 });
      }
  });

  it("each alert says what to do", () => {
    expect(new Set(ALERTS.map(({ alert }) => alert)).size).toBe(ALERTS.length);
    for (const { summary, action } of ALERTS) expect(Math.min(summary.length, action.length)).toBeGreaterThan(10);
  });
});
