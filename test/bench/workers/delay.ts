// The round trip that the local stores don't have. Undefined instead of a resolved promise at 0 ms: nothing is added then.

export function delayOf(milliseconds: number): () => Promise<void> | undefined {
  if (milliseconds === 0) return () => undefined;
  return () => new Promise((resolve) => setTimeout(resolve, milliseconds));
}
