/*
 * Random numbers that a seed determines. `E2E_SEED=…` repeats a run's choices; the interleaving stays the machine's.
 */

export interface Random {
  /** 0 <= n < 1. */
  next(): number;
  /** An integer, 0 <= n < limit. */
  below(limit: number): number;
  shuffled<T>(items: T[]): T[];
}

/** Prints the seed, so that a failure can be run again. */
export function seededRandom(what: string): Random {
  const seed = Number(process.env["E2E_SEED"] ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  process.stdout.write(`${what}: E2E_SEED=${seed}\n`);
  const next = mulberry32(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  return { next, below, shuffled: (items) => shuffle(items, below) };
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffle<T>(items: T[], below: (limit: number) => number): T[] {
  return items
    .map((item) => ({ item, order: below(2 ** 31) }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
