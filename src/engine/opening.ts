/**
 * What a partition opens with: its row and the first page of its tail. For snapshots it takes a new epoch with that; for reading it
 * needs none, and events take theirs with their first append (LOG2).
 *
 * O1. A partition without a row is new only if neither R2 nor the object's own storage knows anything of it (CODE2).
 * O2. What D1 has less than it had acknowledged is refused before anything is read of it (rewound.ts).
 * O3. An epoch that is taken after the end would only fence whoever came after.
 */
import type { Address } from "./address.ts";
import { Failure } from "./errors.ts";
import { manifestPrefix, seq } from "./ids.ts";
import { OPEN_ATTEMPTS } from "./limits.ts";
import { emptyRow } from "./open.ts";
import type { Opening } from "./ports.ts";
import type { Surroundings } from "./recovery.ts";
import { assertNeverLogged, assertNotRewound } from "./rewound.ts";
import { persistent } from "./store-call.ts";

/**
 * Opens for writing; makes the row of a new partition. `unborn`: a reading opening found that it is new. `assertNotEnded` throws
 * where the instance has ended (O3).
 */
export async function takeEpoch(
  around: Surroundings,
  { seed }: Address,
  code: string,
  unborn: boolean,
  assertNotEnded: () => void,
): Promise<Opening> {
  const { clock, host, log } = around;
  const writer = host.nonce();
  const take = (): Promise<Opening | null> =>
    persistent(clock, host, "D1", OPEN_ATTEMPTS, () => {
      assertNotEnded();
      return log.open(writer, code);
    });
  // What was refused once is looked at first: each epoch that is taken would change what D1 says (E4).
  if (host.mark()?.refused === true) await peek(around, seed);
  const kept = host.mark();
  const opening = unborn ? null : await take();
  if (opening !== null) {
    await assertNotRewound(around, opening, kept);
    return opening;
  }
  if (!unborn) await assertNew(around);
  await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => {
    assertNotEnded();
    return log.create(seed);
  });
  const created = await take();
  if (created === null) throw new Failure("catalogue_lost", "the partition's row vanished while it was made");
  return created;
}

/** Opens for reading. */
export async function peek(around: Surroundings, seed: number): Promise<Opening> {
  const { clock, host, log } = around;
  const kept = host.mark();
  const opening = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.peek());
  if (opening === null) {
    await assertNew(around);
    return { row: emptyRow(seed), head: seq(0), rows: [], more: false };
  }
  await assertNotRewound(around, opening, kept);
  return opening;
}

/** O1: starting empty would lose the state by mistake. */
async function assertNew(around: Surroundings): Promise<void> {
  const { clock, host, objects, id } = around;
  const { names } = await persistent(clock, host, "R2", OPEN_ATTEMPTS, () => objects.list(manifestPrefix(id), ""));
  if (names.length > 0)
    throw new Failure(
      "catalogue_lost",
      `R2 holds ${names[0]}, but D1 has no row for this partition: restore the database, or rebuild the row with POST /v1/operators/${id.operator}/recover; it must not begin anew`,
    );
  assertNeverLogged(around);
}
