/**
 * StoredState is the keyed state in the files of one manifest: a full snapshot in one file or several, and deltas on
 * it.
 *
 * STORED1. The newest file that names a key gives its state, or says that the key has none.
 * STORED2. Files are immutable, so a read gives the state at the manifest's seq, however long it takes.
 * STORED3. Reading everything goes block by block, so memory doesn't grow with the state.
 * STORED4. Of another partition's files, a share of the keys is read (SHARE1). The others have no state here.
 */
import { Damage } from "../base/errors.ts";
import { Digest } from "../base/digest.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { seq, type Seq } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { FETCHES, RECENT_BLOCKS, RUN_BYTES } from "../base/limits.ts";
import { stateFiles, type Manifest } from "./manifest.ts";
import { Merge, type Source } from "./merge.ts";
import { assertNotNewer } from "../operator/migration.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import type { KeyShare } from "../operator/key-placement.ts";
import type { Operator } from "../operator/operator.ts";
import { SnapshotFile, type StateBlock } from "./file-reader.ts";
import { assertReadable, restoreIds, restoreRest } from "./file-rest.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";
import { contentOf } from "../state/timers.ts";
import { entryOfLine, own } from "./record.ts";

export class StoredState {
  /** Files in the order in which they are read on top of each other. */
  readonly files: readonly SnapshotFile[];
  readonly #operator: Operator;

  /** Blocks that were used last, by file and number. The next key often stands in one of them. */
  readonly #recent: Map<string, Promise<StateBlock>>;
  /** Blocks that were read for single keys. */
  #reads = 0;
  #remembering: Promise<void> | null = null;

  readonly #share: KeyShare | null;

  constructor(
    operator: Operator,
    files: readonly SnapshotFile[],
    recent = new Map<string, Promise<StateBlock>>(),
    share: KeyShare | null = null,
  ) {
    this.files = files;
    this.#share = share;
    this.#recent = recent;
    this.#operator = operator;
    for (const { footer } of files) assertNotNewer(operator, footer.operatorVersion);
  }

  /**
   * Opens the files of a manifest, and takes everything but states into the state machine. If `apart` is set, ids that
   * stand apart are left for `loadIds`. No state is read.
   *
   * @throws Damage if a file is corrupt; Failure unknown_format | state_newer | store_unavailable if it can't be read
   */
  static async open(
    env: FileEnvironment,
    manifest: Manifest,
    machine: StateMachine,
    apart: boolean,
  ): Promise<StoredState> {
    const opened = await inParallel(stateFiles(manifest), async (file) => SnapshotFile.open(env, file, apart));
    const { id, codec, share = null } = env;
    for (const { file } of opened) assertReadable(file.footer, machine.operator, id, codec);
    const { dedup } = opened.at(-1)!.file.footer;
    for (const { file, rest } of opened) restoreRest(file.footer, rest, machine, codec, dedup.first, file.apart);
    if (machine.seq !== manifest.seq)
      throw new Damage(
        `the snapshot ${manifest.snapshot.name} is at seq ${machine.seq}, its manifest says ${manifest.seq}`,
      );
    if (share !== null) machine.quarantine.keep(share.holds);
    const files = opened.map(({ file }) => file);
    const stored = new StoredState(machine.operator, files, new Map(), share);
    stored.queue(machine);
    return stored;
  }

  /**
   * Opens the files of a manifest for their states alone. Everything else is left.
   *
   * @throws Damage if a file is corrupt; Failure unknown_format | state_newer | store_unavailable if it can't be read
   */
  static async states(env: FileEnvironment, manifest: Manifest, operator: Operator): Promise<StoredState> {
    const opened = await inParallel(stateFiles(manifest), async (file) => SnapshotFile.open(env, file, true));
    let at = 0;
    for (const { footer } of opened.map(({ file }) => file)) {
      assertReadable(footer, operator, env.id, env.codec);
      if (footer.base !== at)
        throw new Damage(`the snapshot at ${footer.seq} builds on seq ${footer.base}, not on ${at}`);
      // Of several parts, only the last says how far they go together.
      if (footer.part?.[1] !== 0) at = footer.seq;
    }
    if (at !== manifest.seq)
      throw new Damage(`the snapshot ${manifest.snapshot.name} is at seq ${at}, its manifest says ${manifest.seq}`);
    return new StoredState(
      operator,
      opened.map(({ file }) => file),
      new Map(),
      env.share,
    );
  }

  /**
   * Takes the ids that `open` left apart into its state machine. After a failure, the next call tries again.
   *
   * @throws Damage if the ids are corrupt; Failure store_unavailable if they can't be read
   */
  loadIds(machine: StateMachine): Promise<void> {
    this.#remembering ??= this.#remember(machine).finally(() => {
      this.#remembering = null;
    });
    return this.#remembering;
  }

  async #remember(machine: StateMachine): Promise<void> {
    const read = await inParallel(
      this.files.filter((file) => file.apart),
      async (file) => [file.footer, await file.ids()] as const,
    );
    for (const [footer, rest] of read) restoreIds(footer, rest, machine);
  }

  /** Returns the state of the first `under` files with a delta on top. */
  with(under: number, delta: SnapshotFile): StoredState {
    return new StoredState(this.#operator, [...this.files.slice(0, under), delta], this.#recent, this.#share);
  }

  /**
   * Returns true if as many blocks were read for single keys, these included, as there are. Reading all blocks costs no
   * more then than was already spent.
   */
  wornOutBy(keys: readonly string[]): boolean {
    const blocks = this.files.reduce((sum, { blocks }) => sum + blocks, 0);
    if (this.#reads >= blocks || keys.length + this.#reads < blocks) return this.#reads >= blocks;
    const asked = new Set<string>();
    for (const key of keys) {
      const place = this.#below(key, this.files.length);
      if (place !== null) asked.add(`${place.file} ${place.block}`);
    }
    return this.#reads + asked.size >= blocks;
  }

  get seq(): Seq {
    return seq(this.files.at(-1)!.footer.seq);
  }

  /** From now on, timers of keys that haven't changed since are found in these files (QUEUE2 of timer-queue.ts). */
  queue({ timers }: StateMachine): void {
    const { pendingFrom } = this.files.at(-1)!.footer;
    const runs = pendingFrom === null ? [] : this.files.flatMap((file) => file.dueRuns);
    timers.begin(runs, pendingFrom ?? 0, this.seq);
  }

  /**
   * Returns the entries of these keys. A key that isn't in the result has no state. Many blocks are decoded in several
   * turns, with `pause` between them.
   *
   * @throws Damage if a block is corrupt; Failure store_unavailable if it can't be read
   */
  async find(keys: readonly string[], pause: () => Promise<void>): Promise<Map<string, KeyEntry>> {
    const found = new Map<string, KeyEntry>();
    // Look each key up in the files from the newest to the oldest.
    let open: Open[] = keys.filter((key) => this.#holds(key)).map((key) => ({ key, file: this.files.length }));
    while (open.length > 0) {
      const next: Open[] = [];
      await inParallel(this.#asked(open), async ({ file, wanted }) => {
        const blocks = this.#read(file, [...wanted.keys()]);
        for (const [i, keysOfOne] of [...wanted.values()].entries()) {
          const block = await blocks[i]!;
          for (const key of keysOfOne) {
            const line = indexIn(block, key);
            const entry = line < 0 ? null : this.#entry(file, block, line);
            if (line < 0) next.push({ key, file });
            else if (entry !== null) found.set(key, entry);
          }
        }
        if (wanted.size > 1) await pause();
      });
      open = next;
    }
    return found;
  }

  /** Returns the blocks that may hold the keys, in runs that are fetched together. */
  #asked(open: readonly Open[]): Asked[] {
    const files = new Map<number, Map<number, string[]>>();
    for (const { key, file: above } of open) {
      const place = this.#below(key, above);
      if (place === null) continue;
      const { file, block } = place;
      const blocks = files.get(file) ?? new Map<number, string[]>();
      files.set(file, blocks);
      const keys = blocks.get(block);
      if (keys === undefined) blocks.set(block, [key]);
      else keys.push(key);
    }
    return [...files].flatMap(([file, blocks]) =>
      this.files[file]!.runsOf([...blocks.keys()].sort((a, b) => a - b)).map((run) => ({
        file,
        wanted: new Map(run.map((block) => [block, blocks.get(block)!])),
      })),
    );
  }

  /** Reads the blocks of a run. If a block is being fetched, the call waits for that fetch. */
  #read(file: number, numbers: readonly number[]): Promise<StateBlock>[] {
    const source = this.files[file]!;
    const unread = numbers.filter((number) => !this.#recent.has(`${source.name} ${number}`));
    const fetched = unread.length === 0 ? null : source.some(unread);
    this.#reads += unread.length;
    const blocks = numbers.map((number) => {
      const name = `${source.name} ${number}`;
      const at = unread.indexOf(number);
      const block = at < 0 ? this.#recent.get(name)! : fetched!.then((blocks) => blocks[at]!);
      this.#recent.delete(name);
      this.#recent.set(name, block);
      block.catch(() => {
        if (this.#recent.get(name) === block) this.#recent.delete(name);
      });
      return block;
    });
    for (const name of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_BLOCKS) break;
      this.#recent.delete(name);
    }
    return blocks;
  }

  #holds(key: string): boolean {
    return this.#share === null || this.#share.holds(key);
  }

  /** Returns the newest file below this one that may hold the key, and the block. */
  #below(key: string, above: number): { file: number; block: number } | null {
    for (let file = above - 1; file >= 0; file--) {
      const block = this.files[file]!.blockOf(key);
      if (block >= 0) return { file, block };
    }
    return null;
  }

  #entry(file: number, block: StateBlock, line: number): KeyEntry | null {
    const { footer, name } = this.files[file]!;
    try {
      return entryOfLine(block.lines[line]!, footer, this.#operator);
    } catch (error) {
      if (error instanceof Damage) error.object = name;
      throw error;
    }
  }

  /**
   * Yields everything from the first key at or above `from` on, in order, in chunks. `overlay` is newer and may continue
   * top. If `keep` is set, the cache keeps the blocks, since they may be needed again.
   *
   * @throws Damage if a block is corrupt; Failure store_unavailable if it can't be read
   */
  entries(from: string, overlay: Entries, keep: boolean): AsyncGenerator<Entries> {
    return this.#merged(0, from, overlay, keep).chunks(false);
  }

  /**
   * Yields the changes above the first `under` files, keys that are gone included.
   *
   * @throws Damage if a block is corrupt; Failure store_unavailable if it can't be read
   */
  changes(under: number, overlay: Entries): AsyncGenerator<Entries> {
    return this.#merged(under, "", overlay, false).chunks(true);
  }

  #merged(under: number, from: string, overlay: Entries, keep: boolean): Merge {
    const files = this.files.slice(under);
    const sources = files.map((_, i) => this.#blocks(under + i, from, keep));
    return new Merge([...runsOf(files, sources), ofEntries(overlay)]);
  }

  /**
   * Reads the whole state.
   *
   * @throws Damage if the state isn't what the manifest says; Failure store_unavailable if it can't be read
   */
  async check({ keys, digest, operatorVersion, unmigrated, snapshot }: Manifest): Promise<void> {
    const found = new Digest();
    let count = 0;
    for await (const chunk of this.entries("", [], false))
      for (const [key, entry] of chunk) {
        count += 1;
        found.add(key, contentOf(entry!));
      }
    if (count !== keys) throw new Damage(`${snapshot.name} and its base hold ${count} keys, the manifest says ${keys}`);
    // A migrated state has another digest, and a state that couldn't be migrated then may be migrated by now.
    const same = operatorVersion === this.#operator.version && unmigrated === undefined;
    if (digest !== undefined && same && String(found) !== digest)
      throw new Damage(`the digest of ${snapshot.name} and its base is ${String(found)}, the manifest says ${digest}`);
  }

  async *#blocks(file: number, from: string, keep: boolean): Source {
    const source = this.files[file]!;
    const first = from === "" ? 0 : source.blockFrom(from);
    for await (const block of source.blocksFrom(first, RUN_BYTES, keep)) {
      const entries: [string, KeyEntry | null][] = [];
      for (let line = 0; line < block.lines.length; line++)
        if (compareUtf8(block.keys[line]!, from) >= 0 && this.#holds(block.keys[line]!))
          entries.push([own(block.keys[line]!), this.#entry(file, block, line)]);
      if (entries.length > 0) yield entries;
    }
  }
}

/** A key that wasn't found in this file or those above it. */
interface Open {
  readonly key: string;
  readonly file: number;
}

/** The blocks of a run in one file, each with the keys that it may hold. */
interface Asked {
  readonly file: number;
  readonly wanted: ReadonlyMap<number, readonly string[]>;
}

/**
 * Returns the sources from the oldest to the newest. The files of one full snapshot follow each other and are one
 * source.
 */
function runsOf(files: readonly SnapshotFile[], sources: readonly Source[]): Source[] {
  const parts = sources.filter((_, i) => files[i]!.footer.part !== undefined);
  if (parts.length === 0) return [...sources];
  return [inTurn(parts), ...sources.filter((_, i) => files[i]!.footer.part === undefined)];
}

async function* inTurn(sources: readonly Source[]): Source {
  for (const source of sources) yield* source;
}

async function* ofEntries(entries: Entries): Source {
  if (entries.length > 0) yield entries;
}

/** Returns the index of the key's line, or -1 if there is none. */
function indexIn({ keys }: StateBlock, key: string): number {
  let low = 0;
  let high = keys.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const order = compareUtf8(keys[middle]!, key);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/**
 * Returns results in the order of the items, which run a few at a time. The first error ends the work, once the items
 * that were begun have settled.
 */
async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        results[at] = await run(items[at]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(FETCHES, items.length) }, worker);
  const settled = await Promise.allSettled(workers);
  for (const one of settled) if (one.status === "rejected") throw one.reason as Error;
  return results;
}
