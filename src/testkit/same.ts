/** The comparison behind all expectations (TESTKIT2). */
import { AssertionError, deepStrictEqual } from "node:assert";

/** @throws AssertionError with the difference */
export function same(actual: unknown, expected: unknown, what: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    // Node's own message has the difference; a message of ours alone would hide it.
    if (!(error instanceof AssertionError)) throw error;
    throw new AssertionError({
      message: `${what} differs\n${error.message}`,
      actual,
      expected,
      operator: "deepStrictEqual",
    });
  }
}
