/**
 * From the state of an older operator version to that of this one, a step of `migrate` for each version.
 *
 * MIGRATION1. A migration that fails for one key concerns that key alone: its state stays as it is, with its version, until code comes
 *     that can migrate it, or somebody puts, removes or erases it. Everything else goes on.
 * MIGRATION2. Such a state is shown to nobody as a state of this version, and no handler gets it.
 */
import { parseJson } from "../base/json.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { toState, type JsonObject } from "../base/json.ts";
import type { Operator } from "./operator.ts";

export type Migrated =
  | { readonly tag: "migrated"; readonly text: string }
  /** `why`: what the migration threw, or what is wrong with what it gave. */
  | { readonly tag: "failed"; readonly why: string };

/** Keys whose migration fails, as far as they are counted: how many, and some of them with the version of their state. */
export interface Unmigrated {
  readonly keys: number;
  readonly some: readonly UnmigratedKey[];
}
export type UnmigratedKey = readonly [key: string, version: number];

/** Unmigrated keys that are named: a person mends the migration by the first of them. */
export const NAMED_KEYS = 5;

/** @throws Failure state_newer if the state is of a newer version than the operator's */
export function assertNotNewer({ name, version }: Operator, from: number): void {
  if (from > version)
    throw new Failure(
      "state_newer",
      `the snapshot holds state of version ${from}, and operator "${name}" is at version ${version}: deploy version ${from} or newer`,
    );
}

/** The state as this version's. @throws Damage if the text isn't JSON */
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
  if (json.tag === "not_json") return { tag: "failed", why: `it gives a state that ${json.why}` };
  return { tag: "migrated", text: json.text };
}

const WHY_CHARS = 500;

export const MIGRATION_FAILED = "migration_failed";

/** What a caller hears who asks for the key, in words. */
export function migrationFailed(operator: Operator, key: string, from: number, text: string): string {
  const result = migrated(operator, from, text);
  const why = result.tag === "failed" ? result.why : "the partition's object runs other code than this Worker";
  return `the state of key ${JSON.stringify(key)} is of version ${from}, and migrating it to version ${operator.version} fails: ${why}; the state is kept as it is: mend the migration and deploy again, or put another state`;
}
