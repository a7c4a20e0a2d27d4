/**
 * Lives: how far an archive counts once a partition's row was rebuilt from R2.
 *
 * What was logged after the snapshot that was found is given up, but R2 may hold archives of it, and the new life gives the
 * same seqs to other events. An archive alone doesn't tell; its name does, since epochs come in lives (NAME4 of ids.ts).
 *
 * INCARNATION1. The archive of the first manifest of a life, in one object or in several, holds every row of the log from where the life began. So what an earlier
 *     life archived counts below that, and above it is what was given up.
 * INCARNATION2. Where that can't be read it isn't known which rows are the log's: that is damage, never a guess (SNAP3).
 * INCARNATION3. A partition in its first life, which is nearly every one, pays nothing for this.
 * INCARNATION4. Retention gives up the oldest archives, in the order of their versions. Whoever replays the whole log must have them all, or a life's
 *     first archive may be one that is gone: versions begin at 1 and have no gap, else that too is damage.
 */
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { Damage, isUnreadable, messageOf } from "../base/errors.ts";
import { incarnationOf, manifestOf, manifestPrefix, type Epoch } from "../base/ids.ts";
import { fetchObject, listNames, type Shelf } from "../snapshot/object-reader.ts";

const NO_LIMIT = (): number => Number.POSITIVE_INFINITY;

/**
 * Up to which seq the archives of a name count, of the names above `from`; `now` is the epoch of the partition's row.
 *
 * @throws Damage (INCARNATION2)
 */
export async function archiveLimits(shelf: Shelf, now: Epoch, from: string): Promise<(name: string) => number> {
  if (incarnationOf(now) === 0) return NO_LIMIT;
  const firsts = await firstManifests(shelf, from);
  const earliest = Math.min(...firsts.keys());
  const begins: { readonly life: number; readonly after: number }[] = [];
  for (const [life, { names }] of firsts)
    if (life !== earliest) begins.push({ life, after: await beginOf(shelf, life, names) });
  return (name) => {
    const life = incarnationOf(manifestOf(name)?.epoch ?? now);
    return Math.min(...begins.filter((later) => later.life > life).map(({ after }) => after));
  };
}

/** Of each life the manifests of its first version: attempts, of which any one tells where it began. */
async function firstManifests(
  shelf: Shelf,
  from: string,
): Promise<Map<number, { readonly version: number; readonly names: string[] }>> {
  const firsts = new Map<number, { readonly version: number; readonly names: string[] }>();
  let version = 0;
  for (let after = from; ;) {
    const { names, more } = await listNames(shelf, manifestPrefix(shelf.id), after);
    for (const name of names) {
      const made = manifestOf(name);
      if (made === null) continue;
      if (from === "" && made.version > version + 1)
        throw new Damage(`the archives of manifests ${version + 1} to ${made.version - 1} are given up, or lost`);
      version = made.version;
      const first = firsts.get(incarnationOf(made.epoch));
      if (first === undefined) firsts.set(incarnationOf(made.epoch), { version: made.version, names: [name] });
      else if (first.version === made.version) first.names.push(name);
    }
    after = names.at(-1) ?? after;
    if (!more) return firsts;
  }
}

/** The seq after which a life began. */
async function beginOf(shelf: Shelf, life: number, names: readonly string[]): Promise<number> {
  const flaws: string[] = [];
  for (const name of names) {
    try {
      const { archive } = readManifestObject(await fetchObject(shelf, name), shelf.codec).manifest;
      if ((archive.piece ?? 1) > 1) {
        flaws.push(`${name} holds piece ${archive.piece}, not the first`);
        continue;
      }
      // Without rows there was nothing in the log yet: all up to there stands in older archives.
      return archive.blocks[0] === undefined ? archive.to : archive.blocks[0][3] - 1;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      flaws.push(messageOf(error));
    }
  }
  throw new Damage(`it isn't known where the log's life ${life} began: ${flaws.join("; ")}`);
}
