/**
 * The moment of a recovery: `{"to": MOMENT}` of `POST /v1/operators/{op}/recover`, and whether the recovery may go on.
 * D1 may be empty, so savepoints are looked up in R2.
 */
import type { Databases, StoredOperator } from "../../adapters/catalogue.ts";
import { partitionWithLog, type KnownRow } from "../../adapters/rebuilt-rows.ts";
import { Damage, Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { FIRST_LINE, operatorPrefix, partitionName, type Stamp } from "../../engine/base/ids.ts";
import { isObject } from "../../engine/base/json.ts";
import { parseMoment, timelineIn } from "../../engine/history/moment.ts";
import { readRecord, storedSavepoints } from "../../engine/history/savepoint-object.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import type { Env } from "../env.ts";
import { jsonBody } from "../http/json-body.ts";
import type { CountedStore } from "../ingest/calls.ts";
import { problem } from "../problem.ts";
import { settledAt } from "../read/moments.ts";
import { savepointFiles } from "../timelines.ts";

const BODY_BYTES = 4_096;

/** The names that an answer lists. */
const LISTED = 20;

/** The stores of one request, and what they have of the operator. */
export interface RecoveryStores {
  readonly env: Env;
  readonly operator: Operator;
  readonly databases: Databases;
  readonly rows: readonly KnownRow[];
  /** R2, with the calls of this request counted. */
  readonly objects: CountedStore;
}

export interface RecoveryMoment {
  readonly at: Stamp;
  /** The caller says yes to a partition that doesn't reach the moment. */
  readonly incomplete: boolean;
  /**
   * How far each partition had come, by name, as a savepoint of this stamp says. Null if none does. A partition that
   * had logged nothing isn't in it.
   */
  readonly heads: ReadonlyMap<string, number | null> | null;
}

/** Returns null if the body names no moment: then the newest snapshots count. */
export async function recoveryMomentIn(request: Request, env: Env): Promise<RecoveryMoment | null | Response> {
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
  return text === null ? null : momentOf(env, text, incomplete);
}

async function momentOf(env: Env, text: string, incomplete: boolean): Promise<RecoveryMoment | Response> {
  const moment = parseMoment(text);
  if (moment === null || moment.tag === "now" || moment.tag === "ago" || timelineIn(text) !== null)
    return problem({
      status: 400,
      code: "invalid_moment",
      detail: `${JSON.stringify(text.slice(0, 100))} names no fixed moment; write a savepoint's name, a stamp of 16 digits, or a time as 2026-01-31T12:00:00Z`,
    });
  const stored = await storedSavepoints(savepointFiles(env, FIRST_LINE));
  if (moment.tag === "stamp") return { at: moment.at, incomplete, heads: await headsAt(env, moment.at, stored) };
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
  return { at, incomplete, heads: await headsAt(env, at, stored) };
}

/** @throws Failure store_unavailable, unknown_format */
async function headsAt(
  env: Env,
  at: Stamp,
  stored: Awaited<ReturnType<typeof storedSavepoints>>,
): Promise<RecoveryMoment["heads"]> {
  for (const { object } of stored.filter((one) => one.at === at)) {
    try {
      return new Map((await readRecord(savepointFiles(env, FIRST_LINE), object)).heads);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      // Without it, more partitions count as incomplete, and nothing else changes.
      if (error.unreachable) throw new Failure("store_unavailable", error.message);
    }
  }
  return null;
}

/**
 * Returns the reason why the recovery may not go on, or null (RECOVERROUTE4). Settles the moment before the first row.
 * `isLost`: R2 has partitions of which D1 has no row.
 */
export async function refusal(
  { env, operator, databases, rows }: RecoveryStores,
  stored: StoredOperator | null,
  isLost: boolean,
  { at }: RecoveryMoment,
): Promise<Response | null> {
  if (stored !== null && stored.recovering !== null)
    return stored.recovering === at ? null : isRecovering(operator, stored.recovering);
  if (stored?.recovered === at && !isLost) return null;
  const used = rows[0] === undefined ? await logLeft(databases, operator) : `${rows[0].database} has rows of it`;
  if (used === null && (stored === null || !isLost)) {
    const settled = await settledAt(env, { line: FIRST_LINE, ancestors: [] }, String(at));
    return settled instanceof Response ? settled : null;
  }
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

async function logLeft(databases: Databases, { name }: Operator): Promise<string | null> {
  const partition = await partitionWithLog(databases, operatorPrefix(FIRST_LINE, name));
  return partition === null ? null : `D1 has events of ${partition}`;
}

/** Events that a partition of which R2 has nothing had logged up to the moment. */
export function missingOf(
  wanted: RecoveryMoment | null,
  { name: operator }: Operator,
  partition: number,
): { readonly missing?: number } {
  const head = wanted?.heads?.get(partitionName({ line: FIRST_LINE, operator, partition })) ?? 0;
  return head === 0 ? {} : { missing: head };
}
