/**
 * The object store port on R2. A put carries the object's SHA-256, so that R2 refuses bytes that were corrupted on the
 * way. A put demands that the name is free: names are never used twice (SNAP2).
 */
import { Buffer } from "node:buffer";
import { messageOf } from "../engine/base/errors.ts";
import type { ObjectStore } from "../engine/base/ports.ts";

/** R2's error code for a range that the object doesn't have. */
const UNSATISFIABLE = "(10039)";

export class R2Store implements ObjectStore {
  readonly #bucket: R2Bucket;

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
  }

  async put(name: string, bytes: Uint8Array): Promise<string> {
    const sha256 = await crypto.subtle.digest("SHA-256", bytes);
    const stored = await this.#bucket.put(name, bytes, { sha256, onlyIf: new Headers({ "If-None-Match": "*" }) });
    if (stored === null) throw new Error(`${name} exists already, though its name should be new`);
    return Buffer.from(sha256).toString("hex");
  }

  async get(name: string): Promise<Uint8Array | null> {
    const object = await this.#bucket.get(name);
    return object === null ? null : new Uint8Array(await object.arrayBuffer());
  }

  async range(name: string, offset: number, length: number): Promise<Uint8Array | null> {
    try {
      const object = await this.#bucket.get(name, { range: { offset, length } });
      return object === null ? null : new Uint8Array(await object.arrayBuffer());
    } catch (error) {
      // The object ends before the range begins.
      if (messageOf(error).includes(UNSATISFIABLE)) return new Uint8Array(0);
      throw error;
    }
  }

  async list(prefix: string, after: string): Promise<{ readonly names: readonly string[]; readonly more: boolean }> {
    const { objects, truncated } = await this.#bucket.list({ prefix, ...(after === "" ? {} : { startAfter: after }) });
    return { names: objects.map((object) => object.key), more: truncated };
  }

  async delete(names: readonly string[]): Promise<void> {
    await this.#bucket.delete([...names]);
  }
}
