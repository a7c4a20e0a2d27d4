import { type Epoch, incarnationOf, seq, type Seq, type Stamp, stamp as asStamp } from "../base/ids.ts";
import type { Explanation, HighWaterMark, PartitionRow, Segment } from "../base/records.ts";

export type ReadVerdict =
  | { readonly tag: "fresh" }
  /** What D1 has more is our own first group, which will be heard of. */
  | { readonly tag: "ours" }
  /** Others have written since it was opened. */
  | { readonly tag: "behind" }
  | { readonly tag: "fenced"; readonly why: string }
  | { readonly tag: "rewound"; readonly why: string };

/**
 * `ours`: the epoch; null: none yet. `before`: what was known when D1 was asked. `groups`: those that aren't in the log yet, as far as
 * is known.
 */
export function judgeRead(
  known: Explanation,
  ours: Epoch | null,
  before: LogFacts,
  groups: { readonly begun: boolean; isOurs(group: string | null): boolean },
): ReadVerdict {
  const lost = lostSince(before, known);
  if (lost !== null) return { tag: "rewound", why: `D1 says ${lost}` };
  // Only we can have written.
  if (ours !== null) return known.epoch === ours ? { tag: "fresh" } : { tag: "fenced", why: supersededBy(ours, known) };
  // A late snapshot of the writer before takes nothing from our groups.
  if (known.head === before.head && (groups.begun || known.version === before.version)) return { tag: "fresh" };
  if (groups.isOurs(known.group)) return { tag: "ours" };
  if (!groups.begun) return { tag: "behind" };
  // The groups build on less, so they never get there.
  return { tag: "fenced", why: `others have written up to seq ${known.head}, manifest number ${known.version}` };
}

export type LogFacts = Pick<HighWaterMark, "epoch" | "version" | "head">;

/** What D1 has less than the mark says, in words; null: nothing (E1). */
export function behind(mark: HighWaterMark, now: LogFacts): string | null {
  if (incarnationOf(now.epoch) > incarnationOf(mark.epoch)) return null;
  const less = (["epoch", "version", "head"] as const).filter((fact) => now[fact] < mark[fact]);
  if (less.length === 0) return null;
  return less.map((fact) => `${WORDS[fact]} ${now[fact]} where it had reached ${mark[fact]}`).join(", ");
}

const WORDS = { epoch: "epoch", version: "manifest number", head: "seq" } as const;

/** The facts of a row. `head`: of the log at the same moment. */
export const logFacts = ({ epoch: held, version }: PartitionRow, head: Seq): LogFacts => ({
  epoch: held,
  version,
  head,
});

/** What a living object finds when it asks D1: less than `ours`, which D1 had acknowledged to it? */
export const lostSince = (ours: LogFacts, { epoch: held, version, head }: Explanation): string | null =>
  behind({ v: 1, ...ours }, { epoch: held, version, head });

export const highWaterMark = (facts: LogFacts): HighWaterMark => ({ v: 1, ...facts });

export type Committed =
  /** `stamp` is that of the first row; each further row has the next one. `superseded`: by whom, since then. */
  | { readonly tag: "committed"; readonly stamp: Stamp; readonly superseded: string | null }
  | { readonly tag: "fenced"; readonly why: string }
  /** D1 has less than it had acknowledged to us. */
  | { readonly tag: "rewound"; readonly why: string };

/** What a refused append means. */
export type AppendVerdict = Committed | { readonly tag: "restamp"; readonly above: Stamp } | { readonly tag: "again" };

/** Decides from facts alone (C2). `held`: the epoch that had to hold. */
export function judgeAppend(rows: readonly Segment[], held: Epoch, facts: Explanation): AppendVerdict {
  const first = rows[0]!;
  const unless = (ours: Epoch): string | null => (facts.epoch === ours ? null : supersededBy(ours, facts));
  if (facts.group === first.group && facts.stamp !== null)
    return { tag: "committed", stamp: facts.stamp, superseded: unless(first.epoch) };
  const rewound = lostSince({ epoch: held, version: 0, head: seq(first.seq - 1) }, facts);
  if (rewound !== null) return { tag: "rewound", why: `D1 says ${rewound}` };
  const superseded = unless(held);
  if (superseded !== null) return { tag: "fenced", why: superseded };
  if (facts.group !== null) return { tag: "fenced", why: `another group stands at seq ${first.seq}` };
  if (facts.head !== first.seq - 1)
    return { tag: "fenced", why: `the log's head is ${facts.head}, our group begins at ${first.seq}` };
  if (!facts.open) return { tag: "fenced", why: "the timeline is not open for writing" };
  const above = asStamp(Math.max(facts.floor, facts.headStamp));
  if (first.stamp <= above) return { tag: "restamp", above };
  // Nothing is in the way now: what refused it has changed in between.
  return { tag: "again" };
}

export const supersededBy = (ours: Epoch, { epoch, writer }: Pick<Explanation, "epoch" | "writer">): string =>
  `epoch ${ours} was superseded by epoch ${epoch} of writer ${writer}`;
