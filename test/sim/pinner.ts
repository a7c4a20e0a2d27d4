/**
 * Somebody who pins snapshots and lets go of them, at any time: the current one, restore points, and some that are gone or
 * aren't there yet.
 * It has its own chance, so that what else is drawn stays as it is.
 */
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Versions above the current one that it may ask for. */
const AHEAD = 20;

export class Pinner {
  readonly #world: World;
  readonly #random: Random;
  #pins = 0;
  #resting = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("pinner");
  }

  start(): void {
    const { clock, config } = this.#world;
    if (config.pinMs === 0) return;
    clock.after(this.#random.wait(config.pinMs), () => {
      if (!this.#world.faulty) return;
      void this.#pin(this.#random.pick([...this.#world.host.slots.values()]));
      this.start();
    });
  }

  /** Lets go of nothing more: what the last garbage collection has seen pinned stays pinned until it is looked at. */
  rest(): void {
    this.#resting = true;
  }

  async #pin(slot: Slot): Promise<void> {
    const { clock, oracle, trace } = this.#world;
    const log = this.#world.database(slot.address.database).log(slot.address);
    const roots = await log.roots();
    if (roots === null || roots.row.manifest === null) return;
    const versions = [roots.row.version, ...roots.points.map(({ version }) => version)];
    const any = roots.row.version + (this.#random.chance(0.2) ? AHEAD : 0);
    const version = this.#random.chance(0.2) ? this.#random.between(1, any) : this.#random.pick(versions);
    const { database } = slot.address;
    const generation = this.#world.generation(database);
    // It decides on what it saw, and asks for it later: by then the point may be given up.
    clock.after(this.#random.skewed(1, 60_000), () => {
      if (this.#world.generation(database) !== generation) return;
      const pin = { version, name: `pin-${this.#pins++}`, createdMs: clock.now() };
      void log.pin(pin).then((result) => {
        trace.say(slot.short, () => `pin ${pin.name} on version ${version}: ${result}`);
        if (result === "gone") trace.count("pins refused");
        if (result !== "pinned") return;
        oracle.kept.pinned(slot, pin);
        // Half of them stay for ever.
        if (this.#random.chance(0.5))
          clock.after(this.#random.skewed(60_000, 48 * 3_600_000), () => {
            if (this.#resting || this.#world.generation(database) !== generation) return;
            trace.count("unpins");
            void log.unpin(version, pin.name);
          });
      });
    });
  }
}
