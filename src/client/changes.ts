/**
 * The changes of an operator's states: an iterator over the pages of `GET /v1/operators/{op}/changes`.
 *
 * FOLLOW1. A page is given whole, with the cursor behind it. Who stores both in one transaction takes in each change
 *     exactly once. A page that broke off is read again.
 * FOLLOW2. The signal ends the iterator without an error, and so does leaving the loop. A lasting failure is thrown:
 *     `moment_gone` and `line_parted` mean that the reader must begin anew.
 */
import { keyframeErrorOf, lacking, membersOf, passes, type Call } from "./answer.ts";
import type { Calling } from "./calling.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { momentText, type MomentLike } from "./moment.ts";
import { StreamedAnswer } from "./streamed.ts";

export interface ChangesOptions {
  /** The cursor of a page or of a change, or a moment. Default: from the first change on. */
  readonly after?: MomentLike;
  /** Only keys that begin with this. */
  readonly prefix?: string;
  /** Changes of a page, up to 10,000. */
  readonly limit?: number;
  /** False ends the loop when there are no more changes. Default: it waits for further ones. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

/** The state that an event left. */
export interface ChangeEntry<State> {
  readonly key: string;
  /** Null if the key has no state any more. */
  readonly value: State | null;
  readonly partition: number;
  readonly seq: number;
  readonly stamp: number;
  /** The logged time, RFC 3339. */
  readonly time: string;
  readonly event: { readonly type: string; readonly id: string; readonly source: string };
  /** The cursor behind this change. */
  readonly cursor: string;
}

export interface ChangesBatch<State> {
  readonly changes: readonly ChangeEntry<State>[];
  /** The cursor behind all of them. It may move though there is no change. */
  readonly cursor: string;
  /** False if another version of the operator applied events that were read. */
  readonly exact: boolean;
}

/** @throws KeyframeError */
export async function* changeBatches<State>(
  calling: Calling,
  path: string,
  { after, prefix, limit, follow = true, signal }: ChangesOptions,
): AsyncGenerator<ChangesBatch<State>, void> {
  const query = new URLSearchParams();
  if (limit !== undefined) query.set("limit", String(limit));
  if (prefix !== undefined) query.set("prefix", prefix);
  if (follow) query.set("wait", String(WAIT_SEC));
  let cursor = after === undefined ? null : momentText(after);
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  if (signal?.aborted) return;
  signal?.addEventListener("abort", abort);
  try {
    for (;;) {
      if (cursor !== null) query.set("after", cursor);
      const page = await pageOf(calling, `${path}/changes?${query.toString()}`, stop.signal);
      if (page === null) return;
      const batch = batchOf<State>(page);
      if (batch.changes.length > 0 || batch.cursor !== cursor) yield batch;
      ({ cursor } = batch);
      if (stop.signal.aborted || (!follow && !page.more)) return;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    stop.abort();
  }
}

/** Seconds that the app may wait for a change. */
const WAIT_SEC = 30;

/** The app is silent while it waits. */
const SILENCE_MS = 65_000;

interface Page {
  readonly lines: readonly string[];
  readonly end: Readonly<Record<string, unknown>>;
  readonly more: boolean;
}

/** Returns the lines of a whole answer, or null after the signal. Asks again after a passing failure. */
async function pageOf({ http, patience: begin }: Calling, path: string, stop: AbortSignal): Promise<Page | null> {
  const patience = begin();
  const call: Call = { method: "GET", path };
  for (;;) {
    const answer = new StreamedAnswer(http, call, "application/x-ndjson", SILENCE_MS);
    const texts: string[] = [];
    for await (const text of answer.texts(stop)) texts.push(text);
    if (stop.aborted) return null;
    const [head, ...lines] = texts
      .join("")
      .split("\n")
      .filter((line) => line !== "");
    const end = head === undefined ? null : endOf(head, lines.pop());
    if (end !== null) return { lines, end, more: end["more"] === true };
    const { end: failed } = answer;
    if (failed.tag !== "none" && !passes(failed)) throw keyframeErrorOf(failed);
    await patience.wait(failed, 0, stop);
    if (stop.aborted) return null;
  }
}

/** Returns null if the answer broke off before its last line. @throws KeyframeError if it isn't a page of changes */
function endOf(head: string, last: string | undefined): Readonly<Record<string, unknown>> | null {
  const { format, v } = parsed(head) ?? {};
  if (format !== "keyframe.changes" || v !== 1)
    throw new KeyframeError("unexpected_answer", "the first line isn't that of changes in version 1");
  const end = last === undefined ? null : parsed(last);
  return end?.["end"] === true && typeof end["cursor"] === "string" ? end : null;
}

function batchOf<State>({ lines, end }: Page): ChangesBatch<State> {
  const changes = lines.map((line) => entryOf<State>(parsed(line) ?? {}));
  return { changes, cursor: end["cursor"] as string, exact: end["exact"] !== false };
}

const ENTRY = {
  key: "a text",
  value: "anything",
  partition: "a number",
  seq: "a number",
  stamp: "a number",
  time: "a text",
  event: { type: "a text", id: "a text", source: "a text" },
  cursor: "a text",
} as const;

function entryOf<State>(line: Readonly<Record<string, unknown>>): ChangeEntry<State> {
  if ("unmigrated" in line)
    throw new KeyframeError("migration_failed", `the state of key ${JSON.stringify(line["key"])} can't be migrated`);
  const flaw = lacking(ENTRY, line, "");
  if (flaw !== null) throw new KeyframeError("unexpected_answer", `a line that isn't Keyframe's: ${flaw}`);
  return line as unknown as ChangeEntry<State>;
}

/** Returns null if the line isn't JSON: it was cut. */
function parsed(line: string): Readonly<Record<string, unknown>> | null {
  try {
    return membersOf(JSON.parse(line));
  } catch {
    return null;
  }
}
