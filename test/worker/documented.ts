/** Answers as the OpenAPI document has them: what any test of a route gets must stand there, and have no member beside. */
import { expect } from "vitest";
import { openApi, type Operation } from "../../src/worker/api/openapi.ts";
import { checker, closed, closedSchema } from "../openapi/schemas.ts";

const document = closed(openApi([]));
const paths = Object.entries(document.paths).map(([template, methods]) => ({
  template,
  // A key in the path may have slashes.
  pattern: new RegExp(`^${template.replaceAll("{key}", ".*").replaceAll(/\{\w+\}/g, "[^/]*")}$`),
  methods,
}));
const checkers = new Map<string, (value: unknown) => string | null>();

/** The operation that a request is, the most exact of those that it could be. */
export function operationOf(method: string, path: string): Operation | undefined {
  const plain = new URL(path, "http://localhost").pathname;
  const found = paths.filter(({ pattern, methods }) => pattern.test(plain) && methods[method.toLowerCase()]);
  return found.sort((a, b) => Number(a.template.endsWith("}")) - Number(b.template.endsWith("}")))[0]?.methods[
    method.toLowerCase()
  ];
}

/** A body beyond this has its like in smaller ones, and checking takes its time. */
const CHECKED_CHARS = 200_000;

export function expectDocumented(method: string, path: string, response: Response, text: string): void {
  const operation = operationOf(method, path);
  if (operation === undefined) return;
  const at = `${operation.operationId} ${response.status}`;
  const reply = operation.responses[response.status];
  expect(reply, `${at} isn't in the document: ${text.slice(0, 300)}`).toBeDefined();
  const type = response.headers.get("content-type")?.split(";")[0];
  const schema = type === undefined ? undefined : reply!.content?.[type]?.schema;
  if (text === "" && reply!.content === undefined) return;
  expect(schema, `${at} isn't ${type} in the document`).toBeDefined();
  if (text.length > CHECKED_CHARS) return;
  const key = `${at} ${type}`;
  const check = checkers.get(key) ?? checker(document, closedSchema(schema!));
  checkers.set(key, check);
  expect(check(type?.endsWith("json") === true ? JSON.parse(text) : text), `${at}: ${text.slice(0, 300)}`).toBeNull();
}
