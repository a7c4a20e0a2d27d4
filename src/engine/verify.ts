/**
 * The drill: is what we hold in memory what a recovery would give back? The state is rebuilt in the shadow, from a manifest
 * before the current one, its archive and the log, and compared with the live one, key by key.
 *
 * V1. It finds a handler that isn't deterministic (ONE5), a snapshot that doesn't say what it should (SNAP8), and an archive
 *     or a log that can't be read, while the other copy still is there.
 * V2. Only what one code made is compared (CODE4): other code may rightly come to other states.
 * V3. It reads and computes only. Events go on meanwhile: it looks at the state as of its beginning.
 */
import { isUnreadable, messageOf } from "./errors.ts";
import { codeOf, type Fold } from "./fold.ts";
import type { Seq } from "./ids.ts";
import { compareUtf8 } from "./json.ts";
import { VERIFY_CHARS } from "./limits.ts";
import { stateFiles, type Manifest } from "./manifest.ts";
import type { Open } from "./open.ts";
import { fetchManifest, load, nextPage, replay, type Surroundings } from "./recovery.ts";
import type { Entry } from "./state.ts";

export type Verified =
  /** `manifest`: what it started from; null: the whole log. */
  | {
      readonly tag: "equal";
      readonly seq: Seq;
      readonly manifest: number | null;
      readonly replayedEvents: number;
      readonly keys: number;
    }
  | { readonly tag: "differs"; readonly seq: Seq; readonly manifest: number | null; readonly difference: Difference }
  | { readonly tag: "not_comparable"; readonly why: string }
  /** It can't be rebuilt this way: what was to be read is damaged or missing, or a store doesn't answer. */
  | { readonly tag: "not_rebuilt"; readonly why: string; readonly damaged: Damaged | null };

/** What is damaged: a file that the current manifest reads its state from, or something older. */
export type Damaged = "current" | "older";

/** The difference with the lowest seq: where it began, as far as the states still tell. */
export interface Difference {
  /** Last event that changed the key, on either side. */
  readonly seq: Seq;
  readonly key: string;
  /** JSON texts; null: the key isn't there. */
  readonly live: string | null;
  readonly rebuilt: string | null;
}

export async function verify(around: Surroundings, open: Open, code: string): Promise<Verified> {
  const { fold } = open;
  if (fold.seq === 0) return { tag: "not_comparable", why: "no event was applied yet" };
  if (fold.state.size > VERIFY_CHARS)
    return {
      tag: "not_comparable",
      why: `the state has ${fold.state.size} characters; up to ${VERIFY_CHARS} it can be held twice`,
    };
  const live = { seq: fold.seq, entries: fold.state.capture() };
  const ours = codeOf({ operatorVersion: around.operator.version, code });
  let reading: Damaged = "older";
  try {
    const base = await startOf(around, open.whole);
    if (base !== null && codeOf(base) !== ours)
      return {
        tag: "not_comparable",
        why: `manifest ${base.version} was made by code ${codeOf(base)}, this is ${ours}`,
      };
    if (sharesFiles(base, open.whole)) reading = "current";
    const shadow = await load(around, open.row.seed, base);
    reading = "older";
    const page = await nextPage(around, open.row, shadow.seq);
    // D1 may hold nothing above it, when its row was rebuilt from R2: then the archive does, up to the row's own snapshot.
    const row = page.rows.length === 0 ? open.row : { ...open.row, snapshotSeq: shadow.seq };
    await replay(around, { ...page, row, head: live.seq }, base, shadow, live.seq);
    const others = [...shadow.replayedFrom].filter((other) => other !== ours);
    if (others.length > 0)
      return { tag: "not_comparable", why: `events up to ${live.seq} were applied by code ${others.join(", ")} too` };
    return compare(live, shadow, base);
  } catch (error) {
    return { tag: "not_rebuilt", why: messageOf(error), damaged: isUnreadable(error) ? reading : null };
  }
}

/** The manifest before the current one, so that a snapshot and its archive are checked as well; null: there is none. */
async function startOf(around: Surroundings, whole: Manifest | null): Promise<Manifest | null> {
  const before = whole?.history?.[0];
  return before === undefined ? null : fetchManifest(around, ...before);
}

/** A delta is read from the files of the manifest before it and one more; a full one from none of them. */
const sharesFiles = (base: Manifest | null, whole: Manifest | null): boolean =>
  base !== null && whole !== null && whole.kind === "delta" && whole.chain?.[0]?.name === stateFiles(base)[0]!.name;

function compare(
  live: { readonly seq: Seq; readonly entries: readonly (readonly [string, Entry])[] },
  shadow: Fold,
  base: Manifest | null,
): Verified {
  const manifest = base?.version ?? null;
  const difference = firstDifference(live.entries, shadow.state.capture());
  if (difference !== null) return { tag: "differs", seq: live.seq, manifest, difference };
  const replayedEvents = shadow.seq - (base?.seq ?? 0);
  return { tag: "equal", seq: live.seq, manifest, replayedEvents, keys: live.entries.length };
}

type Entries = readonly (readonly [string, Entry])[];

/** Both are in the order of their keys. */
function firstDifference(live: Entries, rebuilt: Entries): Difference | null {
  let first: Difference | null = null;
  for (let i = 0, j = 0; i < live.length || j < rebuilt.length;) {
    const [a, b] = [live[i], rebuilt[j]];
    const order = a === undefined ? 1 : b === undefined ? -1 : compareUtf8(a[0], b[0]);
    const [x, y] = [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
    if (x !== undefined) i += 1;
    if (y !== undefined) j += 1;
    if (x?.[1].text === y?.[1].text && x?.[1].seq === y?.[1].seq) continue;
    const at = Math.min(x?.[1].seq ?? Infinity, y?.[1].seq ?? Infinity) as Seq;
    if (first === null || at < first.seq)
      first = { seq: at, key: (x ?? y)![0], live: x?.[1].text ?? null, rebuilt: y?.[1].text ?? null };
  }
  return first;
}
