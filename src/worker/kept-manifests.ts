/**
 * The manifests of a partition, without waking it: those that its row in D1 names, and those before them, whose objects in R2
 * hold the archive. Looking must work above all where something is damaged, or of a format that this code doesn't know.
 */
import { brotli } from "../adapters/brotli.ts";
import type { PartitionStatus } from "../adapters/d1-status.ts";
import type { Address } from "../engine/address.ts";
import { messageOf } from "../engine/errors.ts";
import { manifestName } from "../engine/ids.ts";
import { readManifest, type Manifest } from "../engine/manifest.ts";
import { pinTexts } from "../engine/pins.ts";
import { limited } from "../engine/store-call.ts";
import type { Env } from "./app.ts";
import { requestClock } from "./request-clock.ts";

export interface Unreadable {
  readonly unreadable: string;
}

export const isManifest = (one: Manifest | Unreadable): one is Manifest => !("unreadable" in one);

export function readOrWhy(text: string): Manifest | Unreadable {
  try {
    return readManifest(text, brotli.crc32);
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}

/** Newest first; behind them what can't be read. */
export async function keptManifests(
  env: Env,
  address: Address,
  status: PartitionStatus | undefined,
): Promise<(Manifest | Unreadable)[]> {
  const pins = pinTexts(status?.pins ?? "[]");
  const texts = [status?.manifest, status?.previous, ...pins].filter((text) => typeof text === "string");
  const named = texts.map(readOrWhy);
  const known = new Map(named.filter(isManifest).map((manifest) => [manifest.version, manifest]));
  const earlier = [...known.values()].flatMap(({ history = [] }) => history);
  const names = new Map(earlier.filter(([version]) => !known.has(version)));
  const fetched = await Promise.all(
    [...names].map(([version, attempt]) => fetchManifest(env, manifestName(address, version, attempt))),
  );
  const all = [...named.filter((one) => !isManifest(one)), ...known.values(), ...fetched.filter((one) => one !== null)];
  return [...all.filter(isManifest).sort((a, b) => b.version - a.version), ...all.filter((one) => !isManifest(one))];
}

/** The first line of the object; null: the object isn't there any more. */
async function fetchManifest(env: Env, name: string): Promise<Manifest | Unreadable | null> {
  const object = await limited(requestClock, "R2", async () => {
    const found = await env.SNAPSHOTS.get(name, { range: { offset: 0, length: LINE_BYTES } });
    return found === null ? null : new Uint8Array(await found.arrayBuffer());
  }).catch((error: unknown) => ({ unreadable: `${name}: ${messageOf(error)}` }));
  if (object === null || "unreadable" in object) return object;
  const end = object.indexOf(10);
  return end < 0
    ? { unreadable: `${name}: its line has no end` }
    : readOrWhy(new TextDecoder().decode(object.subarray(0, end)));
}

/** A manifest is a few KB, and grows with its archive's blocks. */
const LINE_BYTES = 256 * 1024;
