/**
 * Past: reads of a partition's state at a stamp (TIME3), which past-state.ts rebuilds.
 *
 * PAST2. The stamp must be settled (settle.ts). Then the same stamp gives the same state for ever.
 * PAST3. Memory doesn't grow with the log. Only events of wanted keys are applied (MACHINE4). If the log touched too
 *     many keys of a range, the range ends earlier, and another pass over the log reads the rest.
 */
import { Failure } from "../base/errors.ts";
import type { Stamp } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { PASS } from "../base/limits.ts";
import type { LogEnvironment } from "../operator/environment.ts";
import { type Gone, openPast, type PastFacts, type OpenPast } from "../recovery/past-state.ts";
import { type Chunks, chunksOf, read } from "../snapshot/reads.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import type { Keys } from "../state/state-machine.ts";
import { KeyRange, type Pass } from "./key-range.ts";

type PastKeys = (PastFacts & { readonly tag: "read"; readonly entries: readonly (KeyEntry | null)[] }) | Gone;

/** Returns the keys' entries at the stamp, from the first on, as `read` does. @throws Damage, Failure */
export async function pastKeys(
  env: LogEnvironment,
  at: Stamp,
  keys: readonly string[],
  maxChars: number,
): Promise<PastKeys> {
  const wanted = new Set(keys);
  const past = await openPast(env, at, true, () => (key) => wanted.has(key));
  if (past.tag === "gone") return past;
  const { seq, stamp, exact } = past;
  return { tag: "read", seq, stamp, exact, entries: await read(past, keys, maxChars) };
}

type PastRange = (PastFacts & { readonly tag: "read"; readonly chunks: Chunks }) | Gone;

/**
 * Returns the keys above `after` that begin with `prefix`, at the stamp. The first pass over the log is made before the
 * answer, further passes when their chunks are read.
 *
 * @throws Damage, Failure
 */
export async function pastRange(
  env: LogEnvironment,
  at: Stamp,
  prefix: string,
  after: string,
  pass: Pass = PASS,
): Promise<PastRange> {
  const first = await openRange(env, at, behind(prefix, after), pass);
  if (first.tag === "gone") return first;
  const { seq, stamp, exact } = first;
  return { tag: "read", seq, stamp, exact, chunks: chunksFrom(env, at, prefix, after, pass, first) };
}

async function* chunksFrom(
  env: LogEnvironment,
  at: Stamp,
  prefix: string,
  after: string,
  pass: Pass,
  first: OpenRange,
): AsyncGenerator<Entries> {
  for (let [past, from] = [first, after]; ;) {
    const { end } = past.range;
    const chunks = chunksOf(past, prefix, from, false) as AsyncIterable<Entries>;
    const begun = from;
    const within = (key: string): boolean =>
      compareUtf8(key, begun) > 0 && (end === null || compareUtf8(key, end) <= 0);
    for await (const chunk of chunks) {
      yield chunk.filter(([key]) => within(key));
      if (end !== null && chunk.length > 0 && compareUtf8(chunk.at(-1)![0], end) > 0) break;
    }
    if (end === null) return;
    const next = await openRange(env, at, behind(prefix, end), pass);
    if (next.tag === "gone") throw goneMeanwhile();
    [past, from] = [next, end];
  }
}

const behind =
  (prefix: string, after: string): Keys =>
  (key) =>
    key.startsWith(prefix) && compareUtf8(key, after) > 0;

export const goneMeanwhile = (): Failure =>
  new Failure("moment_gone", "retention gave up the moment while it was read");

/** The state at a stamp, of the keys that one pass brought there. */
type OpenRange = OpenPast & { readonly range: KeyRange };

/** Brings keys to their state at the stamp, as many of those within as fit into one pass. @throws Damage, Failure */
export async function openRange(
  env: LogEnvironment,
  at: Stamp,
  within: Keys,
  pass: Pass = PASS,
): Promise<OpenRange | Gone> {
  let range: KeyRange;
  const past = await openPast(env, at, true, (held) => {
    range = new KeyRange(within, pass, held);
    return (key) => range.admits(key);
  });
  return past.tag === "gone" ? past : { ...past, range: range! };
}
