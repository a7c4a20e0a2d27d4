/**
 * The oracle's own readers of what stands in the log and in R2, written from docs/reference/formats.md; the engine's
 * are not used. They don't look for damage: what is read is what was just written.
 */
import { brotliDecompressSync } from "node:zlib";
import type { Segment } from "../../src/engine/base/records.ts";

export interface LoggedOutcome {
  readonly tag: "a" | "r" | "q";
  /** JSON text: reply, [code, detail] or error. */
  readonly text: string;
}

export interface PayloadEvent {
  readonly event: Readonly<Record<string, unknown>>;
  readonly key: string;
  readonly atMs: number;
  readonly outcome: LoggedOutcome | null;
}

export function decodePayload({ codec, payload }: Pick<Segment, "codec" | "payload">): PayloadEvent[] {
  const text = codec === "br64" ? brotliDecompressSync(Buffer.from(payload, "base64")).toString("utf8") : payload;
  const { keys, at, out, events } = JSON.parse(text) as {
    keys: string[];
    at: [number, number][];
    out: [number, [string, ...unknown[]]][];
    events: Record<string, unknown>[];
  };
  const times = at.flatMap(([count, ms]) => Array.from({ length: count }, () => ms));
  const outcomes = new Map(out);
  return events.map((event, i) => {
    const said = outcomes.get(i);
    return { event, key: keys[i]!, atMs: times[i]!, outcome: said === undefined ? null : outcomeOf(said) };
  });
}

export function outcomeOf([tag, ...rest]: readonly [string, ...unknown[]]): LoggedOutcome {
  return { tag: tag as LoggedOutcome["tag"], text: JSON.stringify(tag === "r" ? rest : rest[0]) };
}

export const outcomeFrom = (text: string | null): LoggedOutcome | null =>
  text === null ? null : outcomeOf(JSON.parse(text) as [string, ...unknown[]]);

/** An entry of the quarantine. */
export interface QuarantineLine {
  readonly seq: number;
  readonly key: string;
  readonly now: number;
  /** JSON text of the event. */
  readonly event: string;
}

type Block = readonly [offset: number, length: number, crc: number, records: number, first: string];

interface DecodedEntry {
  readonly text: string;
  readonly seq: number;
  readonly stamp: number;
  /** Only if the text is of an older version than the snapshot. */
  readonly version?: number;
  readonly timers?: readonly (readonly [name: string, due: number])[];
}

export interface DecodedSnapshot {
  /** 0: it holds everything; else what changed above this seq. */
  readonly base: number;
  readonly seq: number;
  readonly operatorVersion: number;
  /** Keys of the whole state. */
  readonly keys: number;
  /** The entry is null if the key is gone. */
  readonly entries: readonly (readonly [key: string, entry: DecodedEntry | null])[];
  readonly dedup: { readonly first: number; readonly last: number; readonly prints: number };
  readonly answers: ReadonlyMap<number, LoggedOutcome>;
  /** Events in the quarantine, and the resolutions of those that went; of a delta the changes. */
  readonly quarantine: readonly (QuarantineLine | { readonly seq: number; readonly event?: never })[];
  /** All that stands in it of states and quarantine. */
  readonly text: string;
  /** Number, and 1 if it is the last one. */
  readonly part: readonly [number, 0 | 1] | null;
}

const unpacked = (bytes: Uint8Array, codec: string): string =>
  (codec === "br" ? brotliDecompressSync(bytes) : Buffer.from(bytes)).toString("utf8");

export function decodeSnapshot(file: Uint8Array): DecodedSnapshot {
  const buffer = Buffer.from(file);
  const length = buffer.readUInt32LE(buffer.length - 16);
  const footer = JSON.parse(buffer.subarray(buffer.length - 16 - length, buffer.length - 16).toString("utf8")) as {
    codec: string;
    base: number;
    seq: number;
    operatorVersion: number;
    keys: number;
    dedup: { first: number; last: number };
    state: Block[];
    prints: Block[];
    answers: Block[];
    quarantine: Block[];
    part?: [number, 0 | 1];
  };
  const lines = (blocks: readonly Block[]): string[] =>
    blocks.flatMap(([offset, size]) => unpacked(buffer.subarray(offset, offset + size), footer.codec).split("\n"));
  return {
    base: footer.base,
    seq: footer.seq,
    part: footer.part ?? null,
    operatorVersion: footer.operatorVersion,
    keys: footer.keys,
    entries: lines(footer.state).map((line) => {
      const [key, seq, stamp, ...rest] = line.split("\t");
      const version = rest[0]?.startsWith("v") === true ? { version: Number(rest.shift()!.slice(1)) } : {};
      const timers =
        rest[0]?.startsWith("@") === true ? { timers: JSON.parse(rest.shift()!.slice(1)) as [string, number][] } : {};
      const entry = { text: rest.join("\t"), seq: Number(seq), stamp: Number(stamp), ...version, ...timers };
      return [JSON.parse(key!) as string, rest.length === 0 ? null : entry] as const;
    }),
    dedup: {
      first: footer.dedup.first,
      last: footer.dedup.last,
      prints: footer.prints.reduce((sum, [, size]) => sum + size / 24, 0),
    },
    answers: new Map(
      lines(footer.answers).map((line) => {
        const tab = line.indexOf("\t");
        return [Number(line.slice(0, tab)), outcomeFrom(line.slice(tab + 1))!];
      }),
    ),
    quarantine: lines(footer.quarantine).map((line) => JSON.parse(line) as DecodedSnapshot["quarantine"][number]),
    text: lines([...footer.state, ...footer.quarantine]).join("\n"),
  };
}

export interface ArchivedRow {
  readonly seq: number;
  readonly last: number;
  readonly stamp: number;
  readonly epoch: number;
  readonly group: string;
  readonly payload: string;
}

/** The rows in a manifest's object. */
export function decodeArchive(file: Uint8Array): ArchivedRow[] {
  const buffer = Buffer.from(file);
  const end = buffer.indexOf(10) + 1;
  const { archive } = JSON.parse(buffer.subarray(0, end).toString("utf8")) as {
    archive: { codec: string; blocks: [number, number, number, number, number][] };
  };
  return archive.blocks.flatMap(([offset, size]) => {
    const text = unpacked(buffer.subarray(end + offset, end + offset + size), archive.codec);
    return (JSON.parse(text) as unknown[][]).map((row) => ({
      seq: row[0] as number,
      last: row[1] as number,
      stamp: row[2] as number,
      epoch: row[3] as number,
      group: row[4] as string,
      payload: row[11] as string,
    }));
  });
}

/** The text of the manifest that an object of R2 begins with. */
export const manifestIn = (file: Uint8Array): string => {
  const buffer = Buffer.from(file);
  return buffer.subarray(0, buffer.indexOf(10)).toString("utf8");
};

/** The files that a manifest's text reads its state from, in their order. */
export function filesOf(manifest: string): string[] {
  const { chain = [], snapshot } = JSON.parse(manifest) as { chain?: { name: string }[]; snapshot: { name: string } };
  return [...chain, snapshot].map(({ name }) => name);
}

/** The snapshot files that a partition's row reaches. */
export function reached(row: {
  readonly manifest: string | null;
  readonly previous: string | null;
  readonly pins: string;
}): Set<string> {
  const pins = (JSON.parse(row.pins) as string[]).filter((text) => !text.includes("keyframe.roots"));
  const texts = [row.manifest, row.previous, ...pins];
  return new Set(texts.filter((text) => text !== null).flatMap(filesOf));
}
