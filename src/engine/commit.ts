/**
 * Committing one group: the append is sent until it is proven to be in the log, or proven never to get there (LOG3).
 *
 * C0. A writer without an epoch takes the next one with its first append: if the one that it opened with still holds, and nothing was
 *     logged since (LOG2).
 * C1. An error or a time-out proves nothing: the same rows are sent again.
 * C2. A refusal is explained by one read. Our nonce at our seq: committed, with the stamp of that row, though another
 *     writer may have come after it. The floor alone in
 *     the way: stamped anew; the old statement stays refused for ever. Less than D1 had acknowledged: it was set back
 *     (rewound.ts). Anything else: we are not the writer any more.
 * C3. It ends only with a proof, or when its object has ended; its callers have deadlines of their own. Attempts are
 *     spaced by a bounded backoff.
 */
import { messageOf } from "./errors.ts";
import { seq, stamp as asStamp, type Epoch, type Stamp } from "./ids.ts";
import type { Clock, Explanation, Host, Log } from "./ports.ts";
import { lostSince } from "./rewound.ts";
import type { Segment } from "./segment.ts";
import { nextStamp } from "./stamp.ts";
import { backoffMs, limited, sleep } from "./store-call.ts";

export type Committed =
  /** `stamp` is that of the first row; each further row has the next one. `superseded`: by whom, since then. */
  | { readonly tag: "committed"; readonly stamp: Stamp; readonly superseded: string | null }
  | { readonly tag: "fenced"; readonly why: string }
  /** D1 has less than it had acknowledged to us. */
  | { readonly tag: "rewound"; readonly why: string };

/** What a refused append means. */
export type Verdict = Committed | { readonly tag: "restamp"; readonly above: Stamp } | { readonly tag: "again" };

/** Decides from facts alone (C2). `held`: the epoch that had to hold. */
export function judge(rows: readonly Segment[], held: Epoch, facts: Explanation): Verdict {
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

export async function commit(
  log: Log,
  clock: Clock,
  host: Host,
  group: readonly Segment[],
  held: Epoch,
  ended: () => boolean,
): Promise<Committed> {
  let rows = group;
  for (let attempt = 0; ; attempt++) {
    if (ended()) return { tag: "fenced", why: "the object has ended" };
    let facts: Explanation | null = null;
    try {
      const sent = rows;
      if ((await limited(clock, "D1", () => log.append(sent, held))) === "appended")
        return { tag: "committed", stamp: rows[0]!.stamp, superseded: null };
      facts = await limited(clock, "D1", () => log.explain(sent[0]!.seq));
    } catch (error) {
      // Only what went wrong for long is worth a line.
      if (attempt % 10 === 1)
        host.note("commit is not answered", { seq: rows[0]!.seq, attempt, error: messageOf(error) });
    }
    // Out of the try: what breaks here is no failure of the store, and would break again for ever.
    const verdict = facts === null ? null : judge(rows, held, facts);
    if (verdict?.tag === "restamp") rows = stamped(rows, nextStamp(verdict.above, clock.now()));
    else if (verdict !== null && verdict.tag !== "again") return verdict;
    await sleep(clock, backoffMs(attempt, host));
  }
}

/** The rows with rising stamps from `first` on. */
export function stamped(rows: readonly Segment[], first: Stamp): Segment[] {
  return rows.map((row, i) => ({ ...row, stamp: asStamp(first + i) }));
}
