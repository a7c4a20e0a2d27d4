// D1's binding and an object's SQL storage on Node's own SQLite, as much of them as the adapters use: so the adapters'
// own statements are measured, without a runtime around them.

import { closeSync, openSync, readSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";

export class LocalSqlite {
  readonly db: DatabaseSync;

  constructor(file: string) {
    this.db = new DatabaseSync(file);
    // As D1 has it.
    this.db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  }

  d1(): D1Database {
    const prepared = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
    const statementOf = (sql: string): ReturnType<DatabaseSync["prepare"]> => {
      const statement = prepared.get(sql) ?? this.db.prepare(sql);
      prepared.set(sql, statement);
      return statement;
    };
    const answer = (sql: string, values: Readonly<Record<string, SQLInputValue>>): unknown => {
      const statement = statementOf(sql);
      if (statement.columns().length > 0)
        return { results: statement.all(values), meta: { changes: 0, size_after: 1 } };
      return { results: [], meta: { changes: Number(statement.run(values).changes), size_after: 1 } };
    };
    const bound = (sql: string, values: Readonly<Record<string, SQLInputValue>>): object => ({
      bind: (...more: SQLInputValue[]) => bound(sql, Object.fromEntries(more.map((value, i) => [`?${i + 1}`, value]))),
      run: async () => answer(sql, values),
      all: async () => answer(sql, values),
      answer: () => answer(sql, values),
    });
    const batch = async (statements: readonly { answer(): unknown }[]): Promise<unknown[]> => {
      this.db.exec("BEGIN");
      const answers = statements.map((one) => one.answer());
      this.db.exec("COMMIT");
      return answers;
    };
    return { prepare: (sql: string) => bound(sql, {}), batch } as unknown as D1Database;
  }

  storage(): SqlStorage {
    const exec = (sql: string, ...values: SQLInputValue[]): unknown => {
      const named = Object.fromEntries(values.map((value, i) => [`?${i + 1}`, value]));
      const statement = this.db.prepare(sql);
      const rows = (sql.includes("?1") ? statement.all(named) : statement.all(...values)).map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([column, value]) => [column, value instanceof Uint8Array ? bufferOf(value) : value]),
        ),
      );
      return { toArray: () => rows, one: () => rows[0]! };
    };
    return { exec } as unknown as SqlStorage;
  }

  /** Pages that `act` reads from the file, with nothing of it in memory before. Null where the system doesn't say. */
  async pagesRead(act: () => unknown): Promise<number | null> {
    this.db.exec("PRAGMA shrink_memory");
    const before = bytesRead();
    await act();
    const after = bytesRead();
    return before === null || after === null ? null : Math.round((after.bytes - before.bytes - after.own) / PAGE);
  }
}

const PAGE = 4_096;

const bufferOf = (bytes: Uint8Array): ArrayBuffer =>
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;

/** Bytes that the process has read of files so far, and those that the asking itself reads. */
function bytesRead(): { readonly bytes: number; readonly own: number } | null {
  try {
    const file = openSync("/proc/self/io", "r");
    const text = Buffer.alloc(1_000);
    const own = readSync(file, text);
    closeSync(file);
    return { bytes: Number(/rchar: (\d+)/.exec(text.toString())![1]), own };
  } catch {
    return null;
  }
}
