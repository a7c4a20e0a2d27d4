/**
 * The reckoning of one partition: every key and the quarantine must show all that was ever logged, within bounds of
 * virtual time, since nothing is wrong any more.
 */
import type { Slot } from "./host.ts";
import { Watched } from "./watched.ts";
import type { World } from "./world.ts";

const CALL_LIMIT_MS = 120_000;

export class Audit {
  readonly #world: World;
  /** Fires the next timer; false: none is due by then. */
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
    for (const key of truth.model.keys()) {
      // The instance that scanned may have found damage since, and ended itself.
      const read = await this.within(slot, what, async () => {
        const instance = host.instance(slot);
        return { instance, entries: await instance.call((partition) => partition.read([key])) };
      });
      if (read !== null) oracle.read(read.instance, key, read.entries[0] ?? null, truth.head, clock.now());
    }
    const flaw = truth.model.checkQuarantine(shown.entries, { floor: truth.head, cut: truth.head });
    if (flaw !== null) oracle.fail(`${shown.instance.name}: ${flaw}`);
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

  crash(slot: Slot): void {
    for (const one of this.#world.host.running(slot)) one.die("crashed for the reckoning");
  }

  /** Every snapshot file that D1 reaches is gone: only archives and the log are left. */
  loseSnapshots(slot: Slot): void {
    for (const name of this.#world.oracle.kept.files(slot)) this.#world.store.objects.delete(name);
  }

  /** A call that must be answered, tried again where the object is being replaced: for each damaged file that it finds. */
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
