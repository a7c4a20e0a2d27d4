/** Names the failure of a database whose migrations weren't applied. */
import { Failure, messageOf } from "../engine/base/errors.ts";

/** Names the one error that waiting can't fix. All other errors pass unchanged, and mean "unknown". */
export async function nameFailure<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (/no such (table|column)/.test(messageOf(error))) {
      throw new Failure(
        "log_not_migrated",
        `the log's tables, or columns of them, are missing: run "wrangler d1 migrations apply" for every LOG_ database`,
        { cause: error },
      );
    }
    throw error;
  }
}
