/**
 * The contents of a snapshot file as a stream, for display only: no operator, no migration, one block in memory at a
 * time.
 * The engine defines the lines (engine/snapshot/capture.ts). This file defines the order in which they are shown.
 */
import { brotli } from "../adapters/brotli.ts";
import { Damage } from "../engine/base/errors.ts";
import { compareUtf8 } from "../engine/base/json.ts";
import { readFooter, type Block, type Footer } from "../engine/snapshot/file-footer.ts";
import { lines, restIn } from "../engine/snapshot/file-rest.ts";
import type { Rest } from "../engine/snapshot/file-reader.ts";
import type { KeyEntry } from "../engine/state/keyed-state.ts";
import { entryOfLine, keyOfLine } from "../engine/snapshot/record.ts";
import type { StoredFile } from "./file.ts";

export interface SnapshotView {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly footer: Footer;
  readonly rest: Rest;
}

/** Null if the key was removed since the file that this delta builds on. */
export type StateItem = readonly [key: string, entry: KeyEntry | null];

/** @throws Damage, Failure unknown_format */
export function viewSnapshot({ name, bytes }: StoredFile): SnapshotView {
  const footer = readFooter(bytes, brotli);
  if (footer.codec !== brotli.name)
    throw new Damage(`${name} is written with codec "${footer.codec}"; this version reads "${brotli.name}"`);
  return { name, bytes, footer, rest: restIn(bytes, brotli) };
}

/**
 * Yields all keys in their order.
 * @throws Damage if the keys aren't in order, or if a block is corrupt
 */
export function* stateItems(view: SnapshotView, blocks: readonly Block[] = view.footer.state): Generator<StateItem> {
  let before = "";
  for (const block of blocks)
    for (const item of blockItems(view, block)) {
      if (compareUtf8(before, item[0]) >= 0)
        throw new Damage(`the keys of the state block at ${block[0]} are not in order`);
      [before] = item;
      yield item;
    }
}

function* blockItems({ rest, footer }: SnapshotView, block: Block): Generator<StateItem> {
  let first = true;
  for (const line of lines([block], rest, brotli, "a state block")) {
    const key = keyOfLine(line);
    if (first && key !== block[4])
      throw new Damage(`the state block at ${block[0]} begins with another key than the footer says`);
    first = false;
    yield [key, entryOfLine(line, footer, null)];
  }
}

/** Returns the file's entry for one key, by reading one block, or undefined if there is none. */
export function findKey(view: SnapshotView, key: string): StateItem | undefined {
  const block = view.footer.state.findLast(([, , , , first]) => compareUtf8(first, key) <= 0);
  if (block === undefined) return undefined;
  for (const item of stateItems(view, [block])) if (item[0] === key) return item;
  return undefined;
}

/** "full snapshot of 1/usage/0000 at seq 7". */
export function titleOf({ footer: { base, partition, seq, part } }: SnapshotView): string {
  if (base > 0) return `delta of ${partition} from seq ${base} to ${seq}`;
  const full = `full snapshot of ${partition} at seq ${seq}`;
  return part === undefined ? full : `${part[1] === 1 ? "last part" : "part"} ${part[0]} of a ${full}`;
}
