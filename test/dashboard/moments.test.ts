/** Moments in the dashboard's address and on its slider. */
import { describe, expect, it } from "vitest";
import { isSettled, momentMs, oldestMs, settledAs, stampOf, timeMsOf } from "../../src/dashboard/moments.ts";
import { parseMoment } from "../../src/engine/history/moment.ts";
import type { OperatorGlance } from "../../src/client/admin-answers.ts";

const TIME = "2026-01-31T12:00:00.123Z";
const MS = Date.parse(TIME);

describe("a moment", () => {
  it("of the slider is the stamp that the engine gives that time", () => {
    expect(parseMoment(stampOf(MS))).toEqual(parseMoment(TIME));
    expect(timeMsOf(Number(stampOf(MS + 0.7)))).toBe(MS);
  });

  it.each([
    [stampOf(MS), true, MS],
    [`fix@${stampOf(MS)}`, true, MS],
    [`main~1@${stampOf(MS)}`, true, MS],
    [TIME, false, MS],
    ["-90m", false, null],
    ["now", false, null],
    ["month-end", false, null],
    ["fix@-90m", false, null],
    ["2026-31-01T00:00:00Z", false, null],
  ])("%s: settled %s, at %s", (moment, settled, ms) => {
    expect([isSettled(moment), momentMs(moment)]).toEqual([settled, ms]);
  });

  it.each([
    ["-90m", "1839149485287423"],
    ["fix@-90m", "fix@1839149485287423"],
    ["main~1@now", "main~1@1839149485287423"],
  ])("%s keeps its timeline when it is settled", (moment, settled) => {
    expect(settledAs(moment, 1_839_149_485_287_423)).toBe(settled);
  });
});

describe("the slider begins", () => {
  const glance = (since: string | undefined, oldest: readonly (string | undefined)[]): OperatorGlance =>
    ({
      ...(since === undefined ? {} : { since }),
      partitions: oldest.map((time) => (time === undefined ? {} : { oldest: time })),
    }) as unknown as OperatorGlance;

  it.each([
    ["where the operator was placed", glance(TIME, [undefined]), MS],
    [
      "where the last partition's retention does",
      glance("2026-01-01T00:00:00Z", ["2026-01-02T00:00:00Z", TIME, undefined]),
      MS,
    ],
    ["now, if nothing is known", glance(undefined, [undefined]), MS + 1_000],
  ])("%s", (_, one, ms) => {
    expect(oldestMs(one, MS + 1_000)).toBe(ms);
  });
});
