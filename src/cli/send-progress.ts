/**
 * The progress of sending a file, in a file beside it: the decided position, the batch under way, and the key for ids.
 *
 * SENDPROGRESS1. The file is replaced atomically before each batch and after it. After a kill it says what was decided,
 *     or less, and which undecided lines may count.
 * SENDPROGRESS2. The file is bound to the app's address, the timeline and the bytes that were sent, so that another app,
 *     timeline or file is noticed.
 * SENDPROGRESS3. Lines without an id get theirs from the key in the progress file, even after the input has grown. So
 *     the progress file stays when all is decided, unless all lines have ids of their own.
 * SENDPROGRESS4. The file has a checksum: a corrupt key would make new ids, and lines would count twice.
 */
import { createHash, randomUUID } from "node:crypto";
import { link, open, readFile, rename, rm } from "node:fs/promises";
import { messageOf } from "../engine/base/errors.ts";
import { InputError, type Mark, type Position } from "./send-input.ts";
import type { Summary } from "./send-summary.ts";

export interface Progress {
  readonly url: string;
  /** The key for ids of lines without one, or null if none was needed so far. */
  readonly key: string | null;
  /** Everything before this position is decided. */
  readonly position: Position;
  /** The end of the batch under way, which may count, or null if there is none. */
  readonly sending: Mark | null;
  readonly summary: Summary;
}

const FORMAT = "keyframe-progress";
const VERSION = 1;

export class ProgressFile {
  readonly path: string;
  readonly #url: string;
  /** The file exists, and this run may replace it. */
  #there = false;

  constructor(path: string, url: string) {
    this.path = path;
    this.#url = url;
  }

  /**
   * Returns null if there is no file.
   * @throws InputError if the file can't be used
   */
  async read(): Promise<Progress | null> {
    let text: string;
    try {
      text = await readFile(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
    const progress = parse(text);
    if (typeof progress === "string")
      throw new InputError(
        `${this.path} records what was sent, but ${progress}. Without the record, lines that have no id would count again: remove it only if nothing was sent, or if every line has an id`,
      );
    if (progress.url !== this.#url)
      throw new InputError(
        `${this.path} is about ${progress.url}, not ${this.#url}; for another app or timeline name another one with --resume-file`,
      );
    this.#there = true;
    return progress;
  }

  /** @throws InputError if another run has begun with the same file meanwhile */
  async write(progress: Omit<Progress, "url">): Promise<void> {
    const draft = `${this.path}.${randomUUID().slice(0, 8)}.new`;
    const file = await open(draft, "w").catch((error: unknown) => {
      throw new InputError(
        `the progress can't be recorded: ${messageOf(error)}; name a writable file with --resume-file`,
      );
    });
    try {
      await file.writeFile(textOf({ url: this.#url, ...progress }));
      // Without this, a power cut could leave an empty file under the name.
      await file.datasync();
    } finally {
      await file.close();
    }
    if (this.#there || !(await this.#claim(draft))) await rename(draft, this.path);
    this.#there = true;
  }

  /** Keeps two runs that begin at once from making ids of two keys. Returns false if the file system has no links. */
  async #claim(draft: string): Promise<boolean> {
    try {
      await link(draft, this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
      await rm(draft, { force: true });
      throw new InputError(`another run has begun to send it, and writes ${this.path}; start again`);
    }
    await rm(draft, { force: true });
    return true;
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

function textOf(progress: Progress): string {
  const { url, key, position, sending, summary } = progress;
  const body = JSON.stringify({ format: FORMAT, version: VERSION, url, key, position, sending, summary });
  return `${body.slice(0, -1)},"sha256":"${digest(body)}"}\n`;
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Returns the file's progress, or the reason why it can't be used. */
function parse(text: string): Progress | string {
  const found = /^(\{.*),"sha256":"([0-9a-f]{64})"\}\n?$/.exec(text);
  if (found === null) return "it is corrupt, or isn't a record";
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(`${found[1]}}`) as Record<string, unknown>;
  } catch {
    return "it is corrupt";
  }
  const { format, version, ...progress } = value;
  if (format !== FORMAT || version !== VERSION) return "it isn't of this version";
  return found[2] === digest(`${found[1]}}`)
    ? (progress as unknown as Progress)
    : "it is corrupt: its checksum is wrong";
}
