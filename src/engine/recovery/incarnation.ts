/**
 * Incarnations: how far an archive counts after a partition's row was rebuilt from R2.
 *
 * A rebuild gives up the events that were logged after the snapshot that it found, but R2 may hold archives of them.
 * The new incarnation gives the same seqs to other events. The content of an archive doesn't tell its incarnation. The
 * archive's name does, since each epoch belongs to one incarnation (NAME4 of ids.ts).
 *
 * INCARNATION1. The first manifest of an incarnation archives, in one object or in several, every row of the log from
 *     where the incarnation began. An archive of an earlier incarnation counts below that seq. The rows above that seq
 *     in such an archive were given up.
 *     A later incarnation may resume from a snapshot of an earlier one, and so give up those between. The first manifest
 *     says which one it resumed from. Archives of an incarnation that was given up count for nothing.
 *     Within an incarnation the archives are of one log: a partition whose D1 has lost rows that R2 holds is refused, and
 *     resumes in a new incarnation only (MARK3 of high-water-mark.ts).
 * INCARNATION2. If that seq can't be read, the rows that belong to the log are unknown. An unknown limit is damage,
 *     never a guess (SNAP3).
 * INCARNATION3. A partition in its first incarnation, which is nearly every partition, pays nothing for this.
 * INCARNATION4. Retention gives up the oldest archives, in the order of their versions. A replay of the whole log needs
 *     all archives, since an incarnation's first archive may be one that is gone. So versions must begin at 1 without a
 *     gap. A gap is damage too.
 */
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { Damage, isUnreadable, messageOf } from "../base/errors.ts";
import { incarnationOf, incarnationOfAttempt, manifestOf, manifestPrefix } from "../base/ids.ts";
import type { PartitionRow } from "../base/records.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import type { FileEnvironment } from "../operator/environment.ts";

const NO_LIMIT = (): number => Number.POSITIVE_INFINITY;

/**
 * Returns a function that tells up to which seq the archives of a name count: 0 if they don't. The function serves the
 * names above `from`.
 *
 * @throws Damage (INCARNATION2)
 */
export async function archiveLimits(env: FileEnvironment, row: Row, from: string): Promise<(name: string) => number> {
  const now = incarnationOf(row.epoch);
  if (now === 0) return NO_LIMIT;
  const firsts = await firstManifests(env, from);
  const earliest = Math.min(...firsts.keys());
  const limits = new Map<number, number>();
  let limit = Number.POSITIVE_INFINITY;
  for (let incarnation: number | null = now; incarnation !== null;) {
    limits.set(incarnation, limit);
    const first = firsts.get(incarnation);
    if (incarnation === earliest) break;
    const { after, resumed }: Begin =
      first === undefined
        ? { after: limit, resumed: incarnation === now ? incarnationOfAttempt(row.attempt) : null }
        : await beginOf(env, incarnation, first.names);
    limit = Math.min(limit, after);
    incarnation = resumed;
  }
  return (name) => limits.get(incarnationOf(manifestOf(name)?.epoch ?? row.epoch)) ?? 0;
}

type Row = Pick<PartitionRow, "epoch" | "attempt">;

/** Where an incarnation began: after which seq, and in which incarnation the manifest was made that it resumed from. */
interface Begin {
  readonly after: number;
  readonly resumed: number | null;
}

/**
 * Returns the manifests of each incarnation's first version. Each manifest is an attempt, and any one tells where the
 * incarnation began.
 */
async function firstManifests(
  env: FileEnvironment,
  from: string,
): Promise<Map<number, { readonly version: number; readonly names: string[] }>> {
  const firsts = new Map<number, { readonly version: number; readonly names: string[] }>();
  let version = 0;
  for (let after = from; ;) {
    const { names, more } = await listNames(env, manifestPrefix(env.id), after);
    for (const name of names) {
      const made = manifestOf(name);
      if (made === null) continue;
      if (from === "" && made.version > version + 1)
        throw new Damage(`the archives of manifests ${version + 1} to ${made.version - 1} are given up or lost`);
      version = made.version;
      const first = firsts.get(incarnationOf(made.epoch));
      if (first === undefined) firsts.set(incarnationOf(made.epoch), { version: made.version, names: [name] });
      else if (first.version === made.version) first.names.push(name);
    }
    after = names.at(-1) ?? after;
    if (!more) return firsts;
  }
}

async function beginOf(env: FileEnvironment, incarnation: number, names: readonly string[]): Promise<Begin> {
  const flaws: string[] = [];
  for (const name of names) {
    try {
      const { archive, resumed = null } = readManifestObject(await fetchObject(env, name), env.codec).manifest;
      if ((archive.piece ?? 1) > 1) {
        flaws.push(`${name} holds piece ${archive.piece}, not the first`);
        continue;
      }
      // If the archive has no rows, the log was still empty. Older archives hold everything up to `archive.to`.
      return { after: archive.blocks[0] === undefined ? archive.to : archive.blocks[0][3] - 1, resumed };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      flaws.push(messageOf(error));
    }
  }
  throw new Damage(`it isn't known where the log's incarnation ${incarnation} began: ${flaws.join("; ")}`);
}
