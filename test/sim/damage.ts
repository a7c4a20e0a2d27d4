/**
 * Objects in R2 that are damaged behind everybody's back: a bit flipped, the end cut off, the whole object gone.
 *
 * D1. Never so much at a time that the rules couldn't give the state back (SNAP4: the loss of any one object loses
 *     nothing): one of the two generations stays whole, or the whole log stands in archives that nobody touched.
 * D2. Where there are several versions of the code an archive is left alone: older code may need it, and has nothing else.
 * D3. The number of a file's format is left alone: another number is another format, and no damage.
 */
import { snapshotOf } from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export class Damage {
  readonly #world: World;
  readonly #random: Random;
  readonly #hit = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("damage");
  }

  hit(name: string): boolean {
    return this.#hit.has(name);
  }

  /** Every archive of the partition is as it was written. */
  archivesWhole(slot: Slot): boolean {
    return ![...this.#hit].some((name) => name.startsWith(`${slot.name}/manifests/`));
  }

  strike(slot: Slot): void {
    const name = this.#target(slot);
    if (name === null) return;
    const { objects } = this.#world.store;
    const bytes = objects.get(name);
    if (bytes === undefined || bytes.length === 0) return;
    const kind = this.#random.weighted({ flipped: 2, truncated: 1, missing: 1 });
    if (kind === "missing") objects.delete(name);
    else if (kind === "truncated") objects.set(name, bytes.slice(0, this.#random.between(0, bytes.length - 1)));
    else {
      const copy = bytes.slice();
      const at = this.#random.between(0, copy.length - 1);
      copy[at >= 8 && at < 12 ? 0 : at]! ^= 1 << this.#random.between(0, 7);
      objects.set(name, copy);
    }
    this.#hit.add(name);
    this.#world.trace.count("damaged objects");
    this.#world.trace.say(slot.short, () => `${name} is ${kind}`);
  }

  #target(slot: Slot): string | null {
    const row = this.#world.database(slot.address.database).rows.get(slot.name);
    if (row === undefined || row.manifest === null) return null;
    const generations = [row.manifest, row.previous].filter((text) => text !== null).map(snapshotOf);
    if (generations.some((name) => this.#hit.has(name))) return null;
    if (this.#random.chance(0.3) && this.#world.config.versions === 1) return this.#archive(slot);
    const name = this.#random.pick(generations);
    return this.#recoverable(
      slot,
      [row.manifest, row.previous].filter((text) => text !== null && snapshotOf(text) !== name),
    )
      ? name
      : null;
  }

  /** Would one of these manifests, or nothing at all, give the state back with what is left of the log? */
  #recoverable(slot: Slot, manifests: readonly (string | null)[]): boolean {
    if (this.archivesWhole(slot)) return true;
    const first =
      this.#world.database(slot.address.database).segments.get(slot.name)?.[0]?.seq ??
      this.#world.oracle.head(slot.name) + 1;
    const bases = [
      0,
      ...manifests.filter((text) => text !== null).map((text) => (JSON.parse(text) as { seq: number }).seq),
    ];
    return bases.some((seq) => seq + 1 >= first);
  }

  #archive(slot: Slot): string | null {
    const names = [...this.#world.store.objects.keys()].filter((name) => name.startsWith(`${slot.name}/manifests/`));
    const whole = names.filter((name) => !this.#hit.has(name)).sort();
    return whole.length === 0 ? null : this.#random.pick(whole);
  }
}
