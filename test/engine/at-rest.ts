/** Files and rows for the tests of what stands at rest, and every way in which a small file can be damaged. */
import { brotli } from "../../src/adapters/brotli.ts";
import { Damage, Failure } from "../../src/engine/base/errors.ts";
import { epoch, seq, stamp, type PartitionId } from "../../src/engine/base/ids.ts";
import type { Outcome } from "../../src/engine/log/outcome.ts";
import { sealPayload, SEGMENT_FORMAT, SegmentWriter } from "../../src/engine/log/segment.ts";
import type { Segment } from "../../src/engine/base/records.ts";

export const ID: PartitionId = { line: 1, operator: "notes", partition: 3 };

export interface Sent {
  readonly text: string;
  readonly key: string;
  readonly ms: number;
  readonly outcome?: Outcome;
  /** Of a request whose first event in the row this one is. */
  readonly mark?: readonly [id: string, epoch: number, number: number, index: number];
}

/** The row that holds these events from `first` on. */
export function rowOf(first: number, events: readonly Sent[], more: Partial<Segment> = {}): Segment {
  const writer = new SegmentWriter(seq(first));
  for (const { text, key, ms, outcome, mark } of events) {
    writer.body(text, Buffer.byteLength(text));
    writer.event(key, ms);
    if (outcome !== undefined) writer.outcome(outcome);
    if (mark !== undefined) writer.mark([...mark, writer.last]);
  }
  return {
    format: SEGMENT_FORMAT,
    seq: writer.first,
    last: writer.last,
    stamp: stamp(first * 1024),
    epoch: epoch(1),
    group: `group-${first}`,
    operatorVersion: 1,
    code: "code",
    stats: "",
    ...sealPayload(writer.payload(), writer.bytes, brotli),
    ...more,
  };
}

/** The file with each of its bits flipped, one at a time, and cut off at each length. */
export function* damaged(file: Uint8Array): Generator<readonly [what: string, file: Uint8Array]> {
  for (let at = 0; at < file.length; at++)
    for (let bit = 0; bit < 8; bit++) yield [`bit ${bit} of byte ${at}`, file.with(at, file[at]! ^ (1 << bit))];
  for (let length = 0; length < file.length; length++) yield [`only ${length} bytes`, file.subarray(0, length)];
}

/**
 * Reads every damaged copy; gives the names of the errors that there were. A copy may be read only where it says the same.
 * @throws where one was read as something else, or failed without a name
 */
export function outcomesOf<T>(
  file: Uint8Array,
  read: (file: Uint8Array) => T,
  same: (read: T) => boolean,
): Set<string> {
  const names = new Set<string>();
  for (const [what, copy] of damaged(file)) {
    try {
      if (!same(read(copy))) throw new Error(`${what}: read as something else`);
      names.add("same");
    } catch (error) {
      if (error instanceof Damage) names.add("Damage");
      else if (error instanceof Failure) names.add(error.code);
      else throw new Error(`${what}: ${String(error)}`, { cause: error });
    }
  }
  return names;
}
