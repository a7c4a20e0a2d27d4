/**
 * D1 that is restored to an older point, by its own time travel or by an old copy, or lost; and what somebody decides then.
 *
 * TIMETRAVEL1. All partitions of a database go back at once. Calls that were under way are cancelled; objects live on and find out.
 * TIMETRAVEL2. A while later it is restored to the later point, if nobody has written to it. Or somebody decides for
 *     each of its partitions with which truth it continues, sometimes two people at the same time. A database that was
 *     lost is rebuilt from R2.
 * TIMETRAVEL3. Events that no object knows of are lost without a word (docs/internals/design.md, what is left open), and all else
 *     holds.
 * TIMETRAVEL4. An instance knows the log that its opening gave it, and what it logged since. If that is part of the
 *     log that its database has now, all rules hold for it. An instance that didn't open yet knows nothing.
 */
import { adopt, type Truth as Which } from "../../src/engine/recovery/adopt.ts";
import type { PartitionRow, Point } from "../../src/engine/base/records.ts";
import type { FileEnvironment } from "../../src/engine/operator/environment.ts";
import { NO_CACHE } from "../../src/engine/snapshot/range-reader.ts";
import { rebuild } from "../../src/engine/recovery/rebuild.ts";
import type { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { InstanceClock } from "./clock.ts";
import { filesOf, manifestIn } from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import { isPartOf, NOTHING, upTo, type Past } from "./truth.ts";
import { Watched } from "./watched.ts";
import type { World } from "./world.ts";

/** The rows of a database at some moment. */
interface Moment {
  readonly rows: MemoryDatabase["rows"];
  readonly segments: MemoryDatabase["segments"];
  readonly writers: MemoryDatabase["writers"];
  readonly kept: MemoryDatabase["kept"];
  readonly floor: number;
  readonly pasts: ReadonlyMap<Slot, Past>;
}

const EMPTY: Moment = {
  rows: new Map(),
  segments: new Map(),
  writers: new Map(),
  kept: new Map(),
  floor: 0,
  pasts: new Map(),
};
/** Moments that it may be restored to. */
const MOMENTS = 8;
const versionOf = (name: string): number => Number(/\/(\d{10})-[^/]+\.kfm$/.exec(name)![1]);

/** The ends that retention has set for a partition: whatever is given up later, these say so. */
function retentionOf(kept: Moment["kept"], name: string): string {
  const { points = [], archiveFrom = 0, retainFrom = 0 } = kept.get(name) ?? {};
  return JSON.stringify([points.map(({ version }) => version), archiveFrom, retainFrom]);
}

export class TimeTravel {
  readonly #world: World;
  readonly #random: Random;
  readonly #moments = new Map<string, Moment[]>();
  /** Databases of which it isn't decided yet. */
  readonly #open = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("time travel");
  }

  start(): void {
    const { config } = this.#world;
    if (config.travelMs === 0) return;
    this.#every(config.travelMs / 4, () => this.#remember());
    this.#every(config.travelMs, () => this.#strike());
  }

  #every(ms: number, then: () => void): void {
    this.#world.clock.after(this.#random.wait(ms), () => {
      if (!this.#world.faulty) return;
      then();
      this.#every(ms, then);
    });
  }

  #slots(home: string): Slot[] {
    return [...this.#world.host.slots.values()].filter(({ address }) => address.database === home);
  }

  #remember(): void {
    for (const home of this.#world.databases()) {
      const moments = this.#moments.get(home) ?? [];
      this.#moments.set(home, [...moments, this.#moment(home)].slice(-MOMENTS));
    }
  }

  #moment(home: string): Moment {
    const { rows, segments, writers, kept, first } = this.#world.database(home);
    const pasts = this.#slots(home).map((slot) => [slot, this.#past(slot)] as const);
    return {
      rows: new Map([...rows].map(([name, row]) => [name, { ...row }])),
      segments: new Map(segments),
      writers: new Map(writers),
      kept: new Map([...kept].map(([name, one]) => [name, { ...one }])),
      floor: first.floor,
      pasts: new Map(pasts),
    };
  }

  /** The partition's log as it is now, and its retention. */
  #past({ name, address }: Slot): Past {
    const { kept } = this.#world.database(address.database);
    return { ...this.#world.oracle.truth(name).past, retention: retentionOf(kept, name) };
  }

  #restore(home: string, to: Moment): void {
    const before = this.#moment(home).pasts;
    const db = this.#world.database(home);
    this.#world.generations.set(home, this.#world.generation(home) + 1);
    for (const part of ["rows", "segments", "writers", "kept"] as const) db[part].clear();
    for (const [name, row] of to.rows) db.rows.set(name, { ...row });
    for (const [name, rows] of to.segments) db.segments.set(name, rows);
    for (const [name, writer] of to.writers) db.writers.set(name, writer);
    for (const [name, kept] of to.kept) db.kept.set(name, { ...kept });
    db.first.floor = to.floor;
    for (const slot of this.#slots(home)) {
      const past = to.pasts.get(slot) ?? { ...NOTHING, retention: retentionOf(to.kept, slot.name) };
      // It may have begun at any time, also since the database was restored to an older point (TIMETRAVEL4).
      for (const one of slot.instances) {
        const knows = one.past ?? before.get(slot)!;
        one.past = isPartOf(knows, past) ? null : knows;
      }
      this.#world.oracle.travelled(slot, past);
    }
  }

  #strike(): void {
    const { trace, clock } = this.#world;
    const home = this.#random.pick(this.#world.databases());
    const moments = this.#moments.get(home) ?? [];
    const lost = this.#random.chance(0.25);
    if (this.#open.has(home) || moments.length === 0) return;
    const now = this.#moment(home);
    const back = lost ? EMPTY : this.#random.pick(moments);
    trace.count(lost ? "databases lost" : "databases restored to an older point");
    trace.say(home, () => (lost ? "is lost" : "is restored to an older point"));
    this.#restore(home, back);
    const after = this.#written(home);
    this.#open.add(home);
    clock.after(this.#random.skewed(500, 1_200_000), () => {
      if (!this.#world.faulty) return;
      this.#open.delete(home);
      if (this.#random.chance(0.4) && this.#written(home) === after) return this.#forward(home, now);
      void this.#decide(home, lost);
    });
  }

  /** The seqs that restoring it to the later point would give up. */
  #written(home: string): string {
    const { rows, segments } = this.#world.database(home);
    return JSON.stringify([
      [...rows].map(([name, { version }]) => [name, version]),
      [...segments].map(([name, tail]) => [name, tail.at(-1)?.group]),
    ]);
  }

  /** A restore to the later point repairs it by itself (REWIND4 of rewind-check.ts). */
  #forward(home: string, to: Moment): void {
    this.#world.trace.count("databases restored to a later point");
    this.#world.trace.say(home, () => "is restored to a later point");
    this.#restore(home, to);
  }

  async #decide(home: string, lost: boolean): Promise<void> {
    for (const slot of this.#slots(home)) {
      if (lost && this.#random.chance(0.8)) await this.#recover(slot);
      const which: Which = this.#random.chance(0.5) ? "d1" : "r2";
      // Two people may decide at the same time, and otherwise.
      const two = this.#random.chance(0.25);
      await Promise.all([this.#adopt(slot, which), ...(two ? [this.#adopt(slot, which === "d1" ? "r2" : "d1")] : [])]);
    }
  }

  /** When the faults have stopped: whatever isn't decided is. Instances from before are gone by then. */
  async settle(step: (untilMs?: number) => Promise<boolean>): Promise<void> {
    const { config, host } = this.#world;
    if (config.travelMs === 0) return;
    for (const slot of host.slots.values())
      // Also one that began since: its epoch may be of a statement that was under way when the database was restored to
      // an older point.
      for (const one of host.running(slot)) one.die("gone, after its database was restored to an older point");
    const decided = new Watched(Promise.all(this.#world.databases().map((home) => this.#decide(home, true))));
    await this.#world.clock.settle();
    while (decided.outcome === null && (await step()));
    if (decided.outcome !== null && "error" in decided.outcome) throw decided.outcome.error;
  }

  // ---- decisions ----

  #env(slot: Slot): FileEnvironment {
    const { store, clock, codec, config } = this.#world;
    const { line, operator: name, partition } = slot.address;
    return {
      id: { line, operator: name, partition },
      operator: this.#world.operators(1).find((one) => one.name === name)!,
      objects: store,
      cache: NO_CACHE,
      sizes: config.sizes,
      codec,
      clock: new InstanceClock(clock, this.#random, () => true, 0),
    };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve));
  }

  /** As src/worker/admin/adopt-route.ts. */
  async #adopt(slot: Slot, which: Which): Promise<void> {
    const { trace, oracle } = this.#world;
    const db = this.#world.database(slot.address.database);
    const opening = await db.log(slot.address).peek();
    const found = await adopt(this.#env(slot), { opening, mark: slot.mark }, which, slot.address.seed);
    await this.#sleep(this.#random.wait(this.#world.config.storeMs));
    if (found.tag !== "row") {
      trace.say(slot.short, () => `adopt ${which}: ${found.tag}`);
      const usable = found.tag === "not_rewound" || which === "d1";
      return usable ? undefined : this.#adopt(slot, "d1");
    }
    // Files that D1 named then may be collected since, and then R2 alone has anything.
    if (which === "d1" && !this.#isThere(found.row)) return this.#adopt(slot, "r2");
    const now = await db.log(slot.address).row();
    if (now?.epoch !== opening?.row.epoch || now?.version !== opening?.row.version) {
      // The partition moved on since it was looked at. So its new row is looked at, and decided.
      trace.count("adoptions that came second");
      return this.#adopt(slot, which);
    }
    const past = which === "d1" ? oracle.truth(slot.name).past : oracle.saved.logOf(found.row.attempt);
    if (which === "r2") this.#newest(slot, found.row, found.passedOver);
    this.#write(slot, found.row, which === "r2" ? found.roots : null);
    trace.count(which === "d1" ? "adoptions of D1" : "adoptions of R2");
    this.#begins(slot, found.row, which === "d1" ? past : upTo(past, found.seq));
  }

  /** As src/worker/admin/recover-route.ts. */
  async #recover(slot: Slot): Promise<void> {
    const { trace, oracle } = this.#world;
    const db = this.#world.database(slot.address.database);
    if (db.rows.has(slot.name)) return;
    const found = await rebuild(this.#env(slot), slot.address.seed, slot.mark ?? undefined);
    await this.#sleep(this.#random.wait(this.#world.config.storeMs));
    if (found.tag !== "found") {
      trace.say(slot.short, () => `recover: ${found.tag}`);
      if (found.tag === "nothing") trace.count("recoveries of nothing");
      else oracle.fail(`${slot.short} can't be rebuilt from R2: ${found.passedOver.join("; ")}`);
      return;
    }
    if (db.rows.has(slot.name)) return;
    this.#newest(slot, found.row, found.passedOver);
    this.#write(slot, found.row, null);
    trace.count("recoveries from R2");
    this.#begins(slot, found.row, oracle.saved.logOf(found.row.attempt));
  }

  /** `roots`: D1's log goes, and of its restore points and pins what isn't named. */
  #write(
    slot: Slot,
    row: PartitionRow,
    roots: { readonly upTo: number; readonly displaced: Point | null } | null,
  ): void {
    const db = this.#world.database(slot.address.database);
    db.rows.set(slot.name, { ...row });
    if (roots === null) return;
    const { upTo, displaced } = roots;
    db.segments.delete(slot.name);
    const kept = db.kept.get(slot.name);
    if (kept === undefined) return;
    kept.points = kept.points.filter((point) => point.version <= upTo);
    kept.pins = kept.pins.filter((pin) => pin.version <= upTo);
    if (displaced !== null && !kept.points.some((point) => point.version === displaced.version))
      kept.points = [...kept.points, displaced].sort((a, b) => a.version - b.version);
  }

  #begins(slot: Slot, row: PartitionRow, past: Past): void {
    const { oracle, trace } = this.#world;
    const before = this.#past(slot);
    oracle.begins(slot, row);
    oracle.travelled(slot, past);
    trace.say(
      slot.short,
      () => `resumes after seq ${oracle.head(slot.name)}, epoch ${row.epoch}, version ${row.version}`,
    );
    for (const one of slot.instances) one.past ??= before;
    slot.current?.die("evicted by a decision");
  }

  #isThere({ manifest }: PartitionRow): boolean {
    return manifest === null || filesOf(manifest).every((name) => this.#world.store.objects.has(name));
  }

  /** Nothing newer could have been taken. */
  #newest(slot: Slot, row: PartitionRow, passedOver: readonly string[]): void {
    const { store, oracle } = this.#world;
    const found = (JSON.parse(row.manifest!) as { attempt: string }).attempt;
    // An earlier piece of an archive is no attempt.
    const names = [...store.objects.keys()]
      .filter((name) => name.startsWith(`${slot.name}/manifests/`) && !/\.\d{4}\.kfm$/.test(name))
      .sort();
    const best = names.findLast((name) =>
      filesOf(manifestIn(store.objects.get(name)!)).every((file) => store.objects.has(file)),
    );
    if (best === undefined || !best.includes(found))
      oracle.fail(`${slot.short} is rebuilt from ${found}, the newest is ${best} (${passedOver.join("; ")})`);
    const top = versionOf(names.at(-1)!);
    if (row.version < top) oracle.fail(`${slot.short} resumes with version ${row.version}, R2 has version ${top}`);
  }
}
