/** Who sent a request, and its place in the order of that sender's requests. */
export interface Producer {
  readonly id: string;
  /** Raised by the producer when it starts anew. */
  readonly epoch: number;
  readonly number: number;
}

/** Why a producer's events are not taken. */
export interface Unfit {
  readonly status: 403 | 409 | 429;
  readonly code: "producer_fenced" | "producer_seq_too_old" | "too_many_producers";
  readonly message: string;
}
