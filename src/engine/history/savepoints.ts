/**
 * Savepoints: named moments over all operators, held in every database of the log. Taking one stops and wakes nothing.
 * It costs a small write for each database and one object in R2, whatever the number of partitions.
 *
 * SAVEPOINT1. The first database decides which stamp a name means, and gives the savepoint a number that is never given
 *     again. The other databases hold the same stamp under that number.
 * SAVEPOINT2. A savepoint counts once all databases hold it. A database holds it only if retention has given up nothing
 *     of it, and no retention passes a savepoint that is held: each statement has the condition of the other (SNAP10).
 * SAVEPOINT3. The moment is settled before (settle.ts). So it holds all that was acknowledged before it was asked for,
 *     and nothing is added later.
 * SAVEPOINT4. Each step follows from the rows. So a call that broke off is finished by the same call, and a call that
 *     arrives late finds its number gone. The next list removes the rows that late calls left in other databases, and
 *     the next removal of the name removes their objects.
 * SAVEPOINT5. A savepoint that counts has its object in R2 (savepoint-object.ts). It can be restored without D1 once a
 *     snapshot of each partition covers what was logged up to it: until then, D1 alone has some of it.
 */
import type { Stamp } from "../base/ids.ts";
import type { SavepointStore } from "../base/ports.ts";
import type { Savepoint } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import { deleteRecords, recordSavepoint, recordsNamed, type SavepointFiles } from "./savepoint-object.ts";

export type Taken =
  | { readonly tag: "taken"; readonly savepoint: Savepoint; readonly isNew: boolean }
  /** The name stands for another moment, or for a savepoint that is being removed. */
  | { readonly tag: "conflict"; readonly savepoint: Savepoint }
  /** Retention has given up the moment in some database. */
  | { readonly tag: "gone" }
  | { readonly tag: "full" };

/** `stores`: of all databases, the first one first. `exact`: the caller named this moment, so no other one will do. */
export async function takeSavepoint(
  files: SavepointFiles,
  stores: Stores,
  name: string,
  at: Stamp,
  exact: boolean,
): Promise<Taken> {
  const { clock } = files;
  const [first, ...others] = stores;
  const row = await persistent(clock, "D1", () => first.add(name, at, clock.now()));
  if (typeof row === "string") return { tag: row };
  if (row.state === "removing" || (exact && row.at !== at)) return { tag: "conflict", savepoint: row };
  if (row.state === "held") return { tag: "taken", savepoint: row, isNew: false };
  const held = await Promise.all(others.map((store) => persistent(clock, "D1", () => store.hold(row))));
  if (held.includes("gone")) {
    await withdraw(files, stores, row, []);
    return { tag: "gone" };
  }
  const heads = await Promise.all(stores.map((store) => persistent(clock, "D1", () => store.heads(row.at))));
  await recordSavepoint(files, row, heads.flat());
  const now = await persistent(clock, "D1", () => first.confirm(row.number));
  if (now === "held") return { tag: "taken", savepoint: row, isNew: row.at === at };
  // Its removal may have looked for the object before it was there.
  await deleteRecords(files, row);
  return { tag: "conflict", savepoint: row };
}

/** Removes the savepoint of a name, and the objects that late calls left under the name. */
export async function removeSavepoint(files: SavepointFiles, stores: Stores, name: string): Promise<void> {
  // The objects are listed first: one that has no row by then will never have one again.
  const objects = await recordsNamed(files, name);
  const rows = await persistent(files.clock, "D1", () => stores[0].all());
  const row = rows.find((one) => one.name === name);
  if (row === undefined) await deleteRecords(files, undefined, objects);
  else await withdraw(files, stores, row, objects);
}

/** Gives up a savepoint. The first database forgets it last, so that a call that broke off can be finished. */
async function withdraw(
  files: SavepointFiles,
  stores: Stores,
  savepoint: Savepoint,
  objects: readonly string[],
): Promise<void> {
  const { clock } = files;
  const { number } = savepoint;
  const [first, ...others] = stores;
  await persistent(clock, "D1", () => first.withdraw(number));
  await Promise.all(others.map((store) => persistent(clock, "D1", () => store.drop(number))));
  await deleteRecords(files, savepoint, objects);
  await persistent(clock, "D1", () => first.drop(number));
}

/** Returns the savepoints that count, by name. Removes what late calls left in other databases (SAVEPOINT4). */
export async function listSavepoints(files: SavepointFiles, stores: Stores): Promise<readonly Savepoint[]> {
  const { clock } = files;
  const [first, ...others] = stores;
  // The others are read first: a savepoint is in the first database before it is anywhere else.
  const elsewhere = await Promise.all(others.map((store) => persistent(clock, "D1", () => store.all())));
  const rows = await persistent(clock, "D1", () => first.all());
  const known = new Set(rows.map(({ number }) => number));
  for (const [i, held] of elsewhere.entries())
    for (const { number } of held) if (!known.has(number)) await persistent(clock, "D1", () => others[i]!.drop(number));
  return rows.filter(({ state }) => state === "held");
}

/**
 * Returns the stamps from which on partitions have events that no snapshot covers, one for each such partition. A
 * savepoint can be restored without D1 if all of them are later (SAVEPOINT5).
 */
export async function unarchivedSince({ clock }: Pick<SavepointFiles, "clock">, stores: Stores): Promise<Stamp[]> {
  return (await Promise.all(stores.map((store) => persistent(clock, "D1", () => store.unarchived())))).flat();
}

export type Stores = readonly [SavepointStore, ...SavepointStore[]];
