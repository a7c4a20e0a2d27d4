/**
 * The platform: for each partition at most one instance that it routes to, made by the next call; alarms; the cron.
 *
 * HOST1. An instance that was superseded is not stopped. It continues what it was doing, and callers that don't know yet
 *     go on calling it.
 * HOST2. An alarm may be lost, late or twice while faults run. The cron heals what was lost (SNAP6).
 */
import type { Address } from "../../src/engine/operator/routing.ts";
import { partitionName, seq } from "../../src/engine/base/ids.ts";
import { readManifest } from "../../src/engine/snapshot/manifest.ts";
import { readRiding } from "../../src/engine/recovery/open-partition.ts";
import { snapshotAt } from "../../src/engine/checkpoint/policy.ts";
import { stampMs } from "../../src/engine/base/hybrid-clock.ts";
import type { PartitionEngine } from "../../src/engine/partition/partition.ts";
import { MemoryCache } from "../../src/testkit/memory-cache.ts";
import type { Aside } from "../../src/engine/base/aside.ts";
import type { HighWaterMark } from "../../src/engine/base/records.ts";
import { Instance } from "./instance.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** An alarm that is no later than this is healthy; as in src/worker/cron.ts. */
const GRACE_MS = 120_000;
/** The soonest that an alarm rings. */
const ALARM_MS = 500;

export interface Slot {
  readonly name: string;
  readonly short: string;
  readonly address: Address;
  current: Instance | null;
  readonly zombies: Set<Instance>;
  /** All that there ever were. */
  readonly instances: Instance[];
  /** In the object's own storage: it outlives its instances. */
  readonly cache: MemoryCache;
  /** The object's own storage. */
  mark: HighWaterMark | null;
  aside: Aside | null;
  /** The armed alarm, with a token of its own for each arming. */
  alarm: { readonly atMs: number; readonly token: number } | null;
}

export class Host {
  readonly slots = new Map<string, Slot>();
  readonly #world: World;
  readonly #random: Random;
  #tokens = 0;

  constructor(world: World, addresses: readonly Address[]) {
    this.#world = world;
    this.#random = world.stream("host");
    for (const address of addresses) {
      const name = partitionName(address);
      const short = `${address.operator}/${address.partition}`;
      this.slots.set(name, {
        name,
        short,
        address,
        current: null,
        zombies: new Set(),
        instances: [],
        cache: new MemoryCache(),
        mark: null,
        aside: null,
        alarm: null,
      });
    }
  }

  slotOf(address: Address): Slot {
    return this.slots.get(partitionName(address))!;
  }

  /** The instance that a new caller reaches. */
  instance(slot: Slot): Instance {
    if (slot.current !== null) return slot.current;
    const { config, trace, oracle } = this.#world;
    const version = this.#world.versionToRun();
    const operator = this.#world.operators(version).find((one) => one.name === slot.address.operator)!;
    const offset = this.#world.faulty ? this.#random.between(-config.skewMs, config.skewMs) : 0;
    const made = new Instance(this.#world, slot, slot.instances.length, operator, offset);
    slot.instances.push(made);
    slot.current = made;
    oracle.began(made);
    trace.say(made.name, () => `begins, version ${version}`);
    return made;
  }

  /** The platform routes to it no more. */
  forget(instance: Instance): void {
    const { slot } = instance;
    if (slot.current === instance) slot.current = null;
    slot.zombies.delete(instance);
  }

  /** A second instance may begin while this one continues. */
  supersede(slot: Slot): void {
    const old = slot.current;
    if (old === null) return;
    old.superseded = true;
    slot.current = null;
    slot.zombies.add(old);
    this.#world.trace.count("instances superseded");
    this.#world.trace.say(old.name, () => "is superseded and continues");
    this.#world.clock.after(this.#random.skewed(1_000, 600_000), () => old.die("at last, as a zombie"));
  }

  /** The slot's zombies, and whoever it routes to. */
  running(slot: Slot): Instance[] {
    return [...slot.zombies, ...(slot.current === null ? [] : [slot.current])];
  }

  // ---- alarms ----

  arm(slot: Slot, atMs: number | null): void {
    const { clock, config, trace, faulty } = this.#world;
    if (atMs === null) {
      slot.alarm = null;
      return;
    }
    if (slot.alarm?.atMs === atMs) return;
    const token = this.#tokens++;
    slot.alarm = { atMs, token };
    // The platform doesn't ring at once: where an object's clock is behind, it arms for the past again and again.
    let wait = Math.max(ALARM_MS, atMs - clock.now());
    if (faulty && this.#random.chance(config.alarmLost)) {
      trace.count("alarms lost");
      trace.say(slot.short, () => "the alarm will be lost");
      return;
    }
    if (faulty && this.#random.chance(config.alarmLate)) {
      trace.count("alarms late");
      wait += this.#random.skewed(1_000, 900_000);
    }
    const twice = faulty && this.#random.chance(config.alarmTwice);
    clock.after(wait, () => {
      if (slot.alarm?.token !== token) return;
      slot.alarm = null;
      trace.count("alarms");
      this.#ring(slot, 0);
      if (!twice) return;
      trace.count("alarms twice");
      clock.after(this.#random.skewed(1, 20_000), () => this.#ring(slot, 0));
    });
  }

  /** An alarm that breaks is tried again, six times. */
  #ring(slot: Slot, attempt: number): void {
    const { clock, trace } = this.#world;
    trace.say(slot.short, () => "alarm");
    this.instance(slot)
      .call((partition: PartitionEngine) => partition.wake())
      .catch(() => {
        if (attempt < 6) clock.after(2_000 * 2 ** attempt, () => this.#ring(slot, attempt + 1));
        else trace.count("alarms lost");
      });
  }

  /** The cron job: looks at D1 alone, and wakes the partitions whose alarm is overdue. */
  cron(): void {
    const { clock, trace } = this.#world;
    for (const slot of this.slots.values()) {
      const db = this.#world.database(slot.address.database);
      const row = db.rows.get(slot.name);
      const tail = (db.segments.get(slot.name) ?? []).filter((one) => one.seq > (row?.snapshotSeq ?? seq(0)));
      if (row === undefined) continue;
      const { pendingFrom = null } = (tail.length === 0 ? this.manifest(slot) : readRiding(tail.at(-1)!.stats)) ?? {};
      if (pendingFrom !== null && clock.now() > pendingFrom + GRACE_MS) {
        trace.count("crons that woke for a timer");
        this.wake(slot);
        continue;
      }
      if (tail.length === 0) continue;
      const operator = this.#world.operators(this.#world.deployed).find((one) => one.name === slot.address.operator)!;
      const manifest = this.manifest(slot);
      const tailSinceMs = stampMs(tail[0]!.stamp);
      const facts = {
        tailEvents: tail.reduce((sum, one) => sum + one.last - one.seq + 1, 0),
        tailBytes: tail.reduce((sum, one) => sum + one.bytes, 0),
        tailSinceMs,
        lastMs: manifest === null ? 0 : Date.parse(manifest.at),
        stateMs: 0,
        tailMs: 0,
        changedBytes: 0,
      };
      const at = snapshotAt(facts, { ...operator.snapshot, memoryBytes: operator.memoryBytes });
      if (at === null || clock.now() <= Math.max(at, tailSinceMs) + GRACE_MS) continue;
      trace.count("crons that woke");
      trace.say(slot.short, () => "the cron wakes it");
      this.wake(slot);
    }
  }

  wake(slot: Slot): void {
    this.instance(slot)
      .call((partition) => partition.wake())
      .catch(() => undefined);
  }

  /** The manifest that D1 calls current, for those who look in from outside. */
  manifest(slot: Slot): ReturnType<typeof readManifest> | null {
    const text = this.#world.database(slot.address.database).rows.get(slot.name)?.manifest ?? null;
    return text === null ? null : readManifest(text, this.#world.codec.crc32);
  }
}
