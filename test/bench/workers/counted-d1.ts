// A D1 binding that counts calls and billed rows and adds a delay to every call. The inner binding's result is
// returned untouched, so the code above it can't tell the difference.

import { counters } from "./counters.ts";

type Preparing = Pick<D1Database, "prepare" | "batch">;

export function countedD1(database: D1Database, delay: () => Promise<void> | undefined): D1Database {
  const counted = {
    ...preparing(database, delay),
    exec: (query: string) => call(delay, () => database.exec(query)),
    withSession: (start?: string) => preparing(database.withSession(start), delay),
  };
  return counted as unknown as D1Database;
}

function preparing(database: Preparing, delay: () => Promise<void> | undefined): Preparing {
  return {
    prepare: (query) => new CountedStatement(database.prepare(query), delay) as unknown as D1PreparedStatement,
    async batch<T>(statements: D1PreparedStatement[]) {
      const inner = statements.map((statement) => (statement as unknown as CountedStatement).inner);
      const results = await call(delay, () => database.batch<T>(inner));
      for (const result of results) countRows(result.meta);
      return results;
    },
  };
}

class CountedStatement {
  readonly inner: D1PreparedStatement;
  readonly #delay: () => Promise<void> | undefined;

  constructor(inner: D1PreparedStatement, delay: () => Promise<void> | undefined) {
    this.inner = inner;
    this.#delay = delay;
  }

  bind(...values: unknown[]): CountedStatement {
    return new CountedStatement(this.inner.bind(...values), this.#delay);
  }

  async run<T>(): Promise<D1Result<T>> {
    const result = await call(this.#delay, () => this.inner.run<T>());
    countRows(result.meta);
    return result;
  }

  all<T>(): Promise<D1Result<T>> {
    return this.run<T>();
  }

  // D1's own first() asks for all rows and drops the rest, but it also drops the meta that the rows are counted by.
  async first<T>(column?: string): Promise<T | null> {
    const row = (await this.run<Record<string, unknown>>()).results[0];
    if (row === undefined) return null;
    return (column === undefined ? row : row[column]) as T;
  }

  // raw() gives no meta: at least the rows that came back have been read.
  async raw(options?: { columnNames?: boolean }): Promise<unknown[]> {
    const rows = await call(this.#delay, () =>
      options?.columnNames === true ? this.inner.raw({ columnNames: true }) : this.inner.raw(),
    );
    counters.d1RowsRead += options?.columnNames === true ? rows.length - 1 : rows.length;
    return rows;
  }
}

async function call<T>(delay: () => Promise<void> | undefined, work: () => Promise<T>): Promise<T> {
  counters.d1Calls += 1;
  const wait = delay();
  if (wait !== undefined) await wait;
  return work();
}

function countRows(meta: D1Meta): void {
  counters.d1RowsRead += meta.rows_read;
  counters.d1RowsWritten += meta.rows_written;
}
