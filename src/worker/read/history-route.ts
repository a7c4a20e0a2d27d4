/**
 * `GET /v1/operators/{op}/history?key=&limit=&before=`: the events of a key, newest first, each with its outcome and
 * the value after it. It reads D1 and R2 alone: no partition is woken (SNAP9).
 */
import { R2Store } from "../../adapters/r2-store.ts";
import { keyFlaw, partitionOfKey, type Route } from "../../engine/operator/routing.ts";
import { history, type HistoryItem } from "../../engine/history/history.ts";
import { seq } from "../../engine/base/ids.ts";
import type { Outcome } from "../../engine/log/outcome.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { logOf } from "./kept-manifests.ts";
import { problem } from "../problem.ts";
import { json } from "../http/answers.ts";
import { noGroup } from "./state-routes.ts";

const DEFAULT = 100;

export async function getHistory(
  env: Env,
  route: Route,
  given: { readonly key: string | undefined; readonly limit: number | undefined; readonly before: string | undefined },
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const { key, limit = DEFAULT } = given;
  const flaw = key === undefined ? "say which key, with ?key=" : keyFlaw(key);
  if (key === undefined || flaw !== null) return problem({ status: 400, code: "invalid_key", detail: flaw! });
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const before = given.before === undefined ? null : seq(Number(given.before));
  const partition = partitionOfKey(route, key);
  if (partition === null) return problem({ status: 400, code: "invalid_key", detail: noGroup(key) });
  const address = route.addresses[partition]!;
  const files = fileEnvironment(address, route.operator, new R2Store(env.SNAPSHOTS));
  const page = await history({ ...files, log: logOf(env, address) }, key, before, { items: limit });
  const head = JSON.stringify({ operator: route.operator.name, key, partition }).slice(0, -1);
  const more = page.before === null ? "" : `,"before":${page.before}`;
  const end = page.before === null && page.bottom === "given up" ? `,"expired":true` : "";
  return json(`${head},"items":[${page.items.map(itemText).join(",")}]${more}${end}}`);
}

/** The value is spliced in without parsing. */
function itemText({ seq: at, now, event, outcome, worded, operatorVersion, value }: HistoryItem): string {
  const time = new Date(now).toISOString();
  const head = JSON.stringify({ seq: at, time, event, outcome: outcomeShown(outcome, worded), operatorVersion });
  const after = value.tag === "known" ? `"value":${value.text}` : `"value":null,"unknown":${JSON.stringify(value.why)}`;
  return `${head.slice(0, -1)},${after}}`;
}

function outcomeShown(outcome: Outcome, worded: boolean): Record<string, unknown> {
  switch (outcome.tag) {
    case "applied":
      return { status: "applied", ...(worded ? { reply: JSON.parse(outcome.reply) as unknown } : {}) };
    case "refused":
      return { status: "refused", code: outcome.code, detail: JSON.parse(outcome.detail) as unknown };
    case "quarantined":
      return { status: "quarantined", error: outcome.error };
  }
}
