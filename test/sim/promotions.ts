/**
 * Timelines that are made, written, promoted and removed by callers who fail, die and come late (lines-world.ts), and
 * the rules that hold all the time and at the end.
 */
import { brotli } from "../../src/adapters/brotli.ts";
import { stamp, switchObject, type Stamp } from "../../src/engine/base/ids.ts";
import type { Main } from "../../src/engine/base/records.ts";
import { persistent } from "../../src/engine/base/retry.ts";
import { promote, settlePromotion } from "../../src/engine/history/promotion.ts";
import { readSwitch } from "../../src/engine/history/switch-object.ts";
import { listSavepoints } from "../../src/engine/history/savepoints.ts";
import { settle } from "../../src/engine/history/settle.ts";
import { makeTimeline, removeTimeline, type Timelines } from "../../src/engine/history/timelines.ts";
import {
  DATABASES,
  difference,
  etagOf,
  eventOf,
  LinesWorld,
  type Caller,
  type Draw,
  type Ports,
} from "./lines-world.ts";
import { Random } from "./random.ts";

/** A switch that was done, as the directory and the logs showed it at that moment. */
interface Switch {
  readonly promotion: number;
  readonly from: number;
  readonly to: number;
  readonly etag: string;
  readonly list: string;
  /** The logs of the line that was replaced, and their newest stamp. */
  readonly frozen: string;
  readonly newest: number;
  /** Rows of the new main in each database. */
  readonly rows: readonly number[];
}

interface Acknowledged {
  readonly id: string;
  /** Switches that were done before it was sent. */
  readonly since: number;
}

export interface PromotionsRun {
  /** The first rule that was broken, or null. */
  readonly broken: string | null;
  readonly trace: readonly string[];
  /** The things that came to pass, by name. */
  readonly seen: ReadonlySet<string>;
}

export async function runPromotions(draw: Draw): Promise<PromotionsRun> {
  const world = new LinesWorld(draw);
  const rules = new Rules(world);
  try {
    await new Actors(world, rules, draw).run();
  } catch (error) {
    rules.break(`unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  return { broken: rules.broken, trace: world.trace, seen: rules.seen };
}

/** A run whose draws are those of a seed. */
export function seededPromotions(seed: number): Promise<PromotionsRun> {
  const random = new Random(seed, "promotions");
  return runPromotions((below) => (below < 2 ? 0 : random.between(0, below - 1)));
}

class Rules {
  broken: string | null = null;
  readonly seen = new Set<string>();
  readonly switches: Switch[] = [];
  readonly acknowledged: Acknowledged[] = [];
  /** Objects that late calls put after the removal of their timeline. Nobody takes them for another's. */
  readonly late = new Set<string>();
  readonly #world: LinesWorld;

  constructor(world: LinesWorld) {
    this.#world = world;
    world.acted = (by, method, args, before) => this.#after(by, method, args, before);
  }

  break(why: string): void {
    this.broken ??= why;
  }

  /** Rules of every moment. */
  #after(by: Caller, method: string, args: readonly unknown[], before: Main): void {
    const { directory, databases } = this.#world;
    const { now, timelines } = directory;
    if (now.switches > before.switches) this.#switched(by, args, before, now);
    if (method === "seal" && before.promotion > (args[1] as number)) this.seen.add("a late seal");
    if (method === "open" && before.promotion > (args[1] as number)) this.seen.add("a late opening");
    if (method === "append" && before.state !== "idle") this.seen.add("an append during a promotion");
    this.seen.add(now.state);
    if (
      method === "put" &&
      startOf(args[0] as string) > 0 &&
      !["making", "ready"].includes(timelines.get(startOf(args[0] as string))?.state ?? "")
    )
      this.late.add(args[0] as string);
    const rested = now.state === "idle" ? [now.line, now.target ?? now.line] : [];
    for (const [i, { lines }] of databases.entries()) {
      for (const line of rested)
        if (timelines.get(line)?.replaced === 0 && !this.#takes(line, lines.get(line)))
          this.break(`no promotion is under way, and line ${line} is sealed in database ${i}`);
      for (const [line, { removed }] of lines)
        if (removed === true && timelines.get(line)?.state === "ready") this.break(`line ${line} lost its rows`);
    }
    for (const { from, frozen } of this.switches)
      if (timelines.get(from)?.state === "ready" && this.#logs(from) !== frozen)
        this.break(`line ${from} was replaced with ${frozen}, and is now ${this.#logs(from)}`);
    this.#lives(now);
    this.#held();
    const last = this.switches.at(-1);
    if (last !== undefined)
      for (const i of DATABASES)
        for (const row of this.#world.rowsOf(last.to, i).slice(last.rows[i]))
          if (row.stamp <= last.newest) this.break(`main goes back from stamp ${last.newest} to ${row.stamp}`);
  }

  /** Events, or rows if it replays. */
  #takes(line: number, row: { readonly open: boolean; readonly replaying?: boolean } | undefined): boolean {
    const one = this.#world.directory.timelines.get(line);
    if (one?.unstarted === true) return row !== undefined && !row.open;
    return (one?.replay === undefined ? row?.open : row?.replaying) === true;
  }

  #lives({ line, state, target, former }: Main): void {
    const { timelines } = this.#world.directory;
    for (const one of state === "idle" ? [line] : [line, target!, former ?? line])
      if (one === former && state !== "opening" ? false : timelines.get(one)?.state !== "ready")
        this.break(`line ${one} is main or part of a promotion, and is being removed`);
    // No line of this world has a snapshot, so one reads its parent if that logged anything up to its start (LINE6).
    for (const { line: child, parent, at } of timelines.values())
      if (parent !== null && timelines.get(parent)?.state !== "ready") {
        this.seen.add("a parent that nobody reads is removed");
        if (DATABASES.some((i) => this.#world.rowsOf(parent, i).some((row) => row.stamp <= at)))
          this.break(`line ${child} has lost its parent`);
      }
  }

  /** The start of each timeline that counts is held in every database. */
  #held(): void {
    const { databases, directory } = this.#world;
    for (const { line, state, parent, at, unstarted, split } of directory.timelines.values())
      // The end of a line is held by nothing, since it is never given up.
      if (
        state === "ready" &&
        parent !== null &&
        unstarted === undefined &&
        split === undefined &&
        directory.timelines.get(parent)?.state === "ready"
      )
        for (const [i, { savepoints, lines }] of databases.entries()) {
          if (![...savepoints.values()].some((one) => one.line === parent && one.name === `@${line}` && one.at === at))
            this.break(`database ${i} doesn't hold the start of line ${line}`);
          if (!lines.has(line)) this.break(`database ${i} has no row of line ${line}`);
        }
  }

  #switched(by: Caller, [promotion, etag, done]: readonly unknown[], before: Main, now: Main): void {
    const list = difference(this.#world.idsOf(before.line), this.#world.idsOf(now.line));
    const real = etagOf(before, now.line, list);
    if (etag !== real || done !== list) this.break(`it said ${String(etag)}, and did ${real}`);
    if (by.accepted !== "*" && by.accepted !== real)
      this.break(`${by.name} accepted ${by.accepted}, but ${real} was done`);
    if (this.switches.some((one) => one.promotion === promotion || one.to === now.line))
      this.break(`promotion ${String(promotion)} switched main again`);
    const listed = list.split(" ");
    const taken = new Set(listed.flatMap((one) => (one.startsWith("+") ? [eventOf(one.slice(1))] : [])));
    const wrong = listed.find((one) => one.startsWith("-") && !taken.has(eventOf(one.slice(1))));
    const replayed = this.#world.directory.timelines.get(now.line)?.replayed;
    if (replayed !== undefined) {
      const isSplit = this.#world.directory.timelines.get(now.line)?.split !== undefined;
      if (isSplit) this.seen.add("more partitions became main");
      else this.seen.add(list === "" ? "a replay became main" : "a replay with other outcomes became main");
      if (wrong !== undefined) this.break(`line ${now.line} replayed main, and gives up ${wrong}`);
      if (replayed !== before.line)
        this.break(`line ${now.line} replayed line ${replayed}, and main was ${before.line}`);
    } else if (list.includes("-")) this.seen.add("events given up");
    const { length } = this.switches;
    if (length > 0) this.seen.add("a second switch");
    const rows = DATABASES.map((i) => this.#world.rowsOf(now.line, i).length);
    const newest = Math.max(0, ...DATABASES.map((i) => this.#world.rowsOf(before.line, i).at(-1)?.stamp ?? 0));
    const frozen = this.#logs(before.line);
    this.switches.push({
      promotion: now.promotion,
      from: before.line,
      to: now.line,
      etag: real,
      list,
      frozen,
      newest,
      rows,
    });
  }

  #logs(line: number): string {
    return DATABASES.map((i) =>
      this.#world
        .rowsOf(line, i)
        .map(({ payload }) => payload)
        .join(" "),
    ).join(" | ");
  }

  /** Nothing that main acknowledged is missing, unless a later list said so, and nothing is there twice. */
  nothingLost(): void {
    const ids = this.#world.idsOf(this.#world.directory.now.line);
    if (new Set(ids.map(eventOf)).size < ids.length) this.break(`main holds an event twice: ${ids.join(" ")}`);
    for (const { id, since } of this.acknowledged) {
      const listed = this.switches.slice(since).some(({ list }) => list.split(" ").includes(`-${id}`));
      if (!ids.includes(id) && !listed) this.break(`${id} was acknowledged, and main lost it unsaid`);
    }
  }
}

/** The line whose start an object holds. */
const startOf = (object: string): number => Number(/@(\d+)\//.exec(object)?.[1]);

const NAMES = ["t1", "t2"] as const;

class Actors {
  readonly #world: LinesWorld;
  readonly #rules: Rules;
  readonly #draw: Draw;
  #events = 0;

  constructor(world: LinesWorld, rules: Rules, draw: Draw) {
    this.#world = world;
    this.#rules = rules;
    this.#draw = draw;
  }

  async run(): Promise<void> {
    const { clock } = this.#world;
    const setUp = this.#world.caller("setup", false);
    for (let n = this.#draw(3); n > 0; n--) await clock.run(this.#client(setUp));
    for (const name of NAMES.slice(0, 1 + this.#draw(2))) await clock.run(this.#maker(setUp, name));
    await clock.advance(20);
    const acts = [
      ...Array.from(
        { length: 1 + this.#draw(3) },
        (_, n) => [`promoter ${n}`, (by: Caller) => this.#promoter(by)] as const,
      ),
      ...Array.from(
        { length: 2 + this.#draw(4) },
        (_, n) => [`client ${n}`, (by: Caller) => this.#client(by)] as const,
      ),
      ...Array.from(
        { length: this.#draw(3) },
        (_, n) => [`replayer ${n}`, (by: Caller) => this.#replayer(by)] as const,
      ),
      ...Array.from({ length: this.#draw(2) }, () => ["settler", (by: Caller) => this.#settler(by)] as const),
      ...Array.from({ length: this.#draw(2) }, () => ["remover", (by: Caller) => this.#remover(by)] as const),
      ...Array.from({ length: this.#draw(3) }, (_, n) => [`maker ${n}`, (by: Caller) => this.#maker(by)] as const),
      ...Array.from({ length: this.#draw(2) }, () => ["retention", () => this.#retention()] as const),
    ];
    const over = acts.map(async ([name, act]) => {
      const caller = this.#world.caller(name);
      await this.#pause(80);
      try {
        await act(caller);
      } catch (error) {
        if (!/did not answer|failed/.test(String(error))) throw error;
      }
    });
    void Promise.all(over).catch((error: unknown) => this.#rules.break(`unexpected: ${(error as Error).stack}`));
    await clock.advance(60_000 * (1 + this.#draw(4)));
    await this.#rest();
    // Late statements are executed now.
    await clock.advance(600_000);
    await this.#rest();
    await this.#end();
  }

  /** Somebody else carries on. After that main takes events. */
  async #rest(): Promise<void> {
    const { clock, directory } = this.#world;
    const caller = this.#world.caller("keeper", false);
    const ports = this.#world.ports(caller);
    const main = await clock.run(settlePromotion(clock, ports.promotion));
    if (main.state !== "idle") this.#rules.break(`main is ${main.state} after it was settled`);
    const id = `after${this.#events++}`;
    for (const i of DATABASES)
      if (!(await clock.run(this.#world.send(ports, directory.now.line, i, `${id}.${i}`))))
        this.#rules.break(`main, line ${main.line}, takes no events after it was settled`);
    this.#rules.nothingLost();
  }

  /** The last promotion is told again, and everything that can go goes. */
  async #end(): Promise<void> {
    const { clock, databases, directory, objects } = this.#world;
    const caller = this.#world.caller("keeper", false);
    const ports = this.#world.ports(caller);
    const last = this.#rules.switches.at(-1);
    if (last !== undefined) {
      this.#rules.seen.add("promoted");
      const compare = () => Promise.reject(new Error("compared again"));
      const wish = { target: last.to, accepted: last.etag };
      const heard = await clock.run(promote(clock, ports.promotion, wish, compare));
      if (heard.tag !== "promoted" || heard.done !== last.list || !heard.again)
        this.#rules.break(`the same call heard ${JSON.stringify(heard)}`);
    }
    for (const one of [...directory.timelines.values()].sort((a, b) => b.line - a.line))
      await clock.run(removeTimeline(clock, ports.timelines, ports.objects, one));
    const left = [...directory.timelines.values()];
    for (const line of this.#world.starts.keys()) {
      const { files, stores } = ports.timelines.savepoints(this.#world.starts.get(line)!.parent);
      await clock.run(listSavepoints(files, stores));
    }
    const parents = new Set(left.map(({ parent }) => parent));
    for (const { line } of left)
      if (line !== directory.now.line && !parents.has(line)) this.#rules.break(`line ${line} can't be removed`);
    const lines = new Set(left.map(({ line }) => line));
    for (const [i, { savepoints, rows, lines: known }] of databases.entries()) {
      for (const [line, { removed }] of known)
        if (!lines.has(line) && removed !== true) this.#rules.break(`database ${i} still has line ${line}`);
      for (const { name } of savepoints.values())
        if (!lines.has(Number(name.slice(1)))) this.#rules.break(`database ${i} still holds ${name}`);
      for (const name of rows.keys()) if (!lines.has(Number.parseInt(name, 10))) this.#rules.break(`${name} is left`);
    }
    for (const [i, { promotion, to }] of this.#rules.switches.entries()) {
      const name = { switches: i + 1, line: to };
      if (!objects.objects.has(switchObject(name.switches, name.line))) {
        this.#rules.break(`R2 knows nothing of promotion ${promotion}`);
        continue;
      }
      const { starts } = await clock.run(readSwitch({ objects, clock, codec: brotli }, name));
      if (starts.length === 0 || !starts.every(({ line, at }, n) => this.#isStart(to, n, line, at)))
        this.#rules.break(`R2 says that line ${to} starts at ${JSON.stringify(starts)}`);
    }
    for (const name of objects.objects.keys())
      if (startOf(name) > 0 && !lines.has(startOf(name)) && !this.#rules.late.has(name))
        this.#rules.break(`${name} is left in R2`);
  }

  /** Returns true if the n-th line before another one is that line, up to that stamp. */
  #isStart(of: number, n: number, line: number, at: Stamp): boolean {
    const start = this.#world.starts.get(of);
    if (start === undefined || n > 0) return start !== undefined && this.#isStart(start.parent, n - 1, line, at);
    return start.parent === line && start.at === at;
  }

  #timelines({ directory }: Ports): Promise<Timelines> {
    return persistent(this.#world.clock, "D1", () => directory.all());
  }

  /** Waits for some milliseconds, or for as many seconds. */
  #pause(upToMs: number): Promise<void> {
    const ms = this.#draw(upToMs) * (this.#draw(4) === 3 ? 1_000 : 1);
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => this.#world.clock.after(ms, resolve));
  }

  /** Sends an event to the line that is main by what the caller heard, perhaps a while ago, or to a timeline. */
  /** Sends events to the line that is main by what the caller heard, perhaps a while ago, or to a timeline. */
  async #client(by: Caller): Promise<void> {
    const ports = this.#world.ports(by);
    for (let events = 1 + this.#draw(4); events > 0; events--) {
      const { main, all } = await this.#timelines(ports);
      const aside = this.#draw(4) === 3 ? all.find(({ name }) => name === "t1") : undefined;
      await this.#pause(40);
      const database = DATABASES[this.#draw(2)]!;
      const id = this.#draw(3) === 2 ? `${database}r` : `${database}e${this.#events++}`;
      const since = this.#rules.switches.length;
      const isHeard = await this.#world.send(ports, (aside ?? main).line, database, id).catch(() => false);
      if (isHeard && aside === undefined) this.#rules.acknowledged.push({ id, since });
    }
  }

  async #maker(by: Caller, name = NAMES[this.#draw(2)]!): Promise<void> {
    const { clock } = this.#world;
    const ports = this.#world.ports(by);
    const { main, all } = await this.#timelines(ports);
    const row = all.find(({ line }) => line === main.line);
    const kind = this.#draw(6);
    if (kind === 5) return this.#splitter(ports, name, main.line);
    const isUndo = kind === 4 && row?.replayed !== undefined;
    const parent = isUndo ? row.replayed : kind === 2 ? all.at(-1)!.line : main.line;
    const from = all.find(({ line }) => line === parent);
    if (from?.replay !== undefined || from?.unstarted !== undefined) return;
    const moment = await settle(clock, ports.promotion.floors(parent), { tag: "now" });
    if (moment.tag !== "settled") return;
    const ends = isUndo ? ports.promotion.floors(parent) : [];
    const end = await Promise.all(ends.map((floor) => persistent(clock, "D1", () => floor.newest())));
    const at = isUndo ? stamp(Math.max(...end)) : moment.at;
    const replay =
      isUndo || (kind >= 3 && parent === main.line)
        ? { replay: { source: main.line, outcomes: "logged", code: "c" } as const }
        : {};
    const made = await makeTimeline(clock, ports.timelines, {
      name,
      parent,
      at,
      exact: false,
      expiresMs: null,
      ...replay,
    });
    if (made.tag === "made" && isUndo) this.#rules.seen.add("make: an undo that replays");
    this.#rules.seen.add(`make: ${made.tag}`);
    if (made.tag === "made" && made.timeline.parent !== parent)
      this.#rules.break(
        `${by.name} asked for a start on line ${parent}, and heard of ${JSON.stringify(made.timeline)}`,
      );
  }

  /** Makes a line with more partitions that starts where main ends. */
  async #splitter(ports: Ports, name: string, parent: number): Promise<void> {
    const start = {
      name,
      parent,
      at: stamp(Number.MAX_SAFE_INTEGER),
      exact: true,
      expiresMs: null,
      unstarted: true,
    } as const;
    const made = await makeTimeline(this.#world.clock, ports.timelines, { ...start, split: { other: 2 } });
    this.#rules.seen.add(`make: ${made.tag}`);
  }

  /** Posts what it saw, again and again, or looks again. */
  async #promoter(by: Caller): Promise<void> {
    const ports = this.#world.ports(by);
    for (let looks = 1 + this.#draw(3); looks > 0; looks--) {
      const { main, all } = await this.#timelines(ports);
      const targets = all.filter(({ line, state }) => line !== main.line && state === "ready");
      const target = targets[this.#draw(targets.length)]?.line;
      if (target === undefined) return;
      await this.#takeIn(ports, target);
      const { etag } = await this.#world.compare(ports, main, target);
      by.accepted = this.#draw(3) === 2 ? "*" : etag;
      for (let posts = 1 + this.#draw(2); posts > 0; posts--) {
        await this.#pause(40);
        await this.#post(by, ports, target);
      }
    }
  }

  async #post(by: Caller, ports: Ports, target: number): Promise<void> {
    const accepted = by.accepted!;
    const compare = async (now: Main) => {
      if (!(await this.#takeIn(ports, target))) throw new Error("taking in failed");
      return this.#world.compare(ports, now, target);
    };
    const heard = await promote(this.#world.clock, ports.promotion, { target, accepted }, compare);
    this.#rules.seen.add(`promote: ${heard.tag}${heard.tag === "promoted" && heard.again ? " again" : ""}`);
    if (heard.tag !== "promoted") return;
    const done = this.#rules.switches.find(({ to }) => to === target);
    if (done?.list !== heard.done || (accepted !== "*" && done.etag !== accepted))
      this.#rules.break(`${by.name} heard ${heard.done}, and ${done?.etag} was done`);
  }

  /** Lets a line that replays take in what main has logged. Returns false if something is left. */
  async #takeIn(ports: Ports, line: number): Promise<boolean> {
    const { all } = await this.#timelines(ports);
    const source = all.find((one) => one.line === line)?.replay?.source;
    if (source === undefined) return true;
    const taken = await Promise.all(DATABASES.map((i) => this.#world.takeIn(ports, line, source, i)));
    return !taken.includes(false);
  }

  async #replayer(by: Caller): Promise<void> {
    const ports = this.#world.ports(by);
    for (let rounds = 1 + this.#draw(3); rounds > 0; rounds--) {
      const { all } = await this.#timelines(ports);
      const one = all.find(({ replay }) => replay !== undefined);
      if (one !== undefined) await this.#takeIn(ports, one.line);
      await this.#pause(40);
    }
  }

  async #settler(by: Caller): Promise<void> {
    await settlePromotion(this.#world.clock, this.#world.ports(by).promotion);
  }

  async #remover(by: Caller): Promise<void> {
    const ports = this.#world.ports(by);
    const { all } = await this.#timelines(ports);
    const one = all[this.#draw(all.length)]!;
    await this.#pause(60);
    const removed = await removeTimeline(this.#world.clock, ports.timelines, ports.objects, one);
    this.#rules.seen.add(`remove: ${removed.tag === "refused" ? removed.why : removed.tag}`);
  }

  /** Gives up everything up to now that nobody holds, on main in one database. */
  async #retention(): Promise<void> {
    const { databases, directory, clock } = this.#world;
    const i = this.#draw(2);
    const from: Stamp = stamp(clock.now() * 1024);
    const name = [...databases[i]!.rows.keys()].find((row) => row.startsWith(`${directory.now.line}/`));
    if (name !== undefined) databases[i]!.kept.set(name, { points: [], pins: [], retainFrom: from, archiveFrom: 0 });
    await Promise.resolve();
  }
}
