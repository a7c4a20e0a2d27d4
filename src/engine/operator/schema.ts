/**
 * Checks that the data of an event fits the schema of its type, and that the schema leaves the data as it is.
 *
 * SCHEMA2. A schema checks and doesn't change: handlers get the data as sent, because the log holds that data. If a
 *     schema gives other data (trimmed, coerced, filled in, caught), the event is rejected. Its handler would see data
 *     that the schema's type rules out. Members that the schema merely leaves out are no difference. The data is frozen
 *     first. A change in place by a schema or by `key` would be in the event's print here, but not at a replay, which
 *     has the log's text alone.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { messageOf } from "../base/errors.ts";

/** Returns why the data can't be this type's. Returns null if it can. @throws if the schema is asynchronous, which is a
 *  bug of the operator */
export function dataFlaw(schema: StandardSchemaV1, data: unknown, where: string): string | null {
  if (isFreezable(data)) freeze(data);
  let result: ReturnType<StandardSchemaV1["~standard"]["validate"]>;
  try {
    result = schema["~standard"].validate(data);
  } catch (error) {
    return `the schema threw: ${messageOf(error)}`;
  }
  if (result instanceof Promise) {
    result.catch(() => undefined);
    throw new TypeError(`the schema of ${where} is asynchronous; use a synchronous one`);
  }
  if (result.issues !== undefined) return issueText(result.issues);
  const change = result.value === data ? null : changeIn(result.value, data);
  return change === null ? null : changeText(change);
}

const isFreezable = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Freezes deeply. A frozen object is already frozen all through. */
function freeze(value: object): void {
  if (Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const member of Object.values(value) as unknown[]) if (isFreezable(member)) freeze(member);
}

interface Change {
  /** Steps from the change outwards. */
  readonly path: (string | number)[];
  readonly given: unknown;
  readonly sent: unknown;
}

/** Returns the first place at which `given` differs from `sent`. Returns null if there is none. Members of `sent` alone
 *  don't count. */
function changeIn(given: unknown, sent: unknown): Change | null {
  if (given === sent) return null;
  if (typeof given !== "object" || typeof sent !== "object" || given === null || sent === null)
    return { path: [], given, sent };
  if (Array.isArray(given)) {
    if (!Array.isArray(sent) || sent.length !== given.length) return { path: [], given, sent };
    for (let i = 0; i < given.length; i++) {
      const change = changeIn(given[i], sent[i]);
      if (change !== null) return under(i, change);
    }
    return null;
  }
  // A Date or a Map has no members of its own, so it would look like an object whose members are all left out.
  if (Array.isArray(sent) || !isPlain(given)) return { path: [], given, sent };
  const [made, was] = [given as Record<string, unknown>, sent as Record<string, unknown>];
  for (const name in made) {
    // The plain comparison comes first, because every event pays for it. An inherited member equals nothing that a
    // schema gives.
    if (made[name] === was[name]) continue;
    const change = changeIn(made[name], Object.hasOwn(was, name) ? was[name] : undefined);
    if (change !== null) return under(name, change);
  }
  return null;
}

function under(step: string | number, change: Change): Change {
  change.path.push(step);
  return change;
}

function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

function changeText({ path, given, sent }: Change): string {
  const at = ["data", ...path.toReversed()].join(".").slice(0, 200);
  const what =
    sent === undefined
      ? `the schema fills in ${shortText(given)}`
      : `the schema changes ${shortText(sent)} into ${shortText(given)}`;
  return `${at}: ${what}, but a schema only checks: send it as it should be`;
}

function shortText(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`.slice(0, 60);
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !isPlain(value))
    return `an object of class ${value.constructor?.name ?? "?"}`.slice(0, 60);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 50)}…` : text;
}

function issueText(
  issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[],
): string {
  const texts = issues.slice(0, 3).map((issue) => {
    const path = (issue.path ?? [])
      .map((step) => String(typeof step === "object" && step !== null && "key" in step ? step.key : step))
      .join(".");
    return path === "" ? `data: ${issue.message}` : `data.${path}: ${issue.message}`;
  });
  return texts.join("; ");
}
