/** How long a group waits for its callers: DELAY1 and DELAY2 of commit-delay.ts. */
import { describe, expect, it } from "vitest";
import { CommitDelay } from "../../../src/engine/partition/commit-delay.ts";

/** After a commit of `ms` that answered `callers` while `waiting` others had come. */
function after(callers: number, waiting: number, ms: number): CommitDelay {
  const gathering = new CommitDelay();
  gathering.answered(callers, waiting, ms);
  return gathering;
}

describe("gathering callers", () => {
  it("W1: a lone caller never waits, at the first commit or after any number of them", () => {
    const gathering = new CommitDelay();
    expect(gathering.waitMs(1)).toBe(0);
    gathering.answered(1, 0, 30);
    expect(gathering.waitMs(1)).toBe(0);
  });

  it("waits for as many as were answered and waited, and no longer once they are there", () => {
    const gathering = after(5, 3, 4);
    expect(gathering.waitMs(3)).toBe(8);
    expect(gathering.enough(7)).toBe(false);
    expect(gathering.enough(8)).toBe(true);
    expect(gathering.waitMs(8)).toBe(0);
  });

  it.each([
    [0, 1],
    [0.2, 1],
    [3, 6],
    [5, 10],
    [500, 10],
  ])("W2: after commits of %d ms the wait is %d ms at most", (commitMs, waitMs) => {
    expect(after(4, 4, commitMs).waitMs(1)).toBe(waitMs);
  });

  it("W2: gives waiting up where it brings nobody, ever longer, and takes it up when it pays again", () => {
    const gathering = after(4, 4, 10);
    const waits: number[] = [];
    for (let group = 0; group < 200; group++) {
      gathering.answered(4, 4, 10);
      if (gathering.waitMs(4) === 0) continue;
      waits.push(group);
      gathering.left(4, 4);
    }
    expect(waits).toEqual([0, 2, 6, 14, 30, 62, 126, 190]);
    while (gathering.waitMs(4) === 0);
    gathering.left(4, 8);
    expect(gathering.waitMs(4), "it paid").toBeGreaterThan(0);
  });
});
