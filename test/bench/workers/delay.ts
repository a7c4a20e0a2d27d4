// The round trip that the local stores don't have. Undefined instead of a resolved promise at 0 ms: nothing is added then.

/** The delay that a measurement has set while the Worker runs, or undefined for the one that it was started with. */
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
