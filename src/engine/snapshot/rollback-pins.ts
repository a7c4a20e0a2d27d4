/**
 * A row keeps pins for a rollback: the last snapshot of each older operator version. A pin is kept for the retention
 * time from when newer code first replaced it (CODE3).
 *
 * PINS1. Pins are a JSON array of manifest texts. A text whose format only newer code can read stays until that code
 *     gives it up.
 * PINS2. The last element isn't a manifest. The element says since when each pin is kept, and that there are restore
 *     points besides. Code that knows neither can't read the element, so its garbage collection deletes nothing, and
 *     its promotions leave it where it is (CODE1).
 */
import { readManifest, stateFiles, type Manifest } from "./manifest.ts";
import type { Codec } from "../base/ports.ts";
import type { PartitionRow } from "../base/records.ts";

const ROOTS = '{"format":"keyframe.roots"';

/** Returns the manifests' texts among a row's pins. */
export const pinTexts = (pins: string): string[] =>
  (JSON.parse(pins) as string[]).filter((text) => !text.startsWith(ROOTS));

/** By operator version, the time in milliseconds from which on its last snapshot is kept. */
type Since = Readonly<Record<string, number>>;

function sinceOf(pins: string): Since {
  const text = (JSON.parse(pins) as string[]).find((one) => one.startsWith(ROOTS));
  return text === undefined ? {} : ((JSON.parse(text) as { since?: Since }).since ?? {});
}

/** Returns the row's pins once `manifest` is current. `whole` is the manifest that it follows. */
export function nextPins(
  before: string,
  whole: Manifest | null,
  manifest: Manifest,
  codec: Codec,
  nowMs: number,
  ageMs: number,
): string {
  const texts = pinTexts(before);
  const read = texts.map((text) => readOrNull(text, codec));
  const kept = read.filter((pin) => pin !== null);
  const unknown = texts.filter((_, i) => read[i] === null);
  const since: Record<string, number> = { ...sinceOf(before) };
  if (whole !== null && whole.operatorVersion < manifest.operatorVersion) {
    kept.unshift(whole);
    since[whole.operatorVersion] = nowMs;
  }
  const seen = new Set<number>([manifest.operatorVersion]);
  const pins = kept.filter((pin) => {
    const from = since[pin.operatorVersion] ?? Date.parse(pin.at);
    const wanted = from >= nowMs - ageMs && !seen.has(pin.operatorVersion);
    seen.add(pin.operatorVersion);
    return wanted;
  });
  const sinces = pins.map(({ operatorVersion, at }) => [operatorVersion, since[operatorVersion] ?? Date.parse(at)]);
  const roots = `${ROOTS},"since":${JSON.stringify(Object.fromEntries(sinces))}}`;
  return JSON.stringify([...pins.map(wholeText), ...unknown, roots]);
}

/**
 * Returns the names of the state files that the row's manifests read from. A manifest that can't be read names none.
 */
export function reachedNames({ manifest, previous, pins }: PartitionRow, codec: Codec): string[] {
  const texts = [manifest, previous, ...pinTexts(pins)].filter((text) => text !== null);
  const read = texts.map((text) => readOrNull(text, codec)).filter((one) => one !== null);
  return [...new Set(read.flatMap((one) => stateFiles(one).map(({ name }) => name)))];
}

/** Returns true if a state file of that name is read from the manifest. */
export function reachesFile(text: string | null, file: string | null, codec: Codec): boolean {
  const manifest = text === null ? null : readOrNull(text, codec);
  return manifest !== null && stateFiles(manifest).some(({ name }) => name === file);
}

/** Returns the text as its own row had it. Members keep their order, so the checksum still fits. */
export const wholeText = (manifest: Manifest): string => JSON.stringify(manifest);

export function readOrNull(text: string, codec: Codec): Manifest | null {
  try {
    return readManifest(text, codec.crc32);
  } catch {
    return null;
  }
}
