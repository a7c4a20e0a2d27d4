/**
 * The objects of R2 that say which line is main. They are there when the first database is gone.
 *
 * SWITCH1. Each switch of main has an object before the new main takes events (PROMOTION7). The one with the highest
 *     number says which line is main, and where that line and those before it start. So main's past is known without D1.
 * SWITCH2. An object that can't be read stops a recovery: the one before it tells of another main.
 */
import { Damage, Failure } from "../base/errors.ts";
import { stamp, switchObject, SWITCHES } from "../base/ids.ts";
import { isObject, isWhole, parseObject, shown } from "../base/json.ts";
import type { Codec } from "../base/ports.ts";
import type { Ancestors, Split } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";

const SWITCH_FORMAT = 1;

/** The means of reading and writing these objects. */
export type SwitchFiles = Pick<FileEnvironment, "objects" | "clock" | "codec">;

export interface Switch {
  /** How often main was switched. */
  readonly switches: number;
  /** The line that is main since. */
  readonly line: number;
  /** Where the line starts, where that one starts, and so on. */
  readonly starts: Ancestors;
}

/** Writes the object of a switch, unless it is there. */
export async function recordSwitch({ objects, clock, codec }: SwitchFiles, of: Switch): Promise<void> {
  const name = switchObject(of.switches, of.line);
  await persistent(clock, "R2", async () => {
    // A call that broke off may have written it.
    if ((await objects.range(name, 0, 1)) === null) await objects.put(name, codec.encode(switchText(of, codec)));
  });
}

function switchText({ switches, line, starts }: Switch, { crc32 }: Codec): string {
  const pairs = starts.map(({ line: of, at, split }) => (split === undefined ? [of, at] : [of, at, split]));
  const rest = { format: "keyframe.switch", v: SWITCH_FORMAT, switches, line, starts: pairs };
  return JSON.stringify({ ...rest, checksum: crc32(JSON.stringify(rest)) });
}

/** A switch, as the name of its object says it. */
export type SwitchName = Pick<Switch, "switches" | "line">;

/** Returns all switches that R2 knows of, the last one at the end. Reads names alone. */
export async function switchesInStore(files: SwitchFiles): Promise<readonly SwitchName[]> {
  const found: SwitchName[] = [];
  for (let after = ""; ;) {
    const { names, more } = await listNames(files, SWITCHES, after);
    for (const name of names) {
      const [, switches, line] = /^mains\/(\d{10})-(\d+)$/.exec(name) ?? [];
      if (switches !== undefined) found.push({ switches: Number(switches), line: Number(line) });
    }
    after = names.at(-1) ?? after;
    if (!more) return found;
  }
}

/** @throws Damage; Failure unknown_format */
export async function readSwitch(files: SwitchFiles, { switches, line }: SwitchName): Promise<Switch> {
  const { codec } = files;
  const object = switchObject(switches, line);
  const { checksum, ...rest } = parseObject(decoded(codec, await fetchObject(files, object), object), object);
  if (rest["format"] !== "keyframe.switch") throw new Damage(`${object} isn't a switch of main`);
  if (rest["v"] !== SWITCH_FORMAT)
    throw new Failure(
      "unknown_format",
      `${object} has format ${shown(rest["v"])}; this code reads ${SWITCH_FORMAT}: deploy the code that wrote it, or newer`,
    );
  if (codec.crc32(JSON.stringify(rest)) !== checksum) throw new Damage(`the checksum of ${object} is wrong`);
  const { starts } = rest;
  const sound =
    rest["switches"] === switches && rest["line"] === line && Array.isArray(starts) && starts.every(isStart);
  if (!sound) throw new Damage(`a part of ${object} is missing or invalid`);
  const told = starts as readonly (readonly [line: number, at: number, split?: Split])[];
  return {
    switches,
    line,
    starts: told.map(([of, at, split]) => ({ line: of, at: stamp(at), ...(split === undefined ? {} : { split }) })),
  };
}

function decoded(codec: Codec, file: Uint8Array, object: string): string {
  try {
    return codec.decode(file);
  } catch {
    throw new Damage(`${object} isn't UTF-8`);
  }
}

function isStart(start: unknown): boolean {
  if (!Array.isArray(start) || start.length < 2 || start.length > 3) return false;
  const [line, at, split] = start as unknown[];
  return (
    isWhole(line) && isWhole(at) && (split === undefined || (isObject(split) && Object.values(split).every(isWhole)))
  );
}
