/** Reads a partition's objects in R2, and retries if the store doesn't answer. */
import { Damage, messageOf } from "../base/errors.ts";
import type { ObjectStore } from "../base/ports.ts";
import { limited, persistent } from "../base/retry.ts";
import type { FileEnvironment } from "../operator/environment.ts";

type Reader = Pick<FileEnvironment, "objects" | "clock">;

/** Returns the whole object. @throws Damage if the object is missing, or can't be read while others can */
export async function fetchObject(reader: Reader, name: string): Promise<Uint8Array> {
  const file = await readObject(reader, name, null);
  if (file === null) throw new Damage(`${name} isn't there`);
  return file;
}

type Range = readonly [offset: number, length: number];

/**
 * Reads a range of the object, or all of it. Returns null if there is no such object.
 *
 * An outage of the store is no damage. An object counts as damaged only if its calls fail before and after another
 * object of the same store was read.
 *
 * @throws Damage if this object can't be read while others can; Failure store_unavailable if none can
 */
export async function readObject(reader: Reader, name: string, range: Range | null): Promise<Uint8Array | null> {
  const { objects, clock } = reader;
  const read = (): Promise<Uint8Array | null> => (range === null ? objects.get(name) : objects.range(name, ...range));
  try {
    return await persistent(clock, "R2", read);
  } catch (error) {
    const other = await otherRead(reader, name, range?.[1] ?? PROOF_BYTES).catch(() => null);
    if (other === null) throw error;
    try {
      return await limited(clock, "R2", read);
    } catch (again) {
      const damage = new Damage(`${name} can't be read, while ${other} can: ${messageOf(again)}`);
      damage.object = name;
      damage.unreachable = true;
      throw damage;
    }
  }
}

/** Bytes that are read of another object if all of this one was wanted. */
const PROOF_BYTES = 64 * 1024;

/** Other objects that are tried. Several may be unreadable at once. */
const PROOFS = 6;

/**
 * Returns the name of another object that can be read now, or null if none can. The same number of bytes is read, since
 * a slow store may answer for a few bytes only.
 */
async function otherRead({ objects, clock }: Reader, name: string, length: number): Promise<string | null> {
  const partition = `${name.split("/").slice(0, 3).join("/")}/`;
  const neighbours: readonly (readonly [prefix: string, after: string])[] = [
    [partition, ""],
    [partition, `${partition}snapshots/`],
    ["", `${partition}~`],
    ["", ""],
  ];
  const tried = new Set([name]);
  for (const [prefix, after] of neighbours) {
    const { names } = await limited(clock, "R2", () => objects.list(prefix, after));
    for (const other of [names.at(-1), names[0], names[1]]) {
      if (other === undefined || tried.has(other)) continue;
      if (tried.size > PROOFS) return null;
      tried.add(other);
      const bytes = await limited(clock, "R2", () => objects.range(other, 0, length)).catch(() => null);
      if (bytes !== null) return other;
    }
  }
  return null;
}

/** Returns one page of names with the prefix, above `after`. */
export const listNames = ({ objects, clock }: Reader, prefix: string, after: string): ReturnType<ObjectStore["list"]> =>
  persistent(clock, "R2", () => objects.list(prefix, after));
