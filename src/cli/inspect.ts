/**
 * Finds every flaw of a file. A recovery stops at the first flaw and takes an older generation, but a person who has
 * only this file wants to know which parts are intact (SNAP3).
 *
 * INSPECT1. Every block is read and checked by itself, so that a corrupt block hides none behind it.
 * INSPECT2. Lists of the footer that this version doesn't know are checked for their checksums.
 */
import { brotli } from "../adapters/brotli.ts";
import { readArchive, readManifestObject } from "../engine/snapshot/manifest-object.ts";
import { readBlock } from "../engine/base/block.ts";
import { Damage, Failure, messageOf } from "../engine/base/errors.ts";
import { seq } from "../engine/base/ids.ts";
import type { Manifest } from "../engine/snapshot/manifest.ts";
import { readProducer } from "../engine/state/producers.ts";
import { readQuarantined } from "../engine/state/quarantine.ts";
import { MAGIC, type Block } from "../engine/snapshot/file-footer.ts";
import { lines, next, readDedup } from "../engine/snapshot/file-rest.ts";
import type { StoredFile } from "./file.ts";
import { stateItems, titleOf, viewSnapshot, type SnapshotView } from "./snapshot-view.ts";

export interface FileFinding {
  /** The offset in the file, or null if the finding is about the whole file. */
  readonly offset: number | null;
  readonly what: string;
  /** The file is intact, but other code wrote it. */
  readonly foreign: boolean;
}

export interface Report {
  /** A description of the file, or null if it can't be read. */
  readonly title: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly findings: readonly FileFinding[];
}

export function inspect(file: StoredFile): Report {
  return file.kind === "snapshot" ? inspectSnapshot(file) : inspectManifest(file);
}

function inspectSnapshot(file: StoredFile): Report {
  let view: SnapshotView;
  try {
    view = viewSnapshot(file);
  } catch (error) {
    return { title: null, facts: {}, findings: [finding(ends(file.bytes), error)] };
  }
  const { partition, operatorVersion, base, seq, stamp, keys } = view.footer;
  const facts = { partition, operatorVersion, base, seq, stamp, keys, bytes: file.bytes.length };
  const damaged = lists(view).flatMap(([name, blocks]) =>
    blocks.flatMap((block) => attempt(block[0], () => checkBlock(view, name, block))),
  );
  // The contents can be compared across blocks only if each block is intact.
  const findings = damaged.length > 0 ? damaged : checkContents(view);
  return { title: titleOf(view), facts, findings };
}

/**
 * The place of the flaw in a file without a readable footer: the end that is corrupt, or else the end of the format's
 * mark.
 */
function ends(bytes: Uint8Array): number {
  const magicAt = (at: number): boolean => String.fromCharCode(...bytes.subarray(at, at + MAGIC.length)) === MAGIC;
  if (!magicAt(0)) return 0;
  return magicAt(bytes.length - MAGIC.length) ? MAGIC.length : Math.max(0, bytes.length - MAGIC.length);
}

/** Every list of blocks in the footer, whatever its name. */
function lists({ footer }: SnapshotView): (readonly [name: string, blocks: readonly Block[]])[] {
  return Object.entries(footer).flatMap(([name, value]: readonly [string, unknown]) =>
    isBlockList(value) ? [[name, value] as const] : [],
  );
}

const isBlockList = (value: unknown): value is readonly Block[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((block) => Array.isArray(block) && block.slice(0, 3).filter(Number.isSafeInteger).length === 3);

/** Lists of text lines. Other lists may hold anything. */
const LINES: Readonly<Record<string, string>> = {
  state: "a state block",
  answers: "an answers block",
  quarantine: "a quarantine block",
  producers: "a block of producers",
};

function checkBlock({ bytes, rest }: SnapshotView, name: string, block: Block): void {
  const what = LINES[name];
  if (what === undefined) readBlock(bytes, block[0], block[1], block[2], brotli, `a block of ${name}`);
  else drain(lines([block], rest, brotli, what));
}

function checkContents(view: SnapshotView): FileFinding[] {
  const { rest, footer } = view;
  const { state, prints, answers, quarantine, producers } = footer;
  if (footer.part?.[1] === 0) return attempt(startOf(state), () => checkState(view));
  return [
    ...attempt(startOf(state), () => checkState(view)),
    ...attempt(startOf(prints.length > 0 ? prints : answers), () => void readDedup(footer, rest, brotli)),
    ...attempt(startOf(quarantine), () => checkQuarantine(view)),
    ...attempt(startOf(producers), () => checkProducers(view)),
  ];
}

const startOf = (blocks: readonly Block[]): number => blocks[0]?.[0] ?? 0;

function checkState(view: SnapshotView): void {
  const { base, keys, part, last } = view.footer;
  let present = 0;
  let end = "";
  for (const [key, entry] of stateItems(view)) {
    end = key;
    if (entry === null) continue;
    present += 1;
    checkJson(entry.text, key);
  }
  if (last !== undefined && last !== end)
    throw new Damage(`the last key is ${JSON.stringify(end)}, the footer says ${JSON.stringify(last)}`);
  // The footer of a delta, or of a part, counts the keys of the whole state, of which the file holds some.
  if (base === 0 && part === undefined ? present !== keys : present > keys)
    throw new Damage(`the snapshot counts ${keys} keys, but holds ${present}`);
}

/** Checks the JSON of a state. A recovery leaves that out, to save time. */
function checkJson(text: string, key: string): void {
  try {
    JSON.parse(text);
  } catch {
    throw new Damage(`the state of key ${JSON.stringify(key)} isn't JSON`);
  }
}

function checkQuarantine({ rest, footer }: SnapshotView): void {
  let after = 0;
  for (const line of lines(footer.quarantine, rest, brotli, LINES["quarantine"]!))
    after = next(readQuarantined(line, footer.base > 0).seq, after, footer.seq, "a quarantined event");
}

function checkProducers({ rest, footer }: SnapshotView): void {
  const seen = new Set<string>();
  for (const line of lines(footer.producers, rest, brotli, LINES["producers"]!)) {
    const { id, seq: at } = readProducer(line);
    next(at, footer.base, footer.seq, `producer ${JSON.stringify(id)}`);
    if (seen.has(id)) throw new Damage(`producer ${JSON.stringify(id)} is in the snapshot twice`);
    seen.add(id);
  }
}

function inspectManifest({ bytes }: StoredFile): Report {
  let manifest: Manifest;
  let end: number;
  try {
    ({ manifest, end } = readManifestObject(bytes, brotli));
  } catch (error) {
    return { title: null, facts: {}, findings: [finding(0, error)] };
  }
  const { line, operator, partition, number, kind, archive } = manifest;
  const { from, to } = archive;
  const title = `manifest ${number} of ${line}/${operator}/${String(partition).padStart(4, "0")}, ${kind} at seq ${manifest.seq}, with the log ${from + 1}..${to}`;
  const facts = { operator, partition, number, kind, seq: manifest.seq, from, to, bytes: bytes.length };
  // Reading on above a block's last seq skips that block, so that a corrupt block hides none behind it.
  const findings = archive.blocks.flatMap(([offset, , , first, last]) =>
    attempt(end + offset, () => {
      for (const { row } of readArchive(bytes, brotli, seq(first - 1))) if (row.last >= last) return;
    }),
  );
  return { title, facts, findings };
}

function drain(items: Iterable<unknown>): void {
  for (const _ of items);
}

function attempt(offset: number, check: () => void): FileFinding[] {
  try {
    check();
    return [];
  } catch (error) {
    return [finding(offset, error)];
  }
}

function finding(offset: number, error: unknown): FileFinding {
  if (!(error instanceof Damage || error instanceof Failure)) throw error;
  return { offset, what: messageOf(error), foreign: error instanceof Failure && error.code === "unknown_format" };
}
