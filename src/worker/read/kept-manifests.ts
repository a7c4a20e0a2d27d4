/**
 * Reads the manifests of a partition without waking it. They are the manifests that its row in D1 names, the ones
 * before them, whose objects in R2 hold the archive, and those of its restore points. It must work even if a file is
 * corrupt, or of a format that this code doesn't know.
 */
import { brotli } from "../../adapters/brotli.ts";
import { logDatabases } from "../../adapters/catalogue.ts";
import { D1Log } from "../../adapters/d1-log.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { originOf, type LogEnvironment } from "../../engine/operator/environment.ts";
import type { KeyShare } from "../../engine/operator/key-placement.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { manifestName } from "../../engine/base/ids.ts";
import { readManifest, type Manifest } from "../../engine/snapshot/manifest.ts";
import { pinTexts } from "../../engine/snapshot/rollback-pins.ts";
import { KEPT_POINTS } from "../../engine/base/limits.ts";
import { limited } from "../../engine/base/retry.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { requestClock } from "../request-clock.ts";

interface UnreadableManifest {
  readonly unreadable: string;
}

export const isManifest = (one: Manifest | UnreadableManifest): one is Manifest => !("unreadable" in one);

export function readOrWhy(text: string): Manifest | UnreadableManifest {
  try {
    return readManifest(text, brotli.crc32);
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}

/** Returns manifests newest first, and after them the unreadable ones. */
export async function keptManifests(env: Env, address: Address): Promise<(Manifest | UnreadableManifest)[]> {
  const roots = await limited(requestClock, "D1", () => logOf(env, address).roots());
  if (roots === null) return [];
  const { row, points } = roots;
  const texts = [row.manifest, row.previous, ...pinTexts(row.pins)].filter((text) => text !== null);
  const named = texts.map(readOrWhy);
  const known = new Map(named.filter(isManifest).map((manifest) => [manifest.number, manifest]));
  const earlier = [...known.values()].flatMap(({ history = [] }) => history);
  // A policy keeps no more than these. There are more only while garbage collection fails.
  const kept = points.slice(-KEPT_POINTS).map(({ version, attempt }) => [version, attempt] as const);
  const names = new Map([...earlier, ...kept].filter(([version]) => !known.has(version)));
  const fetched = await Promise.all(
    [...names].map(([version, attempt]) => fetchManifestLine(env, manifestName(address, version, attempt))),
  );
  const all = [...named.filter((one) => !isManifest(one)), ...known.values(), ...fetched.filter((one) => one !== null)];
  return [...all.filter(isManifest).sort((a, b) => b.number - a.number), ...all.filter((one) => !isManifest(one))];
}

/** Returns the environment in which a request reads a partition's past, or the past of a share of its keys. */
export function logEnvironment(
  env: Env,
  route: Route,
  address: Address,
  share: KeyShare | null = null,
): LogEnvironment {
  const { line, operator, partition } = address;
  const id = { line, operator, partition };
  const files = fileEnvironment(id, route.operator, new R2Store(env.SNAPSHOTS));
  const own = { ...files, log: logOf(env, address), ...(share === null ? {} : { share }) };
  return { ...own, ...originOf(own, address, (earlier) => logOf(env, { ...address, ...earlier })) };
}

/** Returns the partition's log, as a Worker reads it. */
export function logOf(env: Env, address: Address): D1Log {
  // A route exists only for partitions whose database is bound.
  return new D1Log(logDatabases(env as unknown as Record<string, unknown>).get(address.database)!, address);
}

/** Reads the first line of the object. Returns null if the object isn't there any more. */
export async function fetchManifestLine(env: Env, name: string): Promise<Manifest | UnreadableManifest | null> {
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

/** A manifest has a few KB, and grows with its archive's blocks. */
const LINE_BYTES = 256 * 1024;
