/**
 * Objects in R2 that are damaged behind everybody's back: a bit flipped, the end cut off, the whole object gone, or
 * each read of it answered with an error, for good.
 *
 * DAMAGE1. Never so much at a time that the rules couldn't give the state back (SNAP4: the loss of any one object loses
 *     nothing): a file of a generation only while the archives above the older one are whole, an archive only while both
 *     generations are.
 * DAMAGE2. Where there are several versions of the code an archive is left alone: older code may need it, and has nothing else.
 * DAMAGE3. Nothing where a database may be restored to an older point: what R2 has is all there is then.
 * DAMAGE4. The number of a file's format is left alone: another number is another format, and no damage.
 */
import { decodeArchive, filesOf } from "./decoder.ts";
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export class Damage {
  readonly #world: World;
  readonly #random: Random;
  /** Objects that were struck; of an archive, the last seq in it. */
  readonly #hit = new Map<string, number>();
  /** Objects that no read gives back, though they are there. */
  readonly #unreadable = new Set<string>();
  /** The original bytes of the objects that were struck. */
  readonly #written = new Map<string, Uint8Array>();

  constructor(world: World) {
    this.#world = world;
    this.#random = world.stream("damage");
  }

  hit(name: string): boolean {
    return this.#hit.has(name);
  }

  /** Is this part of the object not what was written? */
  hitIn(name: string, offset: number, bytes: Uint8Array | null): boolean {
    const written = this.#written.get(name);
    if (written === undefined) return false;
    return bytes === null || bytes.some((byte, i) => byte !== written[offset + i]);
  }

  isUnreadable(name: string): boolean {
    return this.#unreadable.has(name);
  }

  /** Something of the partition was ever struck. */
  struck(slot: Slot): boolean {
    return [...this.#hit.keys()].some((name) => name.startsWith(`${slot.name}/`));
  }

  /** Every archive of the partition is as it was written. */
  archivesWhole(slot: Slot): boolean {
    return ![...this.#hit.keys()].some((name) => name.startsWith(`${slot.name}/manifests/`));
  }

  strike(slot: Slot): void {
    const name = this.#target(slot);
    if (name === null) return;
    const { objects } = this.#world.store;
    const bytes = objects.get(name);
    if (bytes === undefined || bytes.length === 0) return;
    const to = name.endsWith(".kfm") ? (decodeArchive(bytes).at(-1)?.last ?? 0) : 0;
    const kind = this.#random.weighted({ flipped: 2, truncated: 1, missing: 1, unreadable: 1 });
    if (kind === "unreadable") this.#unreadable.add(name);
    else if (kind === "missing") objects.delete(name);
    else if (kind === "truncated") objects.set(name, bytes.slice(0, this.#random.between(0, bytes.length - 1)));
    else {
      const copy = bytes.slice();
      const at = this.#random.between(0, copy.length - 1);
      copy[at >= 8 && at < 12 ? 0 : at]! ^= 1 << this.#random.between(0, 7);
      objects.set(name, copy);
    }
    this.#hit.set(name, to);
    this.#written.set(name, bytes);
    this.#world.trace.count("damaged objects");
    this.#world.trace.say(slot.short, () => `${name} is ${kind}`);
  }

  #target(slot: Slot): string | null {
    if (this.#world.config.travelMs > 0) return null;
    const row = this.#world.database(slot.address.database).rows.get(slot.name);
    if (row === undefined || row.manifest === null) return null;
    const files = [row.manifest, row.previous].filter((text) => text !== null).flatMap(filesOf);
    if (files.some((name) => this.#hit.has(name)) || !this.#archivesServe(slot, row.previousSeq)) return null;
    if (this.#random.chance(0.3) && this.#world.config.versions === 1) return this.#archive(slot);
    return this.#random.pick(files);
  }

  /**
   * Would the archives give back all that is above the older generation? They must when the newer one is struck,
   * whatever the log is cut to until somebody finds out.
   */
  #archivesServe(slot: Slot, above: number): boolean {
    return ![...this.#hit].some(([name, to]) => name.startsWith(`${slot.name}/manifests/`) && to > above);
  }

  #archive(slot: Slot): string | null {
    const names = [...this.#world.store.objects.keys()].filter((name) => name.startsWith(`${slot.name}/manifests/`));
    const whole = names.filter((name) => !this.#hit.has(name)).sort();
    return whole.length === 0 ? null : this.#random.pick(whole);
  }
}
