/**
 * Every route. If a registered route isn't listed here, or a listed one isn't registered, test/worker/api/openapi.test.ts
 * fails.
 */
import type { Described, Schema } from "./described.ts";
import { PROBLEM, UNAVAILABLE_PROBLEM } from "./common.ts";
import { CHANGES } from "./changes.ts";
import { DIFF } from "./diff.ts";
import { CHECK } from "./check.ts";
import { DELETE_STATE, EXPORT, GET_ERASURE, POST_ERASURE, PUT_STATE } from "./edits.ts";
import { EVENT_SCHEMAS, POST_ASK, POST_EVENTS } from "./events.ts";
import { ADOPT, EVICT, LIST_PARTITIONS, PARTITION_SCHEMAS, RECOVER, SHOW_PARTITION, VERIFY } from "./partitions.ts";
import {
  DELETE_MANY,
  DELETE_QUARANTINED,
  GROUP_QUARANTINE,
  LIST_QUARANTINE,
  RETRY_MANY,
  RETRY_QUARANTINED,
} from "./quarantine.ts";
import {
  DASHBOARD_PAGE,
  DASHBOARD_SCRIPT,
  DASHBOARD_STYLE,
  DOCS,
  DOCTOR,
  HEALTH,
  METRICS,
  OPENAPI,
  OVERVIEW,
} from "./service.ts";
import { BLAME, HISTORY } from "./history.ts";
import { LIST_MANIFESTS, LIST_PINS, PIN, SHOW_MANIFEST, SNAPSHOT, SNAPSHOT_SCHEMAS, UNPIN } from "./snapshots.ts";
import { DELETE_SAVEPOINT, GET_SAVEPOINT, LIST_SAVEPOINTS, PUT_SAVEPOINT, SAVEPOINT_SCHEMAS } from "./savepoints.ts";
import {
  DELETE_PROMOTION,
  DELETE_TIMELINE,
  GET_PROMOTION,
  GET_TIMELINE,
  ADVANCE_TIMELINE,
  LIST_TIMELINES,
  POST_PROMOTION,
  PUT_TIMELINE,
  TIMELINE_SCHEMAS,
} from "./timelines.ts";
import { GET_STATE, GET_STATE_BY_PATH, GET_TIMERS, LIST_OPERATORS, POST_BATCH, STATE_SCHEMAS, WATCH } from "./state.ts";

export const DESCRIBED: readonly Described[] = [
  POST_EVENTS,
  POST_ASK,
  LIST_OPERATORS,
  GET_STATE,
  GET_STATE_BY_PATH,
  POST_BATCH,
  GET_TIMERS,
  WATCH,
  PUT_STATE,
  DELETE_STATE,
  EXPORT,
  POST_ERASURE,
  GET_ERASURE,
  LIST_PARTITIONS,
  SHOW_PARTITION,
  VERIFY,
  EVICT,
  ADOPT,
  RECOVER,
  SNAPSHOT,
  LIST_MANIFESTS,
  SHOW_MANIFEST,
  LIST_PINS,
  PIN,
  UNPIN,
  LIST_QUARANTINE,
  GROUP_QUARANTINE,
  RETRY_QUARANTINED,
  DELETE_QUARANTINED,
  RETRY_MANY,
  DELETE_MANY,
  HEALTH,
  OPENAPI,
  DOCS,
  DOCTOR,
  HISTORY,
  BLAME,
  CHANGES,
  DIFF,
  PUT_SAVEPOINT,
  LIST_SAVEPOINTS,
  GET_SAVEPOINT,
  DELETE_SAVEPOINT,
  PUT_TIMELINE,
  LIST_TIMELINES,
  GET_TIMELINE,
  ADVANCE_TIMELINE,
  DELETE_TIMELINE,
  GET_PROMOTION,
  POST_PROMOTION,
  DELETE_PROMOTION,
  METRICS,
  OVERVIEW,
  CHECK,
  DASHBOARD_PAGE,
  DASHBOARD_SCRIPT,
  DASHBOARD_STYLE,
];

/** Returns the methods of a path; none if there is no such path. */
export function methodsOf(path: string): string[] {
  const parts = path.split("/");
  const fits = (template: readonly string[]): boolean =>
    (template.at(-1) === "*" ? parts.length >= template.length : parts.length === template.length) &&
    template.every((part, i) => part === "*" || part.startsWith(":") || part === parts[i]);
  const found = DESCRIBED.filter((route) => fits(route.path.split("/")));
  return [...new Set(found.flatMap((route) => (hasHead(route) ? [route.method, "HEAD"] : [route.method])))];
}

/** Tests for a GET whose answer has an end. */
const hasHead = ({ method, problems }: Described): boolean => method === "GET" && problems?.[405] === undefined;

/** Schemas that descriptions refer to by name. */
export const NAMED_SCHEMAS: Readonly<Record<string, Schema>> = {
  ...EVENT_SCHEMAS,
  ...STATE_SCHEMAS,
  ...PARTITION_SCHEMAS,
  ...SNAPSHOT_SCHEMAS,
  ...SAVEPOINT_SCHEMAS,
  ...TIMELINE_SCHEMAS,
  Problem: PROBLEM,
  Unavailable: UNAVAILABLE_PROBLEM,
};
