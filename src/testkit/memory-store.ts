/** The object store port in memory, with objects that a test may corrupt. Passes objects-contract.ts. */
import { createHash } from "node:crypto";
import type { ObjectStore } from "../engine/base/ports.ts";

export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, Uint8Array>();

  async put(name: string, bytes: Uint8Array): Promise<string> {
    if (this.objects.has(name)) throw new Error(`${name} exists already`);
    this.objects.set(name, bytes.slice());
    return createHash("sha256").update(bytes).digest("hex");
  }

  async get(name: string): Promise<Uint8Array | null> {
    return this.objects.get(name)?.slice() ?? null;
  }

  async range(name: string, offset: number, length: number): Promise<Uint8Array | null> {
    return this.objects.get(name)?.slice(offset, offset + length) ?? null;
  }

  async list(prefix: string, after: string): Promise<{ names: string[]; more: boolean }> {
    const names = [...this.objects.keys()].filter((name) => name.startsWith(prefix) && name > after).sort();
    return { names: names.slice(0, 1_000), more: names.length > 1_000 };
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) this.objects.delete(name);
  }

  /** Flips a bit in the middle of an object. */
  damage(name: string): void {
    const bytes = this.objects.get(name);
    if (bytes === undefined) throw new Error(`there is no ${name}`);
    bytes[bytes.length >> 1]! ^= 1;
  }
}
