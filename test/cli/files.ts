/** Files to look at: the golden ones, copies of them that are damaged, and snapshots that a test makes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { brotli } from "../../src/adapters/brotli.ts";
import { StateMachine } from "../../src/engine/state/state-machine.ts";
import { seq, stamp } from "../../src/engine/base/ids.ts";
import { capture } from "../engine/fakes/capture.ts";
import type { KeyEntry } from "../../src/engine/state/keyed-state.ts";
import { golden, GOLDEN, ID, SEED } from "../golden/decode.ts";
import { encodeSnapshot } from "../engine/snapshot/whole-file.ts";

/** The newest version of a golden file. */
export const goldenFile = (name: string): string => path.join(GOLDEN, "v1", name);

export class Folder {
  readonly path = mkdtempSync(path.join(tmpdir(), "keyframe-cli-"));

  write(name: string, bytes: Uint8Array): string {
    const file = path.join(this.path, name);
    writeFileSync(file, bytes);
    return file;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}

/**
 * A full snapshot without ids, or a delta on the one at `base`. A state is null if the key is gone. `keys`: what a
 * delta says of the whole state.
 */
export function snapshotOf(
  states: Readonly<Record<string, unknown>>,
  base = 0,
  at = base + 9,
  keys = Object.keys(states).length,
): Promise<Uint8Array> {
  const entries = Object.entries(states).map(([key, value]): [string, KeyEntry | null] => [
    key,
    value === null ? null : { text: JSON.stringify(value), seq: seq(at), stamp: stamp(1024) },
  ]);
  const empty = capture(new StateMachine(golden, SEED));
  const captured = {
    ...empty,
    base: seq(base),
    seq: seq(at),
    stamp: stamp(1024),
    totals: { ...empty.totals, keys },
    entries,
    // Their ids are forgotten.
    dedup: { ...empty.dedup, first: at + 1, last: at, minutes: [[0, at] as const] },
  };
  return encodeSnapshot(ID, captured, brotli, () => Promise.resolve());
}
