// A Durable Object namespace that counts each call on a stub as one request of the bill. And a Durable Object's own
// storage that counts the rows it reads and writes.

import { counters } from "./counters.ts";

type Call = (...args: unknown[]) => unknown;

export function countedObjects<T extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<T>,
): DurableObjectNamespace<T> {
  return new Proxy(namespace, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== "function") return member;
      const method = (member as Call).bind(target);
      if (name !== "get" && name !== "getByName") return method;
      return (...args: unknown[]) => countedStub(method(...args) as object);
    },
  });
}

function countedStub(stub: object): object {
  return new Proxy(stub, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== "function" || name === "then") return member;
      // A method of a stub is itself a remote reference: it is called where it stands, since bind() would be a remote call.
      return (...args: unknown[]) => {
        counters.objectRequests += 1;
        return (target as Record<string | symbol, Call>)[name]?.(...args);
      };
    },
  });
}

/** Shadows the writing methods on this one instance. An alarm that is set costs one row written. */
export function countStorage(storage: DurableObjectStorage): void {
  shadow(storage, "put", (args) => (typeof args[0] === "string" ? 1 : Object.keys(args[0] as object).length));
  shadow(storage, "delete", (args) => (Array.isArray(args[0]) ? args[0].length : 1));
  shadow(storage, "setAlarm", () => 1);
  shadow(storage.kv, "put", () => 1);
  shadow(storage.kv, "delete", () => 1);
  const exec = storage.sql.exec.bind(storage.sql);
  const counted = (query: string, ...bindings: unknown[]): unknown => {
    const cursor = exec(query, ...bindings);
    counters.objectRowsWritten += cursor.rowsWritten;
    counters.objectRowsRead += cursor.rowsRead;
    return cursor;
  };
  Object.defineProperty(storage.sql, "exec", { value: counted });
}

function shadow(holder: object, name: string, rows: (args: unknown[]) => number): void {
  const inner = (Reflect.get(holder, name) as Call).bind(holder);
  const counted = (...args: unknown[]): unknown => {
    counters.objectRowsWritten += rows(args);
    return inner(...args);
  };
  Object.defineProperty(holder, name, { value: counted });
}
