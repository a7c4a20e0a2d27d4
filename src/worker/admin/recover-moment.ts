/**
 * The moment of a recovery: `{"to": MOMENT}` of `POST /v1/operators/{op}/recover`, and whether the recovery may go on.
 * D1 may be empty, so savepoints are looked up in R2.
 */
import type { Databases, StoredOperator } from "../../adapters/catalogue.ts";
import { partitionWithLog, type KnownRow } from "../../adapters/rebuilt-rows.ts";
import { Damage, Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { operatorPrefix, partitionName, type PartitionId, type Stamp } from "../../engine/base/ids.ts";
import { isObject } from "../../engine/base/json.ts";
import { parseMoment, timelineIn } from "../../engine/history/moment.ts";
import type { Ancestors } from "../../engine/base/records.ts";
import { readRecord, storedSavepoints } from "../../engine/history/savepoint-object.ts";
import { isNamed } from "../../engine/history/timelines.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import type { Env } from "../env.ts";
import { jsonBody } from "../http/json-body.ts";
import type { CountedStore } from "../ingest/calls.ts";
import { problem } from "../problem.ts";
import { type Lineage, partsOf } from "../lineage.ts";
import { savepointFiles } from "../timelines.ts";
import { lineAt } from "./recover-lines.ts";

const BODY_BYTES = 4_096;

/** The names that an answer lists. */
const LISTED = 20;

/** The stores of one request, and what they have of the operator. */
export interface RecoveryStores {
  readonly env: Env;
  readonly operator: Operator;
  readonly databases: Databases;
  /** The line that comes back, with its past. */
  readonly lineage: Lineage;
  /** The line that the past begins with, if it is there no more. */
  readonly removed: number | null;
  /** The rows that D1 has on those lines. */
  readonly rows: readonly KnownRow[];
  /** The partitions that R2 has manifests of. */
  readonly inStore: readonly Pick<PartitionId, "line" | "partition">[];
  /** R2, with the calls of this request counted. */
  readonly objects: CountedStore;
}

type Start = Ancestors[number];

export interface RecoveryMoment {
  readonly at: Stamp;
  /** The caller says yes to a partition that doesn't reach the moment. */
  readonly incomplete: boolean;
  /**
   * How far each partition had come, by name, as a savepoint of this stamp says. Null if none does. A partition that
   * had logged nothing on the savepoint's line isn't in it.
   */
  readonly heads: ReadonlyMap<string, number | null> | null;
}

/** Returns null if the body names no moment: then the newest snapshots count. */
export async function recoveryMomentIn(
  request: Request,
  env: Env,
  main: Lineage,
): Promise<RecoveryMoment | null | Response> {
  const body = await jsonBody(request, BODY_BYTES);
  if (body instanceof Response) return body;
  const { to = null, incomplete = false } = isObject(body) ? body : { to: true };
  const text = typeof to === "number" ? String(to) : to;
  const valid = (text === null || typeof text === "string") && typeof incomplete === "boolean";
  if (!valid)
    return problem({
      status: 400,
      code: "invalid_body",
      detail: 'the body must be {"to"?: a moment, "incomplete"?: true or false}',
    });
  return text === null ? null : momentOf(env, main, text, incomplete);
}

/** A savepoint in R2, and the line that it was taken on. */
type LineSavepoint = Awaited<ReturnType<typeof storedSavepoints>>[number] & { readonly line: number };

/** Returns the savepoints of main that R2 has, with those that were taken on the lines of its past, up to its start. */
async function savepointsIn(env: Env, main: Lineage): Promise<readonly LineSavepoint[]> {
  const parts = partsOf(main).map(async ({ line, upTo }) => {
    const stored = await storedSavepoints(savepointFiles(env, line));
    return stored.filter((one) => one.at <= upTo && isNamed(one)).map((one) => ({ ...one, line }));
  });
  return (await Promise.all(parts)).flat();
}

async function momentOf(
  env: Env,
  main: Lineage,
  text: string,
  incomplete: boolean,
): Promise<RecoveryMoment | Response> {
  const moment = parseMoment(text);
  if (moment === null || moment.tag === "now" || moment.tag === "ago" || timelineIn(text) !== null)
    return problem({
      status: 400,
      code: "invalid_moment",
      detail: `${JSON.stringify(text.slice(0, 100))} names no fixed moment; write a savepoint's name, a stamp of 16 digits, or a time as 2026-01-31T12:00:00Z`,
    });
  const stored = await savepointsIn(env, main);
  if (moment.tag === "stamp") return { at: moment.at, incomplete, heads: await headsAt(env, main, moment.at, stored) };
  const stamps = [...new Set(stored.filter(({ name }) => name === moment.name).map(({ at }) => at))];
  const [at] = stamps;
  if (at === undefined) {
    const names = [...new Set(stored.map(({ name }) => name))].slice(0, LISTED).join(", ");
    const others = names === "" ? "it has none" : `it has ${names}`;
    return problem({
      status: 404,
      code: "no_savepoint",
      detail: `R2 has no savepoint "${moment.name}"; ${others}`,
    });
  }
  if (stamps.length > 1)
    return problem({
      status: 409,
      code: "savepoint_unclear",
      detail: `R2 has several savepoints "${moment.name}": send one of the stamps ${stamps.map((one) => `${one} (${stampTime(one)})`).join(", ")}`,
    });
  return { at, incomplete, heads: await headsAt(env, main, at, stored) };
}

/** Only a savepoint of the line that has the moment says how far that line had come. */
const headsAt = (
  env: Env,
  main: Lineage,
  at: Stamp,
  stored: readonly LineSavepoint[],
): Promise<RecoveryMoment["heads"]> => {
  const { line } = lineAt(main, at);
  return headsIn(
    env,
    line,
    stored.filter((one) => one.at === at && one.line === line),
  );
};

/** Returns the heads of the partitions at the start of a line, on the line that it starts from. Null if R2 doesn't say. */
export async function headsAtStart(
  env: Env,
  line: number,
  { line: parent, at }: Start,
): Promise<RecoveryMoment["heads"]> {
  const stored = await storedSavepoints(savepointFiles(env, parent));
  return headsIn(
    env,
    parent,
    stored.filter((one) => one.name === `@${line}` && one.at === at),
  );
}

/** @throws Failure store_unavailable, unknown_format */
async function headsIn(
  env: Env,
  line: number,
  stored: Awaited<ReturnType<typeof storedSavepoints>>,
): Promise<RecoveryMoment["heads"]> {
  for (const { object } of stored) {
    try {
      return new Map((await readRecord(savepointFiles(env, line), object)).heads);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      // Without it, more partitions count as incomplete, and nothing else changes.
      if (error.unreachable) throw new Failure("store_unavailable", error.message);
    }
  }
  return null;
}

/**
 * Returns the reason why the recovery may not go on, or null (RECOVERROUTE4). `isLost`: R2 has partitions of which D1
 * has no row.
 */
export async function refusal(
  { operator, databases, lineage, rows }: RecoveryStores,
  stored: StoredOperator | null,
  isLost: boolean,
  { at }: RecoveryMoment,
): Promise<Response | null> {
  if (stored !== null && stored.recovering !== null)
    return stored.recovering === at ? null : isRecovering(operator, stored.recovering);
  if (stored?.recovered === at && !isLost) return null;
  const used =
    rows[0] === undefined ? await logLeft(databases, lineage, operator) : `${rows[0].database} has rows of it`;
  if (used === null && (stored === null || !isLost)) return null;
  return problem({
    status: 409,
    code: "not_empty",
    detail: `operator "${operator.name}" is in use: ${used ?? "LOG_0 has its placement"}. A recovery to a moment needs new databases; without "to", it restores what D1 has lost`,
  });
}

export const isRecovering = ({ name }: Operator, at: Stamp): Response =>
  problem({
    status: 409,
    code: "recovering",
    detail: `operator "${name}" is being recovered to stamp ${at}, ${stampTime(at)}: send {"to":"${at}"}, or make the databases anew`,
  });

async function logLeft(databases: Databases, on: Lineage, { name }: Operator): Promise<string | null> {
  for (const line of lineNumbers(on)) {
    const partition = await partitionWithLog(databases, operatorPrefix(line, name));
    if (partition !== null) return `D1 has events of ${partition}`;
  }
  return null;
}

/** Returns the numbers of a line and of those of its past, the line's own first. */
export const lineNumbers = ({ line, ancestors }: Lineage): number[] => [line, ...ancestors.map((one) => one.line)];

/** Events that a partition of which R2 has nothing had logged up to the moment. */
export function missingOf(
  wanted: RecoveryMoment | null,
  { line }: Lineage,
  { name: operator }: Operator,
  partition: number,
): { readonly missing?: number } {
  const head = wanted?.heads?.get(partitionName({ line, operator, partition })) ?? 0;
  return head === 0 ? {} : { missing: head };
}
