/** Checks values by the schemas of a document, as they stand there, or closed: then what isn't described is wrong too. */
import { Validator } from "@cfworker/json-schema";
import type { Document } from "../../src/worker/api/openapi.ts";

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Returns a function that says why a value doesn't fit, or null if it does. */
export function checker({ components }: Document, schema: Schema): (value: unknown) => string | null {
  const validator = new Validator({ ...schema, components }, "2020-12", false);
  return (value) => {
    const { valid, errors } = validator.validate(value);
    return valid ? null : errors.map((error) => `${error.instanceLocation}: ${error.error}`).join("\n");
  };
}

/** The document with every object of its answers closed. */
export function closed(document: Document): Document {
  const schemas = Object.entries(document.components.schemas).map(
    // These are always one part of a whole, which is closed itself.
    ([name, schema]) => [name, ["Problem", "Unavailable"].includes(name) ? schema : closedSchema(schema)] as const,
  );
  return { ...document, components: { ...document.components, schemas: Object.fromEntries(schemas) } };
}

export function closedSchema(schema: Schema): Schema {
  const inside = Object.fromEntries(
    Object.entries(schema).map(([keyword, value]) => [keyword, within(keyword, value)]),
  );
  if ("allOf" in schema) return { ...inside, unevaluatedProperties: false };
  return "properties" in schema && !("additionalProperties" in schema)
    ? { ...inside, additionalProperties: false }
    : inside;
}

function within(keyword: string, value: unknown): unknown {
  switch (keyword) {
    case "properties":
      return Object.fromEntries(
        Object.entries(value as Readonly<Record<string, Schema>>).map(([name, one]) => [name, closedSchema(one)]),
      );
    case "anyOf":
    case "prefixItems":
      return (value as readonly Schema[]).map(closedSchema);
    case "items":
      return isSchema(value) ? closedSchema(value) : value;
    default:
      return value;
  }
}
