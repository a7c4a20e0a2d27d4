/**
 * ONE1, ONE2, LOG1: what is acknowledged counts exactly once and every retry gets its first answer, through kills of the
 * whole runtime under load, during snapshots and during recovery. `npm run chaos` does the same for as long as it is told.
 */
import { mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { sendSignal } from "../../src/local/processes.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import { runChaos, summary } from "../chaos/chaos.ts";
import { CREDITS } from "../chaos/race.ts";
import type { Plan, PromotionPlan } from "../chaos/plan.ts";
import { freshSeed, Random } from "../chaos/random.ts";
import { World } from "../chaos/world.ts";
import { Command } from "./command.ts";

/** A kill takes the answer of the first promotion. */
const UNDONE: PromotionPlan = {
  saved: true,
  goOnMs: 300,
  turn: { rest: false, previewed: false, killAfterMs: 40 },
  back: { rest: true, previewed: true, killAfterMs: null },
  kind: "undo",
};
const ROLLED_BACK: PromotionPlan = {
  saved: false,
  goOnMs: 300,
  turn: { rest: true, previewed: true, killAfterMs: null },
  back: { rest: true, previewed: true, killAfterMs: null },
  kind: "rollback",
};

/** One round for each kind of kill, so that none is left to chance. */
const PLANS: Plan[] = [
  {
    kills: [{ during: "load", afterMs: 1_500 }],
    snapshotsAt: 0.3,
    evictions: 3,
    raceLeadMs: 60,
    restMs: 200,
    promotion: UNDONE,
  },
  {
    kills: [{ during: "snapshot", afterMs: 15 }],
    snapshotsAt: null,
    evictions: 0,
    raceLeadMs: 100,
    restMs: 200,
    promotion: ROLLED_BACK,
  },
  {
    kills: [
      { during: "load", afterMs: 600 },
      { during: "recovery", afterMs: 60 },
    ],
    snapshotsAt: 0.1,
    evictions: 1,
    raceLeadMs: 40,
    restMs: 200,
    promotion: null,
  },
];

const seed = process.env["E2E_SEED"] ?? freshSeed();
const world = new World(new Random(seed));

describe("chaos", () => {
  afterAll(async () => expect(await world.app.remove()).toEqual([]));

  test("nothing is lost, nothing counts twice, and no credit is granted twice", async () => {
    process.stdout.write(`chaos: E2E_SEED=${seed}\n`);
    await runChaos(world, PLANS, { seconds: 1, onRound: () => undefined });
    const { tally, findings } = world;
    expect(findings.list, summary(world)).toEqual([]);
    expect([findings.lost, findings.doubled]).toEqual([0, 0]);
    // Two more kills while partitions are split, and one before the last comparison.
    expect([tally.rounds, tally.kills, tally.promotions, tally.splits]).toEqual([PLANS.length, 8, 4, 2]);
    expect([tally.granted, tally.credits]).toEqual([PLANS.length * CREDITS, PLANS.length * CREDITS]);
    // It was no idle run: there was something to lose, and something that came again.
    const { events, repeats, unanswered, evictions, snapshots, fromSnapshots } = tally;
    const { undone, rolledBack, givenUp } = tally;
    const happened = { events, repeats, unanswered, evictions, snapshots, fromSnapshots, undone, rolledBack, givenUp };
    expect(Object.entries(happened).filter(([, times]) => times === 0)).toEqual([]);
  });
});

describe("npm run chaos", () => {
  let command: Command | null = null;
  afterEach(() => command?.killGroup());

  test("Ctrl-C in the middle of a start leaves no process and no file, and says that it was stopped", async () => {
    const folder = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
    const args = ["test/chaos/main.ts", "--rounds", "9", "--seed", "1"];
    command = new Command(projectNode(), args, { TMPDIR: folder });
    await command.line(/^chaos: 9 rounds, seed 1$/);
    const { pid } = command;
    sendSignal(pid, "SIGINT");
    expect(await command.exited, command.stdout + command.stderr).toBe(130);
    expect(command.stderr).toBe("");
    expect(command.processes()).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
    rmdirSync(folder);
  });

  test("what isn't a number is refused", async () => {
    command = new Command(projectNode(), ["test/chaos/main.ts", "--rounds", "many"], {});
    expect(await command.exited).toBe(1);
    expect(command.stderr).toContain("--rounds many is no number above 0");
  });
});
