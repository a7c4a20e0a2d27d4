// Work to do before the process ends, also if somebody interrupts it: runtimes stopped, directories removed.

const all = new Set<() => Promise<void>>();

/** The same work, done once, by whoever calls it or by `endAll`. */
export function atEnd(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  const once = (): Promise<void> => {
    all.delete(once);
    return (done ??= work());
  };
  all.add(once);
  return once;
}

export async function endAll(): Promise<void> {
  await Promise.allSettled([...all].map((work) => work()));
}
