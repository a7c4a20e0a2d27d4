/**
 * Migrates the state of an older operator version to this version, with a step of `migrate` for each version.
 *
 * MIGRATION1. A migration that fails for one key concerns that key alone. The key's state stays as it is, with its
 *     version, until code comes that can migrate it, or somebody puts, removes or erases it. Everything else continues.
 * MIGRATION2. Nobody sees such a state as a state of this version, and no handler gets it.
 */
import { parseJson } from "../base/json.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { toState, type JsonObject } from "../base/json.ts";
import type { Operator } from "./operator.ts";

type Migrated =
  | { readonly tag: "migrated"; readonly text: string }
  /** `why`: the error of the migration, or the flaw of its result. */
  | { readonly tag: "failed"; readonly why: string };

/** Keys whose migration fails, as far as counted: their number, and some of them with the version of their state. */
export interface Unmigrated {
  readonly keys: number;
  readonly some: readonly UnmigratedKey[];
}
export type UnmigratedKey = readonly [key: string, version: number];

/** Number of unmigrated keys that are named. A person fixes the migration by the first of them. */
export const NAMED_KEYS = 5;

/** @throws Failure state_newer if the state is of a newer version than the operator's */
export function assertNotNewer({ name, version }: Operator, from: number): void {
  if (from > version)
    throw new Failure(
      "state_newer",
      `the snapshot holds state of version ${from}, and operator "${name}" is at version ${version}: deploy version ${from} or newer`,
    );
}

/** Migrates the state to this version. @throws Damage if the text isn't JSON */
export function migrated({ migrate, version }: Operator, from: number, text: string): Migrated {
  let state = parseJson(text, "a state");
  for (let step = from + 1; step <= version; step++) {
    try {
      state = migrate.get(step)!(state as JsonObject);
    } catch (error) {
      return { tag: "failed", why: `the step to version ${step} throws, ${messageOf(error).slice(0, WHY_CHARS)}` };
    }
  }
  const json = toState(state);
  if (json.tag === "not_json") return { tag: "failed", why: `it returns a state that ${json.why}` };
  return { tag: "migrated", text: json.text };
}

const WHY_CHARS = 500;

export const MIGRATION_FAILED = "migration_failed";

/** Returns the message for a caller who asks for the key. */
export function migrationFailed(operator: Operator, key: string, from: number, text: string): string {
  const result = migrated(operator, from, text);
  const why = result.tag === "failed" ? result.why : "the partition's object runs other code than this Worker";
  return `the state of key ${JSON.stringify(key)} is of version ${from}, and migrating it to version ${operator.version} fails: ${why}; the state is kept as it is: fix the migration and deploy again, or put another state`;
}
