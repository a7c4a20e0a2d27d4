/** The sender of a request, and the place of the request in the sender's order. */
export interface Producer {
  readonly id: string;
  /** The producer raises its epoch when it starts again. */
  readonly epoch: number;
  readonly number: number;
}

/** The reason why a producer's events are not taken. */
export interface Unfit {
  readonly status: 403 | 409 | 429;
  readonly code: "producer_fenced" | "producer_seq_too_old" | "too_many_producers";
  readonly message: string;
}
