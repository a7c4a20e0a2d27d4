/**
 * The fence: who may write to a partition's log. The condition itself stands in the statements of D1 (`APPEND` and
 * `PROMOTE` of src/adapters/d1-log.ts). Here are the verdicts on what D1 answers: the one file that says "fenced" or
 * "rewound".
 */
import { Failure } from "../base/errors.ts";
import { type Epoch, incarnationOf, seq, type Seq, type Stamp, stamp as asStamp } from "../base/ids.ts";
import type { Explanation, HighWaterMark, PartitionRow, Segment } from "../base/records.ts";

type ReadVerdict =
  | { readonly tag: "fresh" }
  /** D1's further rows are our own first group, whose answer is still to come. */
  | { readonly tag: "ours" }
  /** Others have written since the opening. */
  | { readonly tag: "behind" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/**
 * Judges whether a read from memory is current. `ours`: our epoch, or null if we have none yet. `before`: the facts
 * that were known when D1 was asked. `groups`: our groups that aren't known to be in the log.
 */
export function judgeRead(
  known: Explanation,
  ours: Epoch | null,
  before: LogFacts,
  groups: { readonly begun: boolean; isOurs(group: string | null): boolean },
): ReadVerdict {
  const lost = lostSince(before, known);
  if (lost !== null) return { tag: "rewound", why: `D1 is below its high-water mark: ${lost}` };
  // If the epoch is still ours, nobody else can have written.
  if (ours !== null) {
    const why = superseded(ours, known);
    return why === null ? { tag: "fresh" } : { tag: "fenced", why };
  }
  // A late snapshot of the previous writer takes nothing from our groups.
  if (known.head === before.head && (groups.begun || known.version === before.version)) return { tag: "fresh" };
  if (groups.isOurs(known.group)) return { tag: "ours" };
  if (!groups.begun) return { tag: "behind" };
  // The groups build on an older log or manifest, so they never get into the log.
  return { tag: "fenced", why: `another writer has reached seq ${known.head}, manifest number ${known.version}` };
}

type LogFacts = Pick<HighWaterMark, "epoch" | "version" | "head">;

/** Returns which facts of D1 lie below the mark, in words. Returns null if none does (REWIND1 of rewind-check.ts). */
export function behind(mark: HighWaterMark, now: LogFacts): string | null {
  if (incarnationOf(now.epoch) > incarnationOf(mark.epoch)) return null;
  const less = (["epoch", "version", "head"] as const).filter((fact) => now[fact] < mark[fact]);
  if (less.length === 0) return null;
  return less.map((fact) => `${WORDS[fact]} ${now[fact]} instead of ${mark[fact]}`).join(", ");
}

const WORDS = { epoch: "epoch", version: "manifest number", head: "seq" } as const;

/** Returns the facts of a row. `head`: of the log at the same moment. */
export const logFacts = ({ epoch: held, version }: PartitionRow, head: Seq): LogFacts => ({
  epoch: held,
  version,
  head,
});

/** Returns which facts of D1 lie below `ours`, which D1 had acknowledged to this instance. Returns null if none
 *  does. */
const lostSince = (ours: LogFacts, { epoch: held, version, head }: Explanation): string | null =>
  behind({ v: 1, ...ours }, { epoch: held, version, head });

export const highWaterMark = (facts: LogFacts): HighWaterMark => ({ v: 1, ...facts });

export type Committed =
  /** `stamp`: of the first row, and each further row has the next one. `superseded`: who took the epoch since, if
   *  anybody. */
  | { readonly tag: "committed"; readonly stamp: Stamp; readonly superseded: string | null }
  | { readonly tag: "fenced"; readonly why: string }
  /** D1 has less than it had acknowledged to us. */
  | { readonly tag: "rewound"; readonly why: string };

/** The meaning of a refused append. */
type AppendVerdict = Committed | { readonly tag: "restamp"; readonly above: Stamp } | { readonly tag: "again" };

/** Decides from facts alone (APPEND2 of append.ts). `held`: the epoch that had to hold. */
export function judgeAppend(rows: readonly Segment[], held: Epoch, facts: Explanation): AppendVerdict {
  const first = rows[0]!;
  if (facts.group === first.group && facts.stamp !== null)
    return { tag: "committed", stamp: facts.stamp, superseded: superseded(first.epoch, facts) };
  const rewound = lostSince({ epoch: held, version: 0, head: seq(first.seq - 1) }, facts);
  if (rewound !== null) return { tag: "rewound", why: `D1 is below its high-water mark: ${rewound}` };
  const why = superseded(held, facts);
  if (why !== null) return { tag: "fenced", why };
  if (facts.group !== null) return { tag: "fenced", why: `another group is at seq ${first.seq}` };
  if (facts.head !== first.seq - 1)
    return { tag: "fenced", why: `the log's head is ${facts.head}, but our group begins at ${first.seq}` };
  if (!facts.open) return { tag: "fenced", why: "the line is not open for writing" };
  const above = asStamp(Math.max(facts.floor, facts.headStamp));
  if (first.stamp <= above) return { tag: "restamp", above };
  // Nothing is in the way now, because the cause of the refusal has changed in between.
  return { tag: "again" };
}

type RowEpoch = { readonly epoch: Epoch; readonly writer?: string };

/**
 * Returns null if D1 says that the row still has our epoch, else the reason why we may not write. `now` is null if the
 * row is gone. `during` says what D1 was asked for.
 */
export function superseded(ours: Epoch, now: RowEpoch | null, during = ""): string | null {
  if (now === null) return `the row with epoch ${ours} is gone${during}`;
  const by = now.writer === undefined ? "" : ` of writer ${now.writer}`;
  return now.epoch === ours ? null : `epoch ${ours} was superseded by epoch ${now.epoch}${by}${during}`;
}

/** @throws Failure fenced if the epoch is superseded */
export function assertOurs<Now extends RowEpoch>(ours: Epoch, now: Now | null, during: string): asserts now is Now {
  const why = superseded(ours, now, during);
  if (why !== null) throw new Failure("fenced", why);
}
