/**
 * The past of a partition that comes back from R2 (recover-route.ts): what the lines had of it that its own line starts
 * from (rebuild-start.ts).
 */
import { storeRow, storeRowAndLog } from "../../adapters/rebuilt-rows.ts";
import { seq, type Seq, type Stamp } from "../../engine/base/ids.ts";
import { LOG_BEGIN } from "../../engine/base/records.ts";
import type { FileEnvironment } from "../../engine/operator/environment.ts";
import type { Address } from "../../engine/operator/routing.ts";
import { newestManifest, type Top } from "../../engine/recovery/rebuild.ts";
import {
  type Begun,
  lostStart,
  NOTHING_KNOWN,
  type RebuiltStart,
  rebuildStart,
  type StartWish,
} from "../../engine/recovery/rebuild-start.ts";
import { pointOf } from "../../engine/snapshot/manifest.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { askPartition } from "../http/answers.ts";
import { requestClock } from "../request-clock.ts";
import { partitionStub } from "../stub.ts";
import type { RecoveryStores } from "./recover-moment.ts";

/** The past of a partition, as far as it is there. */
export interface Starts {
  readonly tag: "there";
  readonly begun: Begun;
  /** False if D1 may have had more where the line starts. */
  readonly complete: boolean;
  readonly passedOver: readonly string[];
  /** Writes the rows of the past, which come before the partition's own. */
  readonly write: () => Promise<void>;
}

type FoundStarts =
  Starts | { readonly tag: "busy" } | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

/** One line of the past, up to the start of the later one. */
interface Level {
  readonly address: Address;
  readonly files: FileEnvironment;
  readonly at: Stamp;
  readonly expected: Seq | null;
  readonly isSaved: boolean;
}

/**
 * Finds what the lines of the past had of a partition, the oldest first. `own`: the seq above which the line's own log
 * begins, or null if R2 has no manifest of it.
 */
export async function findStarts(ground: RecoveryStores, address: Address, own: Seq | null): Promise<FoundStarts> {
  const { env, databases, rows } = ground;
  let begun: Begun = LOG_BEGIN;
  let complete = true;
  const passedOver: string[] = [];
  const writes: (() => Promise<unknown>)[] = [];
  for (const { address: one, files, at, expected, isSaved } of await levelsOf(ground, address, own)) {
    if (rows.some(({ line, partition }) => line === one.line && partition === one.partition)) {
      begun = "kept";
      continue;
    }
    const known = await knownOf(env, one);
    if (known === "busy") return { tag: known };
    const wish: StartWish = { seed: one.seed, at, expected, begun, known };
    const found: RebuiltStart = isSaved ? await rebuildStart(files, wish) : { tag: "nothing" };
    if (found.tag === "unreadable") return found;
    const db = databases.get(one.database)!;
    if (found.tag === "found") {
      const { row, point, tail, reached } = found;
      const beside = point === null ? {} : { point: pointOf(point, true, requestClock.now()) };
      writes.push(
        () =>
          tail === null
            ? storeRow(db, files.id, row, beside)
            : storeRowAndLog(db, files.id, row, tail.log, tail.rows()),
        () => evict(env, one),
      );
      [begun, complete] = [reached, found.complete];
      passedOver.push(...found.passedOver);
      continue;
    }
    // It logged nothing of its own, if the later line begins where the earlier one had come.
    const follows = expected === null || typeof begun !== "object" || begun.seq === expected;
    if (found.tag === "nothing" && follows) continue;
    const { row, retainFrom } = found.tag === "lost" ? found : lostStart(wish, known);
    writes.push(
      () => storeRow(db, files.id, row, { retainFrom }),
      () => evict(env, one),
    );
    begun = "lost";
  }
  const write = async (): Promise<void> => {
    for (const one of writes) await one();
  };
  return { tag: "there", begun, complete, passedOver, write };
}

/** Returns the lines of the past, the oldest first. */
async function levelsOf(
  { operator, objects, lineage, inStore, removed }: RecoveryStores,
  address: Address,
  own: Seq | null,
): Promise<readonly Level[]> {
  const { partition } = address;
  const levels: Level[] = [];
  let expected = own;
  for (const [i, { line, at }] of lineage.ancestors.entries()) {
    if (line === removed) break;
    const files = fileEnvironment({ line, operator: operator.name, partition }, operator, objects);
    const isSaved = inStore.some((one) => one.line === line && one.partition === partition);
    levels.unshift({
      address: { ...address, line, ancestors: lineage.ancestors.slice(i + 1) },
      files,
      at,
      expected,
      isSaved,
    });
    const newest = isSaved ? await newestManifest(files) : null;
    if (newest !== null) expected = newest.startSeq ?? seq(0);
  }
  return levels;
}

/**
 * The epochs of an incarnation that was lost before its first snapshot are only in the object's own storage (NAME4 of
 * ids.ts).
 */
export async function knownOf(env: Env, address: Address): Promise<Top | "busy"> {
  const marked = await askPartition(async () => ({ tag: "ok", value: await partitionStub(env, address).mark() }));
  return marked.tag === "busy" ? "busy" : (marked.value ?? NOTHING_KNOWN);
}

/**
 * An object in memory still has the state that D1 has lost, and waits for a log that is gone. It must end, so that its
 * successor opens from the rebuilt row.
 */
export const evict = (env: Env, address: Address): Promise<void> =>
  partitionStub(env, address)
    .evict()
    .catch(() => undefined);
