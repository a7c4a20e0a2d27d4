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
    ["2026-01-01T00:00:01Z", { tag: "stamp", at: (Date.UTC(2026, 0) + 1_000) * 1_024 + 1_023 }],
    ["2026-01-01T01:00:01.0019+01:00", { tag: "stamp", at: (Date.UTC(2026, 0) + 1_001) * 1_024 + 1_023 }],
    // A stamp has 16 digits, so that it can be asked for again.
    ["1999-12-31T23:59:59Z", { tag: "stamp", at: 1_000_000_000_000_000 }],
    ["0001-01-01T00:00:00Z", { tag: "stamp", at: 1_000_000_000_000_000 }],
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
    // Milliseconds since 1970 are no stamp.
    "1764496109000",
    "0806200000000000",
  ])("%j is none", (text) => {
    expect(parseMoment(text)).toBeNull();
  });
});
