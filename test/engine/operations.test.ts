/** docs/reference/operations.md names every metric, with its type, and every line of the log, with its level. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { NOTES } from "../../src/engine/base/log-lines.ts";
import { APP_FAMILIES, FAMILIES } from "../../src/worker/metrics/metric-list.ts";

const root = path.join(import.meta.dirname, "../..");
const page = readFileSync(path.join(root, "docs/reference/operations.md"), "utf8");

/** `- \`name\` (type): …`, and `- Gauges: \`name\`, …` for metrics of which the page has no more to say. */
const single = [...page.matchAll(/^- `([^`]+)` \((\w+)\): /gm)].map(([, name = "", type = ""]) => [name, type]);
const plain = [...page.matchAll(/^- (Gauge|Counter|Histogram)s: ([^:]*)$/gm)].flatMap(([, type = "", names = ""]) =>
  [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => [name, type.toLowerCase()]),
);
const rows = [...single, ...plain];

it("names every metric with its type", () => {
  const metrics = rows.filter(([name]) => name!.startsWith("keyframe_"));
  const known = [...Object.values(FAMILIES), ...Object.values(APP_FAMILIES)];
  expect(metrics.map(([name, type]) => `${name} ${type}`).sort()).toEqual(
    known.map(({ name, type }) => `${name} ${type}`).sort(),
  );
});

it("names every line of the log with its level", () => {
  const lines = rows.filter(([name]) => !name!.startsWith("keyframe_"));
  expect(Object.fromEntries(lines.map(([name, level]) => [name, level]))).toEqual(NOTES);
});
