/** Every small world with one thing that goes wrong, and every one with two. */
import { KINDS, smallWorld, STORIES, type Chosen, type Kind, type Story } from "./small-world.ts";

export interface Broken {
  readonly chosen: string;
  readonly violation: string;
}

export interface Explored {
  readonly worlds: number;
  readonly broken: readonly Broken[];
}

export interface Explore {
  /** Ends with the first world that breaks a rule. */
  readonly first?: boolean;
  readonly stories?: readonly Story[];
  /** Of the pairs that aren't two crashes, one of so many. */
  readonly every?: number;
}

/** Which of two may go wrong together; an answer that isn't heard is left to the worlds of one. */
const PAIRED: readonly Kind[] = ["crash before", "crash after", "rival", "late", "lost"];

export async function explore(
  two: boolean,
  { first = false, stories = STORIES, every = 1 }: Explore = {},
): Promise<Explored> {
  const all = { worlds: 0, broken: [] as Broken[] };
  for (const story of stories) {
    const { worlds, broken } = await exploreStory(story, two, first, every);
    all.worlds += worlds;
    all.broken.push(...broken);
    if (first && broken.length > 0) break;
  }
  return all;
}

async function exploreStory(story: Story, two: boolean, first: boolean, every: number): Promise<Explored> {
  const broken: Broken[] = [];
  let [worlds, pairs] = [0, 0];
  const run = async (chosen: readonly Chosen[]): Promise<readonly string[]> => {
    const { calls, violations } = await smallWorld(chosen, story);
    worlds += 1;
    if (violations.length > 0) broken.push({ chosen: `${story}: ${told(chosen, calls)}`, violation: violations[0]! });
    return calls;
  };
  const { calls } = await smallWorld([], story);
  for (let at = 0; at < calls.length; at++) {
    for (const kind of two ? PAIRED : KINDS) {
      const after = await run([{ at, kind }]);
      const places = two ? after.length : 0;
      for (let next = at + 1; next < places; next++)
        for (const other of PAIRED) {
          if (!(isCrash(kind) && isCrash(other)) && pairs++ % every !== 0) continue;
          await run([
            { at, kind },
            { at: next, kind: other },
          ]);
          if (first && broken.length > 0) return { worlds, broken };
        }
      if (first && broken.length > 0) return { worlds, broken };
    }
  }
  return { worlds, broken };
}

const isCrash = (kind: Kind): boolean => kind === "crash before" || kind === "crash after";

const told = (chosen: readonly Chosen[], calls: readonly string[]): string =>
  chosen.map(({ at, kind }) => `${kind} at call ${at} (${calls[at]})`).join(", ");
