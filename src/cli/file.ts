/** Recognises a file of Keyframe's by its first bytes, or by its name, since the first bytes may be corrupt. */
import { readFileSync } from "node:fs";
import { MAGIC } from "../engine/snapshot/file-footer.ts";
import { CommandError } from "./command.ts";

export interface StoredFile {
  readonly name: string;
  readonly kind: "snapshot" | "manifest";
  readonly bytes: Uint8Array;
}

export function openFile(name: string): StoredFile {
  const bytes = new Uint8Array(readFileSync(name));
  const kind = kindOf(name, bytes);
  if (kind === null)
    throw new CommandError(
      `${name} isn't a file of Keyframe: it doesn't begin with ${MAGIC}, and its name doesn't end with .kfs or .kfm`,
    );
  return { name, kind, bytes };
}

function kindOf(name: string, bytes: Uint8Array): StoredFile["kind"] | null {
  const begin = String.fromCharCode(...bytes.subarray(0, MAGIC.length));
  if (begin === MAGIC || name.endsWith(".kfs")) return "snapshot";
  return begin.startsWith("{") || name.endsWith(".kfm") ? "manifest" : null;
}
