/*
 * The run: rounds of load with kills in them, and the count at the end of each.
 *
 * 1. A round ends when everything that was sent in it is acknowledged; then every key of every operator is compared with
 *    the independent count, and main must hold exactly the events that book.ts says, each once.
 * 2. Right after each restart nothing is missing that had been acknowledged before the kill: clients go on meanwhile.
 * 3. In a round another line of history becomes main, and is undone or rolled back (promotions.ts).
 * 4. At the end every operator gets more partitions (splits.ts).
 * 5. It ends with the first round that finds something: what comes after a loss would only repeat it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, getUntilAnswered, readAllStates } from "../../src/local/client.ts";
import { count } from "../../src/client/amounts.ts";
import { ChaosClient } from "./client.ts";
import { eventsOf, Ledger, OPERATORS, type OperatorName } from "./ledger.ts";
import { LineReader } from "./line-reader.ts";
import type { Kill, Plan } from "./plan.ts";
import { Race } from "./race.ts";
import { Promotions } from "./promotions.ts";
import { Splits } from "./splits.ts";
import type { World } from "./world.ts";

const CLIENTS = 8;

export interface ChaosOptions {
  readonly seconds: number;
  /** Told at the end of each round. */
  readonly onRound: (round: number, plan: Plan, ms: number) => void;
}

/** Starts the app, runs these rounds and compares; the world's owner removes the app. */
export async function runChaos(world: World, plans: Iterable<Plan>, options: ChaosOptions): Promise<void> {
  await world.app.start();
  const chaos = new Chaos(world);
  await chaos.begin();
  let round = 0;
  for (const plan of plans) {
    const begun = performance.now();
    await chaos.round(plan, options.seconds);
    options.onRound((round += 1), plan, performance.now() - begun);
    if (world.findings.list.length > 0) return;
  }
  await chaos.finish();
}

/** In one line. */
export function summary({ tally, findings }: World): string {
  const n = (value: number, what: string): string => `${count(value)} ${what}${value === 1 ? "" : "s"}`;
  const kills = `${n(tally.kills, "kill")} (${count(tally.duringSnapshots)} during snapshots, ${count(tally.duringRecovery)} during recovery)`;
  const counts = `${n(tally.events, "event")}, ${n(tally.repeats, "duplicate")}, ${n(tally.unanswered, "unanswered attempt")}`;
  const credits = `credits ${count(tally.granted)} of ${count(tally.credits)} granted once, ${n(tally.racesCut, "race")} cut by a kill`;
  const turns = `${n(tally.promotions, "promotion")} (${tally.undone} undone, ${tally.rolledBack} rolled back, ${tally.cut} cut by a kill and ${tally.cutSwitched} of these switched, ${tally.moved} moved) that gave up ${n(tally.givenUp, "event")}, ${n(tally.splits, "split")} of all partitions`;
  return `${n(tally.rounds, "round")}, ${kills}, ${n(tally.evictions, "eviction")}, ${n(tally.snapshots, "whole snapshot")} and ${count(tally.fromSnapshots)} recoveries from one, ${counts}, ${count(findings.lost)} lost, ${count(findings.doubled)} doubled, ${credits}, ${turns}`;
}

/** A restart on a busy machine takes some of them. */
const ATTEMPTS = 600;

class Chaos {
  readonly #world: World;
  readonly #reader: LineReader;
  readonly #clients: ChaosClient[];
  #rounds = 0;

  constructor(world: World) {
    this.#world = world;
    this.#reader = new LineReader(world);
    this.#clients = Array.from({ length: CLIENTS }, (_, number) => new ChaosClient(world, number));
  }

  async begin(): Promise<void> {
    await this.#reader.begin(new Ledger());
  }

  async round(plan: Plan, seconds: number): Promise<void> {
    this.#rounds += 1;
    this.#world.tally.rounds += 1;
    const race = new Race(this.#world, `race ${this.#rounds}`);
    let over = false;
    const load = this.#clients.map((client) => client.run(() => over));
    const script = this.#acts(plan, seconds, race).finally(() => (over = true));
    await Promise.all([script, ...load]);
    await race.repeat();
    await this.#compare();
  }

  async #acts(plan: Plan, seconds: number, race: Race): Promise<void> {
    await this.#script(plan, seconds, race);
    // A line that starts from here has all of the race, so its answers stay.
    await race.settle();
    if (plan.promotion === null) return;
    await new Promotions(this.#world, this.#reader, this.#rounds).run(plan.promotion);
  }

  /** Kills and restarts of the app while the load runs. */
  async #script(plan: Plan, seconds: number, race: Race): Promise<void> {
    const [first, ...others] = plan.kills;
    const beforeMs = first?.during === "load" ? first.afterMs : seconds * 500;
    const evicting = this.#evict(plan.evictions, beforeMs);
    const snapshotting = this.#snapshotsAfter(plan.snapshotsAt, beforeMs);
    const bought = race.buy();
    await Promise.all([bought, sleep(Math.max(0, beforeMs - plan.raceLeadMs))]);
    const racing = race.run();
    racing.catch(() => undefined); // Thrown below.
    await sleep(Math.min(beforeMs, plan.raceLeadMs));
    const checks: Promise<void>[] = [];
    if (first !== undefined) await this.#strike(first, race, checks);
    for (const kill of others) {
      await sleep(kill.afterMs);
      await this.#strike(kill, race, checks);
    }
    await sleep(plan.restMs);
    await Promise.all([racing, evicting, snapshotting, ...checks]);
  }

  /** Resolves when the app is up again; the check that then begins continues. */
  async #strike(kill: Kill, race: Race, checks: Promise<void>[]): Promise<void> {
    const snapshots = kill.during === "snapshot" ? await this.#snapshots() : null;
    if (kill.during === "snapshot") await sleep(kill.afterMs);
    const acknowledged = this.#world.book.counts();
    await this.#world.crash(kill.during, () => {
      if (race.underway) this.#world.tally.racesCut += 1;
      return snapshots !== null && snapshots.open > 0;
    });
    const check = this.#atLeast(acknowledged);
    check.catch(() => undefined); // Thrown where all are awaited.
    checks.push(check);
  }

  /** Asks every partition for a snapshot, and doesn't wait for it. */
  async #snapshots(): Promise<{ open: number }> {
    const under = { open: 0 };
    for (const path of await this.#partitions()) {
      under.open += 1;
      void exchange(`${this.#world.app.url()}${path}/snapshot`, { method: "POST" }).then((answer) => {
        under.open -= 1;
        if (answer?.status === 200) this.#world.tally.snapshots += 1;
      });
    }
    return under;
  }

  async #snapshotsAfter(share: number | null, withinMs: number): Promise<void> {
    if (share === null) return;
    await sleep(share * withinMs);
    await Promise.all(
      (await this.#partitions()).map(async (path) => {
        if (await this.#taken(`${path}/snapshot`)) this.#world.tally.snapshots += 1;
      }),
    );
  }

  /** Asks again while the app is down: on a busy machine a kill may come before any answer. */
  async #taken(path: string): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const answer = await exchange(`${this.#world.app.url()}${path}`, { method: "POST" });
      if (answer?.status === 200) return true;
      await sleep(100);
    }
    return false;
  }

  async #evict(count: number, withinMs: number): Promise<void> {
    const random = this.#world.random.stream(`evictions ${this.#rounds}`);
    const partitions = count === 0 ? [] : await this.#partitions();
    for (let i = 0; i < count; i++) {
      await sleep(random.below((2 * withinMs) / count));
      const path = partitions[random.below(partitions.length)] ?? "";
      if (await this.#taken(`${path}/evict`)) this.#world.tally.evictions += 1;
    }
  }

  async #partitions(): Promise<string[]> {
    const operators = (await getUntilAnswered(`${this.#world.app.url()}/v1/operators`)) as {
      name: string;
      partitions: number;
    }[];
    return operators.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, n) => `/v1/operators/${name}/partitions/${n}`),
    );
  }

  async #atLeast(acknowledged: ReadonlyMap<OperatorName, ReadonlyMap<string, number>>): Promise<void> {
    for (const [operator, counts] of acknowledged) {
      const states = await readAllStates(this.#world.app.url(), operator);
      for (const [key, count] of counts) {
        const found = eventsOf(operator, states.get(key) as Record<string, unknown> | undefined);
        if (found >= count) continue;
        this.#world.findings.lost += count - found;
        this.#world.findings.add(`${operator} ${key}: ${count} acknowledged before a kill, ${found} after it`);
      }
    }
  }

  /** At the end of the run: splits all partitions under load, kills once more, and compares what comes back. */
  async finish(): Promise<void> {
    let over = false;
    const load = this.#clients.map((client) => client.run(() => over));
    const splitting = new Splits(this.#world).run().finally(() => (over = true));
    await Promise.all([splitting, ...load]);
    await this.#compare();
    await this.#world.crash("load", () => false);
    await this.#compare();
  }

  async #compare(): Promise<void> {
    const { book, findings } = this.#world;
    const find = (what: string): void => findings.add(`round ${this.#rounds}: ${what}`);
    const ledger = this.#reader.ledgerOf(await this.#reader.main(), "main");
    const lacks = [...book.all].filter((id) => !ledger.has(id));
    const surplus = [...ledger.ids].filter((id) => !book.mayHold(id));
    for (const id of lacks) find(`main lacks ${id}, which was acknowledged`);
    for (const id of surplus) find(`main holds ${id}, which was given up and not sent again`);
    findings.lost += lacks.length;
    findings.doubled += surplus.length;
    for (const operator of OPERATORS) {
      const states = await readAllStates(this.#world.app.url(), operator);
      const { lost, doubled, differences } = ledger.compare(operator, states);
      for (const difference of differences) find(difference);
      const counted = ledger.events.get(operator) ?? 0;
      const more = ((await this.#logged(operator)) ?? counted) - counted;
      if (more !== 0) find(`${operator}'s log has ${Math.abs(more)} events too ${more > 0 ? "many" : "few"}`);
      // A state can't have fewer differences than the log it follows from.
      findings.lost += Math.max(lost, -more);
      findings.doubled += Math.max(doubled, more);
    }
    await this.#reader.begin(ledger);
  }

  /** Events in the log of an operator. Returns null if its partition was split: seqs of the parts begin where it ended. */
  async #logged(operator: OperatorName): Promise<number | null> {
    const partitions = (await getUntilAnswered(
      `${this.#world.app.url()}/v1/operators/${operator}/partitions?live=true`,
    )) as { appliedSeq: number; lastRecovery: { manifest: number | null } | null }[];
    for (const { lastRecovery } of partitions)
      if (typeof lastRecovery?.manifest === "number") this.#world.tally.fromSnapshots += 1;
    return partitions.length > 1 ? null : partitions[0]!.appliedSeq;
  }
}
