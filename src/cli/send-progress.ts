/**
 * How far a file was sent, in a file beside it, so that a run that was killed goes on where it was.
 *
 * G1. It is written after each batch, whole and under its name in one step: after a kill it says what was decided, or less.
 * G2. It is bound to the app's address and to what was sent: neither another app nor another file is taken for the same.
 * G3. It is removed when all is decided.
 */
import { open, readFile, rename, rm } from "node:fs/promises";
import { InputError, type Position } from "./send-input.ts";
import type { Summary } from "./send-summary.ts";

export interface Progress {
  readonly format: "keyframe-progress";
  readonly version: 1;
  readonly url: string;
  /** What ids are made of where lines have none; null: none was needed. */
  readonly key: string | null;
  readonly position: Position;
  readonly summary: Summary;
}

/** Null: there is none. @throws InputError where there is one that can't be gone on with */
export async function readProgress(path: string, url: string): Promise<Progress | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  const progress = parse(text);
  if (progress === null)
    throw new InputError(`${path} is no progress file of this version; remove it to send from the beginning`);
  if (progress.url !== url)
    throw new InputError(`${path} is about ${progress.url}, not ${url}; remove it to send from the beginning`);
  return progress;
}

function parse(text: string): Progress | null {
  try {
    const value = JSON.parse(text) as Progress;
    const { bytes, events, lines } = value.position;
    const whole = [bytes, events, lines].every((n) => Number.isSafeInteger(n) && n >= 0);
    const known = value.format === "keyframe-progress" && value.version === 1;
    return known && whole && typeof value.summary === "object" ? value : null;
  } catch {
    return null;
  }
}

export async function writeProgress(path: string, progress: Progress): Promise<void> {
  const draft = `${path}.new`;
  const file = await open(draft, "w");
  try {
    await file.writeFile(`${JSON.stringify(progress)}\n`);
    // Else a power cut could leave an empty file under the name.
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

export async function removeProgress(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}.new`, { force: true });
}
