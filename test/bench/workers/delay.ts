// The round trip that the local stores don't have. Undefined instead of a resolved promise at 0 ms: nothing is added then.

/** What a measurement has set while the Worker runs; undefined: what it was started with. */
let changedTo: number | undefined;

export function changeDelay(milliseconds: number): void {
  changedTo = milliseconds;
}

export function delayOf(startedWith: number): () => Promise<void> | undefined {
  return () => {
    const milliseconds = changedTo ?? startedWith;
    return milliseconds === 0 ? undefined : new Promise((resolve) => setTimeout(resolve, milliseconds));
  };
}
