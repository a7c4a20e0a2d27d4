// The memory that this process really holds, looked at often: heap and buffers, after a garbage collection where it may
// be asked for.

/** Heap, buffers, and texts that stand outside of the heap, as far as they are reachable. */
export function heldBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  // Buffers are freed by another thread, which may be late on a busy machine; the second call waits for it.
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * The most that was held at any look: at each timer's turn and wherever it is asked. Each look collects garbage, so
 * only what is reachable counts.
 */
export class Peak {
  bytes = 0;
  /** Of that, buffers; the most at any look. */
  buffers = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(everyMs = 500) {
    this.#timer = setInterval(() => this.look(), everyMs);
  }

  look(): number {
    const held = heldBytes();
    this.bytes = Math.max(this.bytes, held);
    this.buffers = Math.max(this.buffers, process.memoryUsage().arrayBuffers);
    return held;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.look();
  }
}
