/** The first call of an opening: the partition's row and the beginning of its tail, for writing or for reading only. */
import { Failure } from "./errors.ts";
import { manifestPrefix } from "./ids.ts";
import { OPEN_ATTEMPTS } from "./limits.ts";
import { emptyRow } from "./open.ts";
import type { Opening } from "./ports.ts";
import type { Surroundings } from "./recovery.ts";
import { persistent } from "./store-call.ts";

/**
 * Takes the next epoch. `assertNotEnded`: an epoch that is taken after the end would only fence whoever came after.
 *
 * @throws Failure catalogue_lost, and what D1 and R2 give
 */
export async function takeEpoch(
  around: Surroundings,
  seed: number,
  code: string,
  assertNotEnded: () => void,
): Promise<Opening> {
  const { clock, host, log } = around;
  const writer = host.nonce();
  const take = (): Promise<Opening | null> =>
    persistent(clock, host, "D1", OPEN_ATTEMPTS, () => {
      assertNotEnded();
      return log.open(writer, code);
    });
  const opening = await take();
  if (opening !== null) return opening;
  await assertNew(around);
  await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => {
    assertNotEnded();
    return log.create(seed);
  });
  const created = await take();
  if (created === null) throw new Failure("catalogue_lost", "the partition's row vanished while it was made");
  return created;
}

/** Looks without taking an epoch. @throws Failure catalogue_lost, and what D1 and R2 give */
export async function peek(around: Surroundings, seed: number): Promise<Opening> {
  const { clock, host, log } = around;
  const opening = await persistent(clock, host, "D1", OPEN_ATTEMPTS, () => log.peek());
  if (opening !== null) return opening;
  await assertNew(around);
  return { row: emptyRow(seed), rows: [], more: false };
}

/** CODE2: manifests without a row mean that D1 lost it; starting empty would lose the state by mistake. */
async function assertNew({ clock, host, objects, id }: Surroundings): Promise<void> {
  const { names } = await persistent(clock, host, "R2", OPEN_ATTEMPTS, () => objects.list(manifestPrefix(id), ""));
  if (names.length > 0)
    throw new Failure(
      "catalogue_lost",
      `R2 holds ${names[0]}, but D1 has no row for this partition: restore the database, or rebuild the row with POST /v1/operators/${id.operator}/recover; it must not begin anew`,
    );
}
