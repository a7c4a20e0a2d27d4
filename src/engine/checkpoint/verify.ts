/**
 * Verification: is the state in memory what a recovery would give back? The state is rebuilt beside the live one, from
 * a manifest before the current one, its archive and the log. Then both are compared, key by key.
 *
 * VERIFY1. Verification finds a handler that isn't deterministic (ONE5), a snapshot with wrong content (SNAP8), and an
 *     unreadable archive or log, while the other copy still exists.
 * VERIFY2. Only states that the same code made are compared (CODE4): other code may rightly come to other states.
 * VERIFY3. Verification only reads and computes. Events are processed meanwhile, so verification compares the state as
 *     of its beginning. Keys that aren't in memory are read from the files block by block. So verification takes one
 *     memory budget for the rebuilt state, and no more.
 * VERIFY4. Whether the states are equal or not, the result names keys whose state can't be migrated (migration.ts).
 */
import { Damage, isUnreadable, messageOf, type Failure } from "../base/errors.ts";
import { codeOf, type StateMachine } from "../state/state-machine.ts";
import type { Seq } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { VERIFY_WAIT_MS } from "../base/limits.ts";
import type { Loader } from "../snapshot/key-loader.ts";
import { stateFiles, type Manifest } from "../snapshot/manifest.ts";
import { NAMED_KEYS, type Unmigrated, type UnmigratedKey } from "../operator/migration.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { fetchManifest } from "../recovery/kept-snapshots.ts";
import { load } from "../recovery/past-state.ts";
import { nextPage, replay } from "../recovery/replay.ts";
import type { Host } from "../base/ports.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import { timersText } from "../state/timers.ts";
import { limited } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

export type Verified =
  /** `manifest` is the manifest that it started from, or null for the whole log. */
  | {
      readonly tag: "equal";
      readonly seq: Seq;
      readonly manifest: number | null;
      readonly replayedEvents: number;
      readonly keys: number;
      readonly unmigrated: Unmigrated;
    }
  | {
      readonly tag: "differs";
      readonly seq: Seq;
      readonly manifest: number | null;
      readonly difference: Difference;
      readonly unmigrated: Unmigrated;
    }
  | { readonly tag: "not_comparable"; readonly why: string; readonly unmigrated: Unmigrated }
  /** The state can't be rebuilt this way: a file or a row is corrupt or missing, or a store doesn't answer. */
  | { readonly tag: "not_rebuilt"; readonly why: string; readonly damaged: Damaged | null };

/** The corrupt part: a file that holds state of the current manifest, or something older. */
export type Damaged = "current" | "older";

/** The difference with the lowest seq, which is where it began, as far as the states still tell. */
interface Difference {
  /** The last event that changed the key, on either side. */
  readonly seq: Seq;
  readonly key: string;
  /** JSON texts. Null if the key isn't there. */
  readonly live: string | null;
  readonly rebuilt: string | null;
}

/** @throws Failure if the verification takes too long */
export async function verify(env: Environment, open: OpenPartition): Promise<Verified> {
  return limited(env.clock, "the verification", () => rebuildAndCompare(env, open), VERIFY_WAIT_MS);
}

async function rebuildAndCompare(env: Environment, open: OpenPartition): Promise<Verified> {
  const { machine, loader, whole } = open;
  if (machine.seq === 0) return notComparable("no event was applied yet");
  const live = { seq: machine.seq, entries: allOf(machine, loader) };
  const ours = codeOf({ operatorVersion: env.operator.version, code: env.code });
  let reading: Damaged = "older";
  try {
    const base = await startOf(env, whole);
    if (base !== null && codeOf(base) !== ours) {
      reading = "current";
      const { unmigrated } = await compare(live.entries, inChunks([]));
      return notComparable(`manifest ${base.number} was made by code ${codeOf(base)}, this is ${ours}`, unmigrated);
    }
    if (sharesFiles(base, whole)) reading = "current";
    const shadow = await load(env, open.row, base, false);
    const from = shadow.machine.seq;
    reading = "older";
    const page = await nextPage(env, open.row, shadow.machine.seq);
    // If the row was rebuilt from R2, D1 may hold nothing above the base. Then the archive does, up to the row's own
    // snapshot.
    const row = page.rows.length === 0 ? open.row : { ...open.row, snapshotSeq: shadow.machine.seq };
    await replay(env, { ...page, row, head: live.seq, open: true }, base, shadow, ({ seq }) => seq <= live.seq);
    const others = [...shadow.machine.replayedFrom].filter((other) => other !== ours);
    reading = "current";
    const { difference, keys, unmigrated } = await compare(live.entries, allOf(shadow.machine, shadow.loader));
    if (others.length > 0)
      return notComparable(`events up to ${live.seq} were applied by other code too: ${others.join(", ")}`, unmigrated);
    const manifest = base?.number ?? null;
    if (difference !== null) return { tag: "differs", seq: live.seq, manifest, difference, unmigrated };
    const replayedEvents = shadow.machine.seq - from;
    return { tag: "equal", seq: live.seq, manifest, replayedEvents, keys, unmigrated };
  } catch (error) {
    // A new snapshot may have replaced and deleted the files that were being read.
    if (open.whole !== whole) return notComparable("a snapshot was taken meanwhile: verify again");
    return {
      tag: "not_rebuilt",
      why: messageOf(error),
      damaged: isUnreadable(error) ? placeOf(error, whole, reading) : null,
    };
  }
}

const notComparable = (why: string, unmigrated: Unmigrated = { keys: 0, some: [] }): Verified => ({
  tag: "not_comparable",
  why,
  unmigrated,
});

/**
 * Returns the part that a corrupt file belongs to. If the error names no file, returns the part that was being read:
 * states of both are read side by side.
 */
function placeOf(error: Damage | Failure, whole: Manifest | null, reading: Damaged): Damaged {
  const object = error instanceof Damage ? error.object : null;
  if (object === null || whole === null) return reading;
  return stateFiles(whole).some(({ name }) => name === object) ? "current" : "older";
}

/**
 * Returns the manifest before the current one, so that a snapshot and its archive are verified too. Returns null if
 * there is none.
 */
async function startOf(env: Environment, whole: Manifest | null): Promise<Manifest | null> {
  const before = whole?.history?.[0];
  return before === undefined ? null : fetchManifest(env, ...before);
}

/** A delta is read from the files of the manifest before it and one more. A full snapshot is read from none of them. */
const sharesFiles = (base: Manifest | null, whole: Manifest | null): boolean =>
  base !== null && whole !== null && whole.kind === "delta" && whole.chain?.[0]?.name === stateFiles(base)[0]!.name;

/** Yields every key as of now, in order, from memory or from the files. */
function allOf({ state }: StateMachine, { stored }: Loader): AsyncGenerator<Entries> {
  const overlay = state.overlay("", "");
  return state.complete || stored === null ? inChunks(overlay) : stored.entries("", overlay, false);
}

async function* inChunks(entries: Entries): AsyncGenerator<Entries> {
  if (entries.length > 0) yield entries;
}

/** Both inputs are in the order of their keys. */
async function compare(
  live: AsyncGenerator<Entries>,
  rebuilt: AsyncGenerator<Entries>,
): Promise<{ readonly difference: Difference | null; readonly keys: number; readonly unmigrated: Unmigrated }> {
  const [left, right] = [new Walk(live), new Walk(rebuilt)];
  let first: Difference | null = null;
  const some: UnmigratedKey[] = [];
  let [keys, unmigrated] = [0, 0];
  try {
    for (;;) {
      const a = left.next ?? (await left.fetched());
      const b = right.next ?? (await right.fetched());
      if (a === undefined && b === undefined)
        return { difference: first, keys, unmigrated: { keys: unmigrated, some } };
      const order = a === undefined ? 1 : b === undefined ? -1 : compareUtf8(a[0], b[0]);
      const [x, y] = [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
      if (x !== undefined) left.step();
      if (y !== undefined) right.step();
      keys += x === undefined ? 0 : 1;
      const version = x?.[1]?.version;
      unmigrated += version === undefined ? 0 : 1;
      if (version !== undefined && some.length < NAMED_KEYS) some.push([x![0], version]);
      if (isSame(x?.[1], y?.[1])) continue;
      const at = Math.min(x?.[1]?.seq ?? Infinity, y?.[1]?.seq ?? Infinity) as Seq;
      if (first === null || at < first.seq)
        first = { seq: at, key: (x ?? y)![0], live: x?.[1]?.text ?? null, rebuilt: y?.[1]?.text ?? null };
    }
  } finally {
    await Promise.allSettled([live.return(undefined), rebuilt.return(undefined)]);
  }
}

const isSame = (live: KeyEntry | null | undefined, rebuilt: KeyEntry | null | undefined): boolean =>
  live?.text === rebuilt?.text &&
  live?.seq === rebuilt?.seq &&
  timersText(live?.timers) === timersText(rebuilt?.timers);

/** Steps through the entries of chunks that arrive one after the other. */
class Walk {
  readonly #chunks: AsyncGenerator<Entries>;
  #chunk: Entries = [];
  #at = 0;

  constructor(chunks: AsyncGenerator<Entries>) {
    this.#chunks = chunks;
  }

  /** Undefined if the chunk is used up. */
  get next(): Entries[number] | undefined {
    return this.#chunk[this.#at];
  }

  async fetched(): Promise<Entries[number] | undefined> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return undefined;
    this.#chunk = value;
    this.#at = 0;
    return this.next;
  }

  step(): void {
    this.#at += 1;
  }
}

/** Notes the result of a verification that the partition ran by itself. */
export function noteVerification(found: Verified, host: Pick<Host, "note">): void {
  if (found.tag !== "not_rebuilt" && found.unmigrated.keys > 0)
    host.note("keys can't be migrated", { keys: found.unmigrated.keys });
  switch (found.tag) {
    case "differs":
      return host.note("verification found a difference", { seq: found.difference.seq });
    case "not_rebuilt":
      return host.note("verification can't rebuild the state", { why: found.why });
    case "equal":
      return host.note("verification found no difference", { events: found.replayedEvents });
    case "not_comparable":
      return;
  }
}
