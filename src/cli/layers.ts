/**
 * Reads the state of a snapshot: a full file, or deltas on one, merged key by key. If a key is in several files, the
 * newest entry counts.
 */
import { compareUtf8 } from "../engine/base/json.ts";
import type { KeyEntry } from "../engine/state/keyed-state.ts";
import { CommandError } from "./command.ts";
import { stateItems, titleOf, type SnapshotView } from "./snapshot-view.ts";

/**
 * Picks the files that the snapshot's state is read from, the full one first, from those given.
 * @throws Trouble if one is missing
 */
export function layersOf(view: SnapshotView, atHand: readonly SnapshotView[]): SnapshotView[] {
  const layers = partsOf(view, atHand);
  // Each step goes to a lower seq, so the loop ends.
  for (let below = view; below.footer.base > 0; layers.unshift(...partsOf(below, atHand))) {
    const { base, partition } = below.footer;
    const fits = atHand.filter(
      ({ footer }) => footer.seq === base && footer.partition === partition && footer.seq < below.footer.seq,
    );
    // All files at that seq hold the same state. A full file needs the fewest reads.
    const found = fits.find(({ footer }) => footer.base === 0) ?? fits[0];
    if (found === undefined)
      throw new CommandError(`${below.name} is a ${titleOf(below)}; give the file of seq ${base} with --on`);
    below = found;
  }
  return layers;
}

/**
 * Returns the file, or all parts of the snapshot if the file is one of several.
 * @throws Trouble if one is missing
 */
function partsOf(view: SnapshotView, atHand: readonly SnapshotView[]): SnapshotView[] {
  const { seq, partition, part } = view.footer;
  if (part === undefined) return [view];
  const parts = new Map<number, SnapshotView>();
  for (const one of [...atHand, view])
    if (one.footer.seq === seq && one.footer.partition === partition && one.footer.part !== undefined)
      parts.set(one.footer.part[0], one);
  const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, one]) => one);
  const missing = inOrder.findIndex((one, i) => one.footer.part![0] !== i + 1);
  if (missing < 0 && inOrder.at(-1)!.footer.part![1] === 1) return inOrder;
  const number = missing < 0 ? inOrder.length + 1 : missing + 1;
  throw new CommandError(`${view.name} is a ${titleOf(view)}; give its part ${number} with --on`);
}

/**
 * Yields every key with its state, in the order of the keys.
 * @throws Damage
 */
export function* mergedState(layers: readonly SnapshotView[]): Generator<readonly [key: string, entry: KeyEntry]> {
  const streams = layers.map((view) => stateItems(view));
  const heads = streams.map((stream) => take(stream));
  for (;;) {
    const key = heads.reduce<string | null>(
      (least, head) => (head !== null && (least === null || compareUtf8(head[0], least) < 0) ? head[0] : least),
      null,
    );
    if (key === null) return;
    let newest: KeyEntry | null = null;
    for (const [i, head] of heads.entries()) {
      if (head?.[0] !== key) continue;
      [, newest] = head;
      heads[i] = take(streams[i]!);
    }
    if (newest !== null) yield [key, newest];
  }
}

export type KeyChange =
  | { readonly tag: "added"; readonly key: string; readonly after: string }
  | { readonly tag: "removed"; readonly key: string; readonly before: string }
  | { readonly tag: "changed"; readonly key: string; readonly before: string; readonly after: string }
  | { readonly tag: "same"; readonly key: string };

type Item = readonly [key: string, entry: Pick<KeyEntry, "text">];
type State = Iterator<Item>;

/** Both states come in the order of their keys. */
export function* compareStates(a: State, b: State): Generator<KeyChange> {
  let [x, y] = [take(a), take(b)];
  while (x !== null || y !== null) {
    const order = x === null ? 1 : y === null ? -1 : compareUtf8(x[0], y[0]);
    const [before, after] = [order <= 0 ? x : null, order >= 0 ? y : null];
    yield changeOf(before, after);
    if (before !== null) x = take(a);
    if (after !== null) y = take(b);
  }
}

/** Compares one key. At least one of the two items isn't null. */
function changeOf(before: Item | null, after: Item | null): KeyChange {
  if (before === null) return { tag: "added", key: after![0], after: after![1].text };
  const [key, { text }] = before;
  if (after === null) return { tag: "removed", key, before: text };
  return text === after[1].text ? { tag: "same", key } : { tag: "changed", key, before: text, after: after[1].text };
}

function take<T>(stream: Iterator<T>): T | null {
  const next = stream.next();
  return next.done === true ? null : next.value;
}
