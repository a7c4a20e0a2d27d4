/** A promise that is looked at from outside, while time is moved by hand. */
export class Watched<T> {
  /** Null if the promise is pending. */
  outcome: { readonly value: T } | { readonly error: unknown } | null = null;

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => (this.outcome = { value }),
      (error: unknown) => (this.outcome = { error }),
    );
  }
}
