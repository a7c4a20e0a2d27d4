/** A line and the one that it starts from, from R2 alone: every moment is as it was, or refused by name. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pointOf } from "../../../src/engine/snapshot/manifest.ts";
import { manifestOf, partitionName, seq, type Seq, type Stamp } from "../../../src/engine/base/ids.ts";
import { LOG_BEGIN, type Segment } from "../../../src/engine/base/records.ts";
import { pastKeys } from "../../../src/engine/history/past.ts";
import { rebuildAt } from "../../../src/engine/recovery/rebuild-at.ts";
import { newestManifest, rebuild } from "../../../src/engine/recovery/rebuild.ts";
import {
  beginningAt,
  lostStart,
  NOTHING_KNOWN,
  type RebuiltStart,
  rebuildStart,
} from "../../../src/engine/recovery/rebuild-start.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const KEYS = ["a", "b"];

interface Shown {
  readonly at: Stamp;
  readonly values: readonly unknown[];
}

const values = async (world: World, one: Incarnation): Promise<unknown[]> => {
  const found: unknown[] = [];
  for (const key of KEYS) found.push(await world.value(one, key));
  return found;
};

/** One event, or a snapshot. */
type Step = "event" | "snapshot";
const STEPS = fc.array(fc.constantFrom<Step>("event", "event", "snapshot"), { minLength: 0, maxLength: 8 });

let sent = 0;
async function live(world: World, one: Incarnation, steps: readonly Step[]): Promise<Shown[]> {
  const shown: Shown[] = [];
  for (const step of steps) {
    if (step === "snapshot") await world.clock.run(one.partition.snapshot());
    else {
      const n = (sent += 1);
      await world.send(one, { id: `e${n}`, key: KEYS[n % 2]!, data: n });
      const { headStamp: at } = await world.db.log(world.address).explain(seq(0));
      shown.push({ at, values: await values(world, one) });
    }
    await world.clock.advance(5);
  }
  return shown;
}

async function past(world: World, at: Stamp): Promise<unknown[] | "gone"> {
  const read = await world.clock.run(pastKeys(world.reader(operator), at, KEYS, 1_000_000));
  if (read.tag === "gone") return "gone";
  return read.entries.map((entry) => (entry === null ? undefined : (JSON.parse(entry.text) as unknown)));
}

/** Writes what was found to D1, as the route does. */
async function write({ db, clock, address }: World, found: RebuiltStart): Promise<void> {
  const name = partitionName(address);
  if (found.tag !== "found" && found.tag !== "lost") return;
  db.rows.set(name, { ...found.row });
  if (found.tag === "lost") db.kept.set(name, { points: [], pins: [], retainFrom: found.retainFrom, archiveFrom: 0 });
  else if (found.point !== null)
    db.kept.set(name, { points: [pointOf(found.point, true, 0)], pins: [], retainFrom: 0, archiveFrom: 0 });
  const rows: Segment[] = [];
  if (found.tag === "found" && found.tail !== null) {
    const { tail } = found;
    const copy = async (): Promise<void> => {
      for await (const portion of tail.rows()) rows.push(...portion);
    };
    await clock.run(copy());
  }
  db.segments.set(name, rows);
}

describe("a line whose D1 is lost", () => {
  it(
    "START1, START2, START3: comes back up to its last snapshot, and shows each earlier moment as it was, or as gone",
    () =>
      fc.assert(
        fc.asyncProperty(STEPS, STEPS, STEPS, fc.boolean(), fc.boolean(), async (before, after, own, hurt, cut) => {
          const main = new World();
          const one = main.start(operator);
          const first = await live(main, one, before);
          fc.pre(first.length > 0);
          const start = first.at(-1)!;
          const fork = main.fork(operator, start.at);
          main.db.savepoints.set(1, { number: 1, line: 1, name: "@2", at: start.at, createdMs: 0, state: "held" });
          const child = fork.start(operator);
          const mine = await live(fork, child, own);
          await live(main, one, after);
          one.crashed = child.crashed = true;
          main.db.rows.clear();
          main.db.kept.clear();
          main.db.segments.clear();

          const { clock, store } = main;
          const files = [...store.objects.keys()].filter((name) => name.startsWith("1/") && name.endsWith(".kfs"));
          if (hurt && files.length > 1) store.damage(files.sort().at(-1)!);
          const newest = await clock.run(newestManifest(fork.reader(operator)));
          const expected: Seq | null = newest === null ? null : (newest.startSeq ?? seq(0));
          const wish = { seed: 42, at: start.at, expected, begun: LOG_BEGIN, known: NOTHING_KNOWN };
          const rebuiltStart = await clock.run(rebuildStart(main.reader(operator), wish));
          // R2 has nothing of the earlier line, though the later one continues it.
          const isLost = rebuiltStart.tag === "nothing" && expected !== null;
          const found = isLost ? lostStart(wish, NOTHING_KNOWN) : rebuiltStart;
          await write(main, found);
          if (newest !== null) {
            const rebuilt = await clock.run(rebuild(fork.reader(operator), 42));
            if (rebuilt.tag === "found") fork.db.rows.set(partitionName(fork.address), { ...rebuilt.row });
          } else if (found.tag === "found")
            fork.db.rows.set(partitionName(fork.address), beginningAt(42, found.reached, NOTHING_KNOWN));
          if (newest === null && found.tag !== "found") return;

          const again = fork.start(operator);
          const all = [...first, ...mine];
          const now = await values(fork, again);
          // As of some moment: the last snapshot's, or the last one of the earlier line that R2 has.
          expect(all.map((shown) => shown.values)).toContainEqual(now);
          if (newest !== null) expect(now).toEqual(mine.find(({ at }) => at === newest.stamp)?.values ?? start.values);
          // The line gives up what it doesn't have. Nothing of the past is shown otherwise than it was.
          // Retention had given up what isn't needed for the start.
          const then = await clock.run(rebuildAt(main.reader(operator), 42, start.at));
          const below = then.tag === "found" && then.base !== null ? then.base.number : 0;
          for (const name of store.objects.keys())
            if (cut && name.startsWith("1/") && (manifestOf(name)?.version ?? below) < below)
              store.objects.delete(name);
          const isWhole = found.tag === "found" && (expected !== null || found.complete);
          for (const { at, values: as } of first) {
            const shown = await past(fork, at).catch((error: unknown) => String(error));
            if (isWhole && (!cut || at === start.at)) expect(shown).toEqual(as);
            else if (isWhole && typeof shown !== "string") expect(shown).toEqual(as);
            else if (!isWhole && newest !== null) expect(typeof shown).toBe("string");
          }
        }),
        runs(80),
      ),
    PATIENCE_MS,
  );
});
