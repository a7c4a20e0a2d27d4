/**
 * The audit of one partition: every key and the quarantine must show all that was ever logged, within bounds of
 * virtual time, since nothing is wrong any more.
 */
import type { Seq } from "../../src/engine/base/ids.ts";
import type { Segment } from "../../src/engine/base/records.ts";
import { logBelow, type Bottom } from "../../src/engine/history/log-reader.ts";
import { NO_CACHE } from "../../src/engine/snapshot/range-reader.ts";
import { InstanceClock } from "./clock.ts";
import { decodeArchive } from "./decoder.ts";
import type { Slot } from "./host.ts";
import { Watched } from "./watched.ts";
import type { World } from "./world.ts";

const CALL_LIMIT_MS = 120_000;
/** Places from which a log is read, besides its end. */
const PLACES = 8;

export class Audit {
  readonly #world: World;
  /** Fires the next timer. Returns false if none is due by then. */
  readonly #step: (untilMs: number) => Promise<boolean>;

  constructor(world: World, step: (untilMs: number) => Promise<boolean>) {
    this.#world = world;
    this.#step = step;
  }

  async shows(slot: Slot, what: string): Promise<void> {
    const { oracle, host, clock } = this.#world;
    const truth = oracle.truth(slot.name);
    const shown = await this.within(slot, what, async () => {
      const instance = host.instance(slot);
      await instance.scan();
      return { instance, entries: await instance.quarantined() };
    });
    if (shown === null) return;
    const waiting = new Set(shown.entries.map(({ seq }) => Number(seq)));
    for (const key of truth.model.keys()) {
      // The instance that scanned may have found damage since, and ended itself.
      const read = await this.within(slot, what, async () => {
        const instance = host.instance(slot);
        return { instance, entries: await instance.call((partition) => partition.read([key])) };
      });
      if (read === null) continue;
      const entry = read.entries[0] ?? null;
      oracle.read(read.instance, key, entry, truth.head, clock.now());
      const lost = truth.model.checkKept(key, entry, waiting, truth.head);
      if (lost !== null) oracle.fail(`${read.instance.name}: key ${key}: ${lost} (IN4)`);
    }
    const flaw = truth.model.checkQuarantine(shown.entries, { floor: truth.head, cut: truth.head });
    if (flaw !== null) oracle.fail(`${shown.instance.name}: ${flaw}`);
  }

  /** All that can be read is read, while clients continue. */
  async serves(slot: Slot, what: string): Promise<void> {
    const { oracle, host } = this.#world;
    await this.within(slot, what, () => host.instance(slot).scan());
    await this.within(slot, what, () => host.instance(slot).quarantined());
    const keys = [...oracle.truth(slot.name).model.keys()];
    await this.within(slot, what, () => host.instance(slot).read(keys));
  }

  async snapshot(slot: Slot): Promise<void> {
    const { oracle, host } = this.#world;
    if (oracle.head(slot.name) === 0) return;
    const take = () =>
      this.within(slot, "a snapshot", () => host.instance(slot).call((partition) => partition.snapshot()));
    let result = await take();
    // The first may find that an earlier one took effect unheard, and fail for that.
    if (result?.tag === "failed") result = await take();
    if (result !== null && result.tag !== "current")
      oracle.fail(`${slot.short} takes no snapshot in peace: ${JSON.stringify(result)}`);
  }

  /**
   * The log as a reader finds it, from its end and from places in it downwards: every row once, and none of a log that
   * was given up.
   */
  async readsLog(slot: Slot): Promise<void> {
    const { oracle, damage, trace, store } = this.#world;
    const { rows } = oracle.truth(slot.name);
    if (rows.length === 0 || oracle.kept.hasHoles(slot) || !damage.archivesWhole(slot)) return;
    const named = ({ seq, group }: { readonly seq: number; readonly group: string }): string => `${seq} ${group}`;
    const step = Math.ceil(rows.length / PLACES);
    for (const before of [null, ...rows.filter((_, i) => i % step === step - 1).map(({ seq }) => seq)]) {
      const found = await this.within(slot, "its log", () => this.#logBelow(slot, before));
      if (found === null) return;
      trace.count("logs read downwards");
      const logged = rows.filter((row) => before === null || row.seq < before).map(named);
      const given = found.rows.map(named);
      if (given.join() !== logged.slice(logged.length - given.length).join())
        oracle.fail(`${slot.short}: its log below ${before} reads as ${given.join(", ")}, and is ${logged.join(", ")}`);
      if (found.bottom === "beginning" && given.length < logged.length)
        oracle.fail(`${slot.short}: its log is said to begin at ${given[0]} (LOG4)`);
    }
    const known = new Set(rows.map(named));
    const archives = [...store.objects].filter(([name]) => name.startsWith(`${slot.name}/manifests/`));
    if (archives.some(([, bytes]) => decodeArchive(bytes).some((row) => !known.has(named(row)))))
      trace.count("logs read past given-up archives");
  }

  async #logBelow(
    slot: Slot,
    before: Seq | null,
  ): Promise<{ readonly rows: readonly Segment[]; readonly bottom: Bottom }> {
    const { store, codec, config } = this.#world;
    const { line, operator: name, partition } = slot.address;
    const operator = this.#world.operators(this.#world.deployed).find((one) => one.name === name)!;
    const clock = new InstanceClock(this.#world.clock, this.#world.stream("log reader"), () => true, 0);
    const log = this.#world.database(slot.address.database).log(slot.address);
    const id = { line, operator: name, partition };
    const env = { id, operator, objects: store, log, clock, codec, cache: NO_CACHE, sizes: config.sizes };
    const reading = logBelow(env, before);
    const rows: Segment[] = [];
    for (;;) {
      const { done, value } = await reading.next();
      if (done === true) return { rows: rows.toReversed(), bottom: value };
      rows.push(value.row);
    }
  }

  crash(slot: Slot): void {
    for (const one of this.#world.host.running(slot)) one.die("crashed for the audit");
  }

  /** Every snapshot file that D1 reaches is gone: only archives and the log are left. */
  loseSnapshots(slot: Slot): void {
    for (const name of this.#world.oracle.kept.files(slot)) this.#world.store.objects.delete(name);
  }

  /** A call that must be answered, tried again where the object is being replaced: for each corrupt file that it finds. */
  async within<T>(slot: Slot, what: string, call: () => Promise<T>): Promise<T | null> {
    const { clock, oracle } = this.#world;
    const limit = clock.now() + CALL_LIMIT_MS;
    let last: unknown;
    for (let attempt = 0; attempt < 20; attempt++) {
      const watched = new Watched(call());
      await clock.settle();
      while (watched.outcome === null && (await this.#step(limit)));
      const { outcome } = watched;
      if (outcome !== null && "value" in outcome) return outcome.value;
      last = outcome === null ? "no answer" : outcome.error;
    }
    oracle.fail(`${slot.short} doesn't give ${what} in peace: ${String(last)}`);
    return null;
  }
}
