/** Pieces of JSON Schema for the descriptions. */
import type { Schema } from "./described.ts";

export const STRING: Schema = { type: "string" };
export const BOOLEAN: Schema = { type: "boolean" };
/** A number of events or bytes, a seq, a manifest number. */
export const COUNT: Schema = { type: "integer", minimum: 0 };
export const NUMBER: Schema = { type: "number", minimum: 0 };
export const TIME: Schema = { type: "string", format: "date-time" };
/** Any JSON: a state, a reply, an event's data. */
export const ANY: Schema = {};

export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
export const list = (items: Schema, more: Schema = {}): Schema => ({ type: "array", items, ...more });
export const constant = (value: unknown): Schema => ({ const: value });
/** A schema of the document, by its name there. */
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

/** `?` after a name: the member may be missing. */
export function object(members: Readonly<Record<string, Schema>>, more: Schema = {}): Schema {
  const entries = Object.entries(members).map(([name, schema]) => [name.replace(/\?$/, ""), schema] as const);
  const required = Object.keys(members).filter((name) => !name.endsWith("?"));
  return { type: "object", properties: Object.fromEntries(entries), required, ...more };
}
