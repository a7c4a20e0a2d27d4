/**
 * The object of a savepoint in R2, which is there when D1 is gone. It says what the name means, and how far each
 * partition had come.
 *
 * SAVEPOINTOBJECT1. The object is written before the savepoint counts, and deleted before its row goes. So a savepoint
 *     that counts has its object.
 * SAVEPOINTOBJECT2. An object may be left by a call that came late, or by a database that was lost. Its stamp is in its
 *     name. So nobody takes it for another savepoint, and a name with two stamps is refused.
 */
import { Damage, Failure } from "../base/errors.ts";
import { savepointObject, savepointPrefix, stamp, type Stamp } from "../base/ids.ts";
import { isText, isWhole, parseObject, shown } from "../base/json.ts";
import type { PartitionHead, Savepoint } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";

const SAVEPOINT_FORMAT = 1;

/** The means of reading and writing these objects. */
export interface SavepointFiles extends Pick<FileEnvironment, "objects" | "clock" | "codec"> {
  readonly line: number;
}

interface SavepointRecord extends Pick<Savepoint, "number" | "name" | "at" | "createdMs"> {
  readonly heads: readonly PartitionHead[];
}

const objectOf = ({ line }: SavepointFiles, { name, number, at }: Savepoint): string =>
  savepointObject(line, name, number, at);

/** Writes the object of a savepoint, unless it is there. */
export async function recordSavepoint(
  files: SavepointFiles,
  savepoint: Savepoint,
  heads: readonly PartitionHead[],
): Promise<void> {
  const { clock, codec, objects } = files;
  const { number, name, at, createdMs } = savepoint;
  const rest = { format: "keyframe.savepoint", v: SAVEPOINT_FORMAT, number, name, at, createdMs, heads };
  const text = JSON.stringify({ ...rest, checksum: codec.crc32(JSON.stringify(rest)) });
  const object = objectOf(files, savepoint);
  await persistent(clock, "R2", async () => {
    // A put whose answer was lost has written it.
    if ((await objects.range(object, 0, 1)) === null) await objects.put(object, codec.encode(text));
  });
}

/** Returns the names of the objects of a savepoint's name. */
export async function recordsNamed(files: SavepointFiles, name: string): Promise<readonly string[]> {
  return (await listNames(files, `${savepointPrefix(files.line)}${name}/`, "")).names;
}

/** Deletes the object of a savepoint, and further ones. */
export const deleteRecords = (
  files: SavepointFiles,
  savepoint: Savepoint | undefined,
  further: readonly string[] = [],
): Promise<void> => {
  const names = [...new Set([...(savepoint === undefined ? [] : [objectOf(files, savepoint)]), ...further])];
  return names.length === 0 ? Promise.resolve() : persistent(files.clock, "R2", () => files.objects.delete(names));
};

/** One object in R2, by its name. */
interface StoredSavepoint {
  readonly object: string;
  readonly name: string;
  readonly at: Stamp;
}

/** Returns all savepoints that R2 has, by name. Reads names alone. */
export async function storedSavepoints(files: SavepointFiles): Promise<readonly StoredSavepoint[]> {
  const prefix = savepointPrefix(files.line);
  const found: StoredSavepoint[] = [];
  for (let after = ""; ;) {
    const { names, more } = await listNames(files, prefix, after);
    for (const object of names) {
      const [, name, at] = /^([^/]+)\/\d{10}-(\d+)\.kfp$/.exec(object.slice(prefix.length)) ?? [];
      if (name !== undefined) found.push({ object, name, at: stamp(Number(at)) });
    }
    after = names.at(-1) ?? after;
    if (!more) return found;
  }
}

/** @throws Damage; Failure unknown_format */
export async function readRecord(files: SavepointFiles, object: string): Promise<SavepointRecord> {
  const { codec } = files;
  const text = decoded(files, await fetchObject(files, object), object);
  const parsed = parseObject(text, object);
  if (parsed["format"] !== "keyframe.savepoint") throw new Damage(`${object} isn't a savepoint`);
  const { checksum, ...rest } = parsed;
  if (rest["v"] !== SAVEPOINT_FORMAT)
    throw new Failure(
      "unknown_format",
      `${object} has format ${shown(rest["v"])}; this code reads ${SAVEPOINT_FORMAT}: deploy the code that wrote it, or newer`,
    );
  if (codec.crc32(JSON.stringify(rest)) !== checksum) throw new Damage(`the checksum of ${object} is wrong`);
  const { number, name, at, createdMs, heads } = rest;
  const sound = [number, at, createdMs].every(isWhole) && isText(name) && Array.isArray(heads) && heads.every(isHead);
  if (!sound) throw new Damage(`a part of ${object} is missing or invalid`);
  return rest as unknown as SavepointRecord;
}

function decoded({ codec }: SavepointFiles, file: Uint8Array, object: string): string {
  try {
    return codec.decode(file);
  } catch {
    throw new Damage(`${object} isn't UTF-8`);
  }
}

const isHead = (head: unknown): boolean =>
  Array.isArray(head) && head.length === 2 && isText(head[0]) && (head[1] === null || isWhole(head[1]));
