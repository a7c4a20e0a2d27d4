/**
 * Adopting: somebody decides with what a partition goes on whose database was set back (rewound.ts), and what is given up for that.
 *
 * A1. `d1`: D1's present is the truth, row and log as they stand. `r2`: the newest snapshot that R2 gives back (salvage.ts), and D1's
 *     log goes.
 * A2. Either way the row begins a new life with a version above all that D1, R2 or the mark know of (Z4): what is given up never
 *     comes back, neither by a writer nor from an archive (lives.ts). D1's log above its snapshot stays with `d1`, and the first
 *     manifest of the new life archives all of it, so older archives count below that (L1).
 * A3. What isn't set back is left alone.
 */
import { readOrNull } from "./pins.ts";
import { attemptOf, epoch, lifeOf, nextLife, seq, type Seq } from "./ids.ts";
import { emptyRow } from "./open.ts";
import { pointOf, type Manifest } from "./manifest.ts";
import type { Opening, PartitionRow, Point } from "./ports.ts";
import { behind, factsAt, markFromStore, type Mark } from "./rewound.ts";
import { salvage, topOf, type Top } from "./salvage.ts";
import type { Library } from "./object-ranges.ts";
import type { Surroundings } from "./recovery.ts";

export type Truth = "d1" | "r2";

/** What D1 and the partition's own object say now. `opening` is null where there is no row. */
export interface Situation {
  readonly opening: Opening | null;
  readonly mark: Mark | null;
}

export type Adopted =
  | {
      readonly tag: "row";
      readonly row: PartitionRow;
      /** It goes on after this event. */
      readonly seq: Seq;
      readonly manifest: number | null;
      /** Events that were in the log once, as far as is known, and manifests above the one that counts now. */
      readonly givenUp: { readonly seqs: Range | null; readonly manifests: Range | null };
      readonly passedOver: readonly string[];
      /**
       * What becomes of D1's restore points and pins: those up to a manifest's number stay. What was current until then, and somebody
       * may have pinned, becomes a restore point, as with a snapshot.
       */
      readonly roots: { readonly upTo: number; readonly displaced: Point | null };
    }
  | { readonly tag: "not_rewound" }
  | { readonly tag: "nothing" }
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

export type Range = readonly [from: number, to: number];

/** Decides; nothing is written here. @throws Failure where R2 doesn't answer, or newer code could read what it holds */
export async function adopt(
  around: Library & Pick<Surroundings, "operator">,
  { opening, mark }: Situation,
  truth: Truth,
  seed: number,
): Promise<Adopted> {
  const row = opening?.row ?? emptyRow(seed);
  const head = opening?.head ?? seq(0);
  const known = [mark, await markFromStore(around, row)].filter((one) => one !== null);
  if (!known.some((one) => behind(one, factsAt(row, head)) !== null)) return { tag: "not_rewound" };
  const top = topOfAll(row, known, await topOf(around));
  const reached = Math.max(head, ...known.map((one) => one.head));
  const current = row.manifest === null ? null : readOrNull(row.manifest, around.codec);
  if (truth === "d1") {
    return {
      tag: "row",
      row: { ...row, epoch: nextLife(top.epoch), version: top.version },
      seq: head,
      manifest: current?.number ?? null,
      givenUp: { seqs: above(head, reached), manifests: above(row.version, top.version) },
      passedOver: [],
      roots: { upTo: row.version, displaced: null },
    };
  }
  const found = await salvage(around, seed, top);
  if (found.tag !== "found") return found;
  const { manifest, passedOver } = found;
  return {
    tag: "row",
    row: found.row,
    seq: manifest.seq,
    manifest: manifest.number,
    givenUp: { seqs: above(manifest.seq, reached), manifests: above(manifest.number, top.version) },
    passedOver,
    roots: rootsAfter(around, row, manifest, current),
  };
}

/** Where a later life has begun since, D1 doesn't know from which of its roots: none of them counts (L1 of lives.ts). */
function rootsAfter(
  { clock }: Pick<Library, "clock">,
  row: PartitionRow,
  manifest: Manifest,
  current: Manifest | null,
): { readonly upTo: number; readonly displaced: Point | null } {
  const { epoch: by } = attemptOf(manifest.attempt)!;
  if (lifeOf(by) > lifeOf(row.epoch)) return { upTo: 0, displaced: null };
  const older = current !== null && current.number < manifest.number;
  return { upTo: manifest.number, displaced: older ? pointOf(current, false, clock.now()) : null };
}

const topOfAll = (row: PartitionRow, known: readonly Mark[], store: Top | null): Top => ({
  version: Math.max(row.version, store?.version ?? 0, ...known.map(({ version }) => version)),
  epoch: epoch(Math.max(row.epoch, store?.epoch ?? 0, ...known.map((one) => one.epoch))),
});

const above = (from: number, to: number): Range | null => (to > from ? [from + 1, to] : null);
