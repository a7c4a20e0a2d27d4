/** Promotion with real partitions in flight, and each of its steps failing (history/promotion.ts). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import type { Stamp } from "../../../src/engine/base/ids.ts";
import type { Floor } from "../../../src/engine/base/ports.ts";
import type { Main } from "../../../src/engine/base/records.ts";
import { history } from "../../../src/engine/history/history.ts";
import {
  promote,
  type Compared,
  type Promoted,
  type PromotionStores,
  settlePromotion,
} from "../../../src/engine/history/promotion.ts";
import { DUPLICATE, STATUS } from "../../../src/engine/partition/protocol.ts";
import { MemoryDirectory, MemoryLines } from "../../../src/testkit/memory-timelines.ts";
import { difference } from "../../sim/lines-world.ts";
import { runPromotions } from "../../sim/promotions.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();

/** The port, of which call `n` fails before it acts, fails after it, or is executed and repeated 30 s later. */
type Fault = "before" | "after" | "late";
interface Plan {
  calls: number;
  readonly n: number;
  readonly fault: Fault;
  /** The caller dies at that call. */
  readonly dies: boolean;
}

function faulty<T extends object>(port: T, world: World, plan: Plan): T {
  return new Proxy(port, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as unknown;
      if (typeof method !== "function") return method;
      return async (...args: unknown[]): Promise<unknown> => {
        const call = () => Reflect.apply(method, target, args) as Promise<unknown>;
        if (plan.dies && plan.calls > plan.n) return never();
        if (plan.calls++ !== plan.n) return call();
        if (plan.fault === "before" && plan.dies) return never();
        if (plan.fault === "before") throw new Error("failed before it acted");
        if (plan.fault === "late") world.clock.after(30_000, () => void call().catch(() => undefined));
        await call();
        if (plan.dies) return never();
        throw new Error("failed after it acted");
      };
    },
  });
}

const never = (): Promise<never> => new Promise(() => undefined);

/** Main with one partition, and a timeline of it that is ready. Every event is of the key "k". */
class Lines {
  readonly main = new World();
  readonly fork: World;
  readonly directory = new MemoryDirectory(this.main.db);

  private constructor(at: Stamp) {
    this.fork = this.main.fork(operator, at, 2);
  }

  static async make(): Promise<{ lines: Lines; one: Incarnation }> {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "before", key: "k", data: 1 });
    const at = world.db.segments.get("1/sum/0000")!.at(-1)!.stamp;
    const lines = Object.assign(new Lines(at), { main: world, fork: world.fork(operator, at, 2) });
    const directory = new MemoryDirectory(world.db);
    await directory.add({ name: "fix", parent: 1, at, expiresMs: null }, 1);
    await directory.ready(2);
    return { lines: Object.assign(lines, { directory }), one };
  }

  stores(plan: Plan = { calls: 0, n: -1, fault: "before", dies: false }): PromotionStores {
    const { db, clock } = this.main;
    return {
      directory: faulty(this.directory, this.main, plan),
      lines: [faulty(new MemoryLines(db), this.main, plan)],
      floors: (line): Floor[] => [
        faulty(
          db.floorPort(() => clock.now(), line),
          this.main,
          plan,
        ),
      ],
      objects: faulty(this.main.store, this.main, plan),
      codec: brotli,
    };
  }

  async ids(line: number): Promise<string[]> {
    const env = (line === 1 ? this.main : this.fork).reader(operator);
    const { items } = await history(env, "k", null, { items: 100 });
    return items.map(({ event }) => event.id);
  }

  readonly compare = async ({ switches }: Main): Promise<Compared> => {
    const done = difference(await this.ids(1), await this.ids(2));
    return { etag: `1>2#${switches}: ${done}`, done };
  };

  promote(stores: PromotionStores, accepted: string): Promise<Promoted> {
    return promote(this.main.clock, stores, { target: 2, accepted }, this.compare);
  }
}

/** Sends an event. Returns its status if it was acknowledged, else null. */
async function send(world: World, to: Incarnation, id: string): Promise<number | null> {
  const answer = await world.clock.run(to.partition.append(world.slice([{ id, key: "k", data: 1 }])));
  return answer.tag === "decided" ? answer.statuses[0]! : null;
}

describe("a promotion", () => {
  it("gives up what main logged since, takes what the other line has, and answers the same again", async () => {
    const { lines, one } = await Lines.make();
    const { main, fork } = lines;
    const other = fork.start(operator);
    await send(main, one, "given-up");
    await send(fork, other, "taken");
    const { etag } = await main.clock.run(lines.compare(lines.directory.now));
    expect(etag).toBe("1>2#0: +taken -given-up");
    const heard = await main.clock.run(lines.promote(lines.stores(), etag));
    expect(heard).toMatchObject({ tag: "promoted", done: "+taken -given-up", again: false, main: { line: 2 } });
    expect([...main.store.objects.keys()]).toEqual(["mains/0000000001-2"]);
    const again = await main.clock.run(lines.promote(lines.stores(), etag));
    expect(again).toMatchObject({ tag: "promoted", done: "+taken -given-up", again: true });
    expect(await main.clock.run(lines.promote(lines.stores(), "1>2#0: "))).toMatchObject({ tag: "busy" });

    // The former main answers nothing any more, not even what it knows, and never changes.
    const frozen = await main.clock.run(lines.ids(1));
    for (const id of ["before", "given-up", "new"]) expect(await send(main, one, id)).toBeNull();
    expect(await main.clock.run(lines.ids(1))).toEqual(frozen);
    // Given-up ids are free again. The others are duplicates.
    const now = fork.start(operator);
    expect(await send(fork, now, "before")).toBe(STATUS.applied + DUPLICATE);
    expect(await send(fork, now, "taken")).toBe(STATUS.applied + DUPLICATE);
    expect(await send(fork, now, "given-up")).toBe(STATUS.applied);
  });

  it("PROMOTION3: is aborted if the list has moved, and both lines take events again", async () => {
    const { lines, one } = await Lines.make();
    const { etag } = await lines.main.clock.run(lines.compare(lines.directory.now));
    await send(lines.main, one, "later");
    const heard = await lines.main.clock.run(lines.promote(lines.stores(), etag));
    expect(heard).toEqual({ tag: "moved", etag: "1>2#0: -later" });
    expect(await send(lines.main, lines.main.start(operator), "more")).toBe(STATUS.applied);
    expect(await send(lines.fork, lines.fork.start(operator), "more")).toBe(STATUS.applied);
    expect(lines.directory.now).toMatchObject({ line: 1, switches: 0, state: "idle" });
  });

  it("is aborted if the comparison fails", async () => {
    const { lines, one } = await Lines.make();
    const broken = promote(lines.main.clock, lines.stores(), { target: 2, accepted: "*" }, () =>
      Promise.reject(new Error("unreadable")),
    );
    await expect(lines.main.clock.run(broken)).rejects.toThrow("unreadable");
    expect(lines.directory.now).toMatchObject({ line: 1, state: "idle" });
    expect(await send(lines.main, lines.main.start(operator), "more")).toBe(STATUS.applied);
    expect(one.ended).toBeNull();
  });

  it("two callers of one promotion: who compares the new main after it was opened hears what was done", async () => {
    const { lines } = await Lines.make();
    const { clock } = lines.main;
    let opened = false;
    const slow = promote(clock, lines.stores(), { target: 2, accepted: "*" }, async (main) => {
      // The other caller of the same promotion is faster, and an event comes before this one compares.
      await lines.directory.switch(1, "theirs", "what they did");
      await settlePromotion(clock, lines.stores());
      const now = lines.fork.start(operator).partition;
      opened = (await now.append(lines.fork.slice([{ id: "new", key: "k", data: 1 }]))).tag === "decided";
      return lines.compare(main);
    });
    expect(await clock.run(slow)).toMatchObject({ tag: "promoted", done: "what they did" });
    expect(opened).toBe(true);
  });

  it("PROMOTION5: any call fails, or is executed again later, and the promotion is done or can be settled", async () => {
    for (const fault of ["before", "after", "late"] as const)
      for (const dies of [false, true])
        for (const accepted of ["*", "another list"]) {
          let reached = true;
          for (let n = 0; reached; n++) {
            const { lines, one } = await Lines.make();
            const { main, fork } = lines;
            const { clock } = main;
            await send(main, one, "given-up");
            const plan: Plan = { calls: 0, n, fault, dies };
            const heard = { tag: "none" };
            void lines.promote(lines.stores(plan), accepted).then(
              (answer) => Object.assign(heard, answer),
              () => undefined,
            );
            await clock.advance(20_000);
            reached = plan.calls > n;
            const what = `call ${n} ${fault}, ${dies ? "dies" : "lives"}, ${accepted}`;
            if (!dies) expect(heard.tag, what).toBe(accepted === "*" ? "promoted" : "moved");
            await clock.run(settlePromotion(clock, lines.stores()));
            const { line, state, switches } = lines.directory.now;
            expect(state, what).toBe("idle");
            expect(switches, what).toBe(line - 1);
            if (accepted !== "*") expect(line, what).toBe(1);
            const now = line === 1 ? main : fork;
            expect(await send(now, now.start(operator), "new"), what).toBe(STATUS.applied);
            // Late statements change nothing.
            await clock.advance(60_000);
            expect(lines.directory.now, what).toMatchObject({ line, state: "idle" });
            expect(await send(now, now.start(operator), "newer"), what).toBe(STATUS.applied);
            const ids = await clock.run(lines.ids(line));
            expect(ids.includes("given-up"), what).toBe(line === 1);
          }
        }
  });

  it(
    "PROMOTION2: nothing that main acknowledges is missing from the list, with events in flight and late",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat(9), { maxLength: 60 }),
          fc.nat(120),
          fc.array(fc.tuple(fc.nat(60), fc.nat(5)), { minLength: 1, maxLength: 12 }),
          async (fates, begins, events) => {
            const { lines, one: first } = await Lines.make();
            const { main, fork } = lines;
            const { clock } = main;
            const pause = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
            const left = [...fates];
            // Appends and reads wait before they act or are answered; some are executed after everybody gave them up.
            main.fates = ({ method }) => {
              const fate = left.pop() ?? 0;
              if (fate === 9 && method === "append") return pause(25_000);
              return fate > 6 ? { answered: pause(fate * 4) } : fate > 3 ? pause(fate * 6) : "ok";
            };
            let one = first;
            const acknowledged: string[] = [];
            const sent = events.map(async ([at, id]) => {
              await pause(at);
              if (one.ended !== null) one = main.start(operator);
              const answer = await one.partition.append(main.slice([{ id: `e${id}`, key: "k", data: 1 }]));
              if (answer.tag === "decided") acknowledged.push(`e${id}`);
            });
            await clock.advance(begins);
            const heard = await clock.run(lines.promote(lines.stores(), "*"));
            if (heard.tag !== "promoted") throw new Error(heard.tag);
            const frozen = await clock.run(lines.ids(1));
            await clock.run(Promise.all(sent));
            await clock.advance(60_000);
            main.fates = () => "ok";
            expect(await clock.run(lines.ids(1))).toEqual(frozen);
            expect(new Set(heard.done.split(" "))).toEqual(
              new Set(frozen.length === 1 ? [""] : frozen.slice(0, -1).map((id) => `-${id}`)),
            );
            for (const id of acknowledged) expect(frozen).toContain(id);
            // A former main that lives on answers none of them again.
            for (const id of new Set(acknowledged)) expect(await send(main, one, id)).toBeNull();
            const now = fork.start(operator);
            expect(await send(fork, now, "before")).toBe(STATUS.applied + DUPLICATE);
            for (const id of new Set(acknowledged)) {
              expect(await send(fork, now, id)).toBe(STATUS.applied);
              expect(await send(fork, now, id)).toBe(STATUS.applied + DUPLICATE);
            }
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it(
    "keeps its rules whatever callers, failures, deaths and late statements come (test/sim/promotions.ts)",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.nat(0xffff), { maxLength: 400 }), async (draws) => {
          let next = 0;
          const { broken, trace } = await runPromotions((below) => (below < 2 ? 0 : (draws[next++] ?? 0) % below));
          if (broken !== null) throw new Error(`${broken}\n${trace.join("\n")}`);
        }),
        runs(200),
      ),
    PATIENCE_MS,
  );
});
