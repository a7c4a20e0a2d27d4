/**
 * The keys whose states differ between two moments: an iterator over the lines of `GET /v1/diff`.
 *
 * CLIENT4. The last line says that the answer is complete. If it breaks off, the iterator throws, so nobody takes a part
 *     for the whole. It can't be resumed: ask again with the stamps that the moments meant.
 */
import { isWholeNumber, keyframeErrorOf, lacking, membersOf, passes } from "./answer.ts";
import type { Calling } from "./calling.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { momentText, type MomentLike } from "./moment.ts";
import { StreamedAnswer } from "./streamed.ts";

export interface DiffOptions {
  /** A moment. It may be the later one. */
  readonly from: MomentLike;
  /** The other moment. Default: now. */
  readonly to?: MomentLike;
  readonly prefix?: string;
  readonly key?: string;
}

/** A key whose state differs. A state is null if the key has none. */
export interface DiffEntry<State> {
  readonly operator: string;
  readonly key: string;
  readonly from: State | null;
  readonly to: State | null;
  readonly partition: number;
}

/** The end of a diff: the stamps that the moments meant. */
export interface DiffEnd {
  readonly from: number;
  readonly to: number;
  readonly keys: number;
  /** False if another version of the operator applied events that were read. */
  readonly exact: boolean;
}

/** `operator`: null for all. @throws KeyframeError, after all other keys if states can't be migrated */
export async function* diffEntries<State>(
  calling: Calling,
  { from, to, prefix, key }: DiffOptions,
  operator: string | null,
): AsyncGenerator<DiffEntry<State>, DiffEnd> {
  const query = new URLSearchParams({ from: momentText(from) });
  if (to !== undefined) query.set("to", momentText(to));
  if (operator !== null) query.set("operator", operator);
  if (prefix !== undefined) query.set("prefix", prefix);
  if (key !== undefined) query.set("key", key);
  let head: Members | null = null;
  let unmigrated: string | null = null;
  let keys = 0;
  for await (const line of linesOf(calling, `/v1/diff?${query.toString()}`)) {
    if (head === null) head = headOf(line);
    else if (line["end"] === true) {
      const end = endOf(head, line, keys);
      if (unmigrated !== null) throw new KeyframeError("migration_failed", unmigrated);
      return end;
    } else {
      keys += 1;
      if ("fromVersion" in line || "toVersion" in line)
        unmigrated ??= `the state of key ${JSON.stringify(line["key"])} can't be migrated`;
      else yield entryOf<State>(line);
    }
  }
  throw brokeOff(keys, "there is no last line");
}

type Members = Readonly<Record<string, unknown>>;

const brokeOff = (keys: number, why: string): KeyframeError =>
  new KeyframeError("diff_interrupted", `the diff broke off after ${keys} keys: ${why}`);

function headOf(line: Members): Members {
  const { format, v, from, to } = line;
  if (format === "keyframe.diff" && v === 1 && isWholeNumber(from) && isWholeNumber(to)) return line;
  throw new KeyframeError("unexpected_answer", "the first line isn't that of a diff in version 1");
}

function endOf({ from, to }: Members, { complete, detail, keys, exact }: Members, found: number): DiffEnd {
  if (complete !== true) throw brokeOff(found, String(detail));
  if (keys !== found) throw brokeOff(found, `the app counted ${String(keys)} keys`);
  return { from: from as number, to: to as number, keys: found, exact: exact !== false };
}

const ENTRY = { operator: "a text", key: "a text", from: "anything", to: "anything", partition: "a number" } as const;

function entryOf<State>(line: Members): DiffEntry<State> {
  const flaw = lacking(ENTRY, line, "");
  if (flaw !== null) throw new KeyframeError("unexpected_answer", `a line that isn't Keyframe's: ${flaw}`);
  return line as unknown as DiffEntry<State>;
}

const SILENCE_MS = 120_000;

/** Yields the lines of an answer. Asks again only until the answer begins. */
async function* linesOf({ http, patience: begin }: Calling, path: string): AsyncGenerator<Members, void> {
  const patience = begin();
  const stop = new AbortController();
  try {
    for (;;) {
      const answer = new StreamedAnswer(http, { method: "GET", path }, "application/x-ndjson", SILENCE_MS);
      let rest = "";
      let keys = -1;
      for await (const text of answer.texts(stop.signal)) {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          yield parsed(line);
          keys += 1;
        }
      }
      const { heard, end } = answer;
      if (heard) throw brokeOff(Math.max(0, keys), end.tag === "none" ? end.why : "the stream ended");
      if (end.tag !== "none" && !passes(end)) throw keyframeErrorOf(end);
      await patience.wait(end);
    }
  } finally {
    stop.abort();
  }
}

function parsed(line: string): Members {
  try {
    return membersOf(JSON.parse(line));
  } catch {
    throw new KeyframeError("unexpected_answer", `a line that isn't JSON: ${line.slice(0, 100)}`);
  }
}
