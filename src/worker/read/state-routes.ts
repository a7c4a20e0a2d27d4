import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { compareUtf8 } from "../../engine/base/json.ts";
import { READ_CHARS, SCAN_ALL_BYTES, SCAN_BYTES } from "../../engine/base/limits.ts";
import { MIGRATION_FAILED, migrationFailed } from "../../engine/operator/migration.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import type { Gone } from "../../engine/recovery/past-state.ts";
import { keyFlaw, partitionOfKey, type Route } from "../../engine/operator/routing.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import { BATCH_KEYS, SCAN_DEFAULT } from "../api/state.ts";
import type { Env } from "../env.ts";
import { type Grant, keyNotAllowed } from "../http/access.ts";
import { badCursor, json, unavailable } from "../http/answers.ts";
import { BodyError, bodyText } from "../http/body.ts";
import { etagOf } from "../http/etag.ts";
import { retryOf } from "../http/rejected-status.ts";
import { problem } from "../problem.ts";
import type { PartitionAnswer } from "../rpc.ts";
import { momentGone } from "./moments.ts";
import { sourceOf, type StateSource } from "./state-source.ts";

/** 500 keys of 1 KiB, with every character escaped. */
const BATCH_BYTES = 2_000_000;

/** The state of one key, or the reason why there is none. */
type StateRead =
  | { readonly tag: "found"; readonly partition: number; readonly entry: KeyEntry }
  /** The state can't be migrated to the operator's version. */
  | { readonly tag: "unmigrated"; readonly partition: number; readonly entry: Unmigrated; readonly message: string }
  | Stateless;

type Stateless =
  | { readonly tag: "no_state" }
  | { readonly tag: "invalid_key"; readonly message: string }
  | Gone
  | Extract<PartitionAnswer<never>, { tag: "busy" }>;

export async function readState(source: StateSource, route: Route, key: string): Promise<StateRead> {
  const flaw = keyFlaw(key);
  if (flaw !== null) return { tag: "invalid_key", message: flaw };
  const partition = partitionOfKey(route, key);
  if (partition === null) return { tag: "invalid_key", message: noGroup(key) };
  const address = route.addresses[partition]!;
  const answer = await source.keys(address, [key], READ_CHARS);
  if (answer.tag !== "ok") return answer;
  const entry = answer.value[0] ?? null;
  if (entry === null) return { tag: "no_state" };
  if (!isUnmigrated(entry)) return { tag: "found", partition, entry };
  return { tag: "unmigrated", partition, entry, message: whyUnmigrated(route, key, entry) };
}

type Unmigrated = KeyEntry & { readonly version: number };

const isUnmigrated = (entry: KeyEntry): entry is Unmigrated => entry.version !== undefined;

const whyUnmigrated = ({ operator }: Route, key: string, { version, text }: Unmigrated): string =>
  migrationFailed(operator, key, version, text);

export async function getState(
  request: Request,
  env: Env,
  route: Route,
  key: string,
  at: string | undefined,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const source = await sourceOf(env, route, at);
  if (source instanceof Response) return source;
  const read = await readState(source, route, key);
  switch (read.tag) {
    case "unmigrated": {
      const { partition, entry, message } = read;
      const { version, seq, text } = entry;
      // The problem holds the old value, and the ETag that replaces it, so that a person can fix it by hand.
      const more = { key, partition, seq, version, value: JSON.parse(text) as unknown, etag: etagOf(partition, entry) };
      return problem({ status: 503, code: MIGRATION_FAILED, detail: message, more, ...retryOf(MIGRATION_FAILED) });
    }
    case "found": {
      const { partition, entry } = read;
      const etag = etagOf(partition, entry);
      if (matches(request.headers.get("if-none-match"), etag))
        return new Response(null, { status: 304, headers: { etag } });
      const head = JSON.stringify({ operator: route.operator.name, key });
      const tail = JSON.stringify({ partition, seq: entry.seq, time: stampTime(entry.stamp), ...atOf(source) });
      return json(`${head.slice(0, -1)},"value":${entry.text},${tail.slice(1)}`, { etag });
    }
    default:
      return noState(read, source, route, key);
  }
}

/** The problem of a key whose state can't be read, or that has none. */
export function noState(read: Stateless, source: StateSource, { operator }: Route, key: string): Response {
  switch (read.tag) {
    case "busy":
      return unavailable(read);
    case "gone":
      return momentGone(read);
    case "invalid_key":
      return problem({ status: 400, code: "invalid_key", detail: read.message });
    case "no_state":
      return problem({
        status: 404,
        code: "no_state",
        detail: `operator "${operator.name}" has no state for key ${JSON.stringify(key)}`,
        more: { key, ...atOf(source) },
      });
  }
}

/** The members that an answer about the past has. */
export const atOf = ({ at, exact }: StateSource): { readonly at?: Stamp; readonly exact?: false } =>
  at === null ? {} : { at, ...(exact ? {} : { exact: false }) };

/** The same members as the end of an object's text. */
const atText = (source: StateSource): string => {
  const text = JSON.stringify(atOf(source)).slice(1, -1);
  return text === "" ? "" : `,${text}`;
};

export const noGroup = (key: string): string => `no event can have the key ${JSON.stringify(key)}: it has no group`;

function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
}

export async function postBatch(
  request: Request,
  env: Env,
  route: Route,
  at: string | undefined,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  let keys: string[] | string;
  try {
    keys = batchKeys(await bodyText(request, BATCH_BYTES));
  } catch (error) {
    if (error instanceof BodyError) return problem({ status: error.status, code: error.code, detail: error.message });
    throw error;
  }
  if (typeof keys === "string") return problem({ status: 400, code: "invalid_keys", detail: keys });
  const forbidden = keys.find((key) => !key.startsWith(keyPrefix));
  if (forbidden !== undefined) return keyNotAllowed(forbidden);
  const places = new Map<number, number[]>();
  for (const [place, key] of keys.entries()) {
    const partition = partitionOfKey(route, key);
    if (partition === null) return problem({ status: 400, code: "invalid_keys", detail: noGroup(key) });
    places.set(partition, [...(places.get(partition) ?? []), place]);
  }
  const source = await sourceOf(env, route, at);
  if (source instanceof Response) return source;
  const found = await readKeys(source, route, keys, places);
  if (found.tag === "busy") return unavailable(found);
  if (found.tag === "gone") return momentGone(found);
  if (found.tag === "too_large")
    return problem({
      status: 413,
      code: "answer_too_large",
      detail: `the states of ${keys.length} keys are too much for one answer; ask for fewer at a time`,
    });
  const { entries } = found;
  const there = keys.flatMap((key, place) => (entries[place] ? [[key, entries[place]] as const] : []));
  const items = there.flatMap(([key, entry]) =>
    isUnmigrated(entry) ? [] : [`{"key":${JSON.stringify(key)},"value":${entry.text},"seq":${entry.seq}}`],
  );
  const missing = JSON.stringify(keys.filter((_, place) => !entries[place]));
  return json(`{"items":[${items.join(",")}],"missing":${missing}${failedText(route, there)}${atText(source)}}`);
}

/**
 * Adds a member if keys can't be migrated. Clients that don't know the member find those keys in no list, and not among
 * the missing.
 */
function failedText(route: Route, items: readonly Item[]): string {
  const failed = items.flatMap(([key, entry]) =>
    isUnmigrated(entry)
      ? [{ key, code: MIGRATION_FAILED, message: whyUnmigrated(route, key, entry), version: entry.version }]
      : [],
  );
  return failed.length === 0 ? "" : `,"failed":${JSON.stringify(failed)}`;
}

type KeysRead =
  | { readonly tag: "read"; readonly entries: readonly (KeyEntry | null)[] }
  | { readonly tag: "too_large" }
  | Gone
  | Extract<PartitionAnswer<never>, { tag: "busy" }>;

/**
 * Reads keys in several partitions, up to the limit of one answer for all of them. Each partition is asked for its
 * share at once. The keys beyond a share are asked for one after the other, while there is room.
 */
async function readKeys(
  source: StateSource,
  route: Route,
  keys: readonly string[],
  places: ReadonlyMap<number, readonly number[]>,
): Promise<KeysRead> {
  const entries: (KeyEntry | null)[] = Array.from({ length: keys.length }, () => null);
  let room = READ_CHARS;
  /** Returns the places that the answer doesn't reach, or the reason why there is no answer. */
  const read = async (partition: number, at: readonly number[], most: number) => {
    const address = route.addresses[partition]!;
    const wanted = at.map((place) => keys[place]!);
    const answer = await source.keys(address, wanted, most);
    if (answer.tag !== "ok") return answer;
    answer.value.forEach((entry, i) => {
      entries[at[i]!] = entry;
      room -= entry?.text.length ?? 0;
    });
    return { tag: "ok", partition, left: at.slice(answer.value.length) } as const;
  };
  const share = Math.floor(READ_CHARS / Math.max(1, places.size));
  for (const first of await Promise.all([...places].map(([partition, at]) => read(partition, at, share)))) {
    if (first.tag !== "ok") return first;
    if (first.left.length === 0) continue;
    const rest = await read(first.partition, first.left, room);
    if (rest.tag !== "ok") return rest;
    if (rest.left.length > 0) return { tag: "too_large" };
  }
  return { tag: "read", entries };
}

function batchKeys(text: string): string[] | string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return "the body isn't valid JSON";
  }
  const keys = typeof body === "object" && body !== null && "keys" in body ? body.keys : null;
  if (!Array.isArray(keys) || keys.length > BATCH_KEYS) return `the body must be {"keys": [up to ${BATCH_KEYS} keys]}`;
  for (const key of keys) {
    const flaw = keyFlaw(key);
    if (flaw !== null) return flaw;
  }
  return [...new Set(keys as string[])];
}

interface Scan {
  readonly prefix: string | undefined;
  readonly limit: number | undefined;
  readonly cursor: string | undefined;
  readonly at: string | undefined;
}

export async function scanState(
  env: Env,
  route: Route,
  { prefix: asking = "", limit = SCAN_DEFAULT, cursor: from, at }: Scan,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const after = readCursor(from);
  if (after === null) return badCursor();
  // Narrow the requested prefix to the keys that the caller may see.
  const prefix = keyPrefix.startsWith(asking) ? keyPrefix : asking;
  if (!prefix.startsWith(keyPrefix)) return keyNotAllowed(asking);
  const source = await sourceOf(env, route, at);
  if (source instanceof Response) return source;
  const share = Math.min(SCAN_BYTES, Math.floor(SCAN_ALL_BYTES / route.addresses.length));
  const pages = await Promise.all(route.addresses.map((address) => source.scan(address, prefix, after, limit, share)));
  const failed = pages.find((page) => page.tag !== "ok");
  if (failed?.tag === "busy") return unavailable(failed);
  if (failed?.tag === "gone") return momentGone(failed);
  const { items, more } = merge(
    pages.flatMap((page) => (page.tag === "ok" ? [page.value] : [])),
    limit,
  );
  const texts = items.flatMap(([key, entry]) =>
    isUnmigrated(entry) ? [] : [`{"key":${JSON.stringify(key)},"value":${entry.text}}`],
  );
  const cursor = more ? `,"cursor":${JSON.stringify(makeCursor(items.at(-1)![0]))}` : "";
  return json(`{"items":[${texts.join(",")}]${cursor}${failedText(route, items)}${atText(source)}}`);
}

type Item = readonly [string, KeyEntry];

/** Merges the pages of all partitions, up to the last key that every page covers. */
function merge(
  pages: readonly { readonly items: readonly Item[]; readonly more: boolean }[],
  limit: number,
): { items: Item[]; more: boolean } {
  const ends = pages.filter((page) => page.more).map((page) => page.items.at(-1)![0]);
  const end = ends.sort(compareUtf8)[0];
  const known = pages.flatMap((page) => page.items).filter(([key]) => end === undefined || compareUtf8(key, end) <= 0);
  const items = known.sort(([a], [b]) => compareUtf8(a, b)).slice(0, limit);
  return { items, more: end !== undefined || items.length < known.length };
}

const encoder = new TextEncoder();

function makeCursor(key: string): string {
  return btoa(String.fromCharCode(...encoder.encode(key)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Returns the key after which to resume, "" for the start, or null if the cursor is malformed. */
function readCursor(cursor: string | undefined): string | null {
  if (cursor === undefined) return "";
  try {
    const bytes = Uint8Array.from(atob(cursor.replaceAll("-", "+").replaceAll("_", "/")), (unit) => unit.charCodeAt(0));
    const key = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return keyFlaw(key) === null ? key : null;
  } catch {
    return null;
  }
}
