import { describe, expect, it } from "vitest";
import { parseMoment } from "../../../src/engine/history/moment.ts";

describe("the grammar of moments", () => {
  it.each([
    ["now", { tag: "now" }],
    ["-90m", { tag: "ago", ms: 5_400_000 }],
    ["-500ms", { tag: "ago", ms: 500 }],
    ["-7d", { tag: "ago", ms: 604_800_000 }],
    ["1806200000000000", { tag: "stamp", at: 1_806_200_000_000_000 }],
    ["month-end", { tag: "savepoint", name: "month-end" }],
    // All that was logged in this millisecond counts.
    ["1970-01-01T00:00:01Z", { tag: "stamp", at: 1_000 * 1_024 + 1_023 }],
    ["1970-01-01T01:00:01.0019+01:00", { tag: "stamp", at: 1_001 * 1_024 + 1_023 }],
    ["0001-01-01T00:00:00Z", { tag: "stamp", at: 0 }],
  ])("%s", (text, moment) => {
    expect(parseMoment(text)).toEqual(moment);
  });

  it.each([
    "",
    "yesterday evening",
    "-90",
    "90m",
    "-1.5h",
    "2026-02-30T00:00:00Z",
    "2026-01-01",
    "Month",
    "1e5",
    "99999999999999999",
  ])("%j is none", (text) => {
    expect(parseMoment(text)).toBeNull();
  });
});
