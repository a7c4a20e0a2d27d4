/** Whole snapshot files in memory: written as one, and read at once. The engine itself reads ranges of files. */
import { Damage } from "../../../src/engine/base/errors.ts";
import type { PartitionId } from "../../../src/engine/base/ids.ts";
import { compareUtf8 } from "../../../src/engine/base/json.ts";
import type { Codec } from "../../../src/engine/base/ports.ts";
import { encodeFiles, type Capture } from "../../../src/engine/snapshot/capture.ts";
import { assertReadable, lines, restIn, restoreRest } from "../../../src/engine/snapshot/file-rest.ts";
import { readFooter, type Footer } from "../../../src/engine/snapshot/file-footer.ts";
import { entryOfLine, keyOfLine } from "../../../src/engine/snapshot/record.ts";
import type { KeyEntry } from "../../../src/engine/state/keyed-state.ts";
import type { StateMachine } from "../../../src/engine/state/state-machine.ts";

/** Returns the file of a snapshot that is small enough for one. */
export async function encodeSnapshot(
  id: PartitionId,
  captured: Capture,
  codec: Codec,
  pause: () => Promise<void>,
): Promise<Uint8Array> {
  for await (const { bytes } of encodeFiles(id, captured, [captured.entries], codec, pause)) return bytes;
  throw new Error("a snapshot has at least one file");
}

/**
 * Takes in everything that a whole file in memory holds, on top of the files before it.
 *
 * @throws Damage if the file is corrupt; Failure unknown_format | state_newer if this code can't read it
 */
export function readSnapshot(
  file: Uint8Array,
  machine: StateMachine,
  id: PartitionId,
  codec: Codec,
  idsFrom = 0,
): void {
  const footer = readFooter(file, codec);
  assertReadable(footer, machine.operator, id, codec);
  const changes = [...readStates(file, footer, machine, codec)];
  for (const block of footer.filter ?? []) restIn(file, codec)(block, "the filter");
  restoreRest(footer, restIn(file, codec), machine, codec, idsFrom);
  machine.state.restore(changes);
  if (footer.part?.[1] !== 0 && machine.state.keys !== footer.keys)
    throw new Damage(`the snapshot counts ${footer.keys} keys, but holds ${machine.state.keys}`);
}

/**
 * Yields the states of a whole file in memory, in order. An entry is null if the key is gone.
 *
 * @throws Damage if the file is corrupt
 */
function* readStates(
  file: Uint8Array,
  footer: Footer,
  machine: StateMachine,
  codec: Codec,
): Generator<readonly [string, KeyEntry | null]> {
  const rest = restIn(file, codec);
  let before = "";
  for (const block of footer.state) {
    let first = true;
    for (const line of lines([block], rest, codec, "a state block")) {
      const key = keyOfLine(line);
      if (compareUtf8(before, key) >= 0 || (first && key !== block[4]))
        throw new Damage("the keys of the snapshot are not in order");
      yield [key, entryOfLine(line, footer, machine.operator)];
      before = key;
      first = false;
    }
  }
  if (footer.last !== undefined && footer.last !== before)
    throw new Damage("the last key of the snapshot is not the one that its footer names");
}
