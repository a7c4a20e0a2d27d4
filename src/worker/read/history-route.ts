/**
 * `GET /v1/operators/{op}/history?key=&limit=&before=`: the events of a key, newest first, each with its outcome and
 * the value after it. It reads D1 and R2 alone: no partition is woken (SNAP9).
 */
import { keyFlaw, partitionOfKey, type Route } from "../../engine/operator/routing.ts";
import { history, type HistoryItem } from "../../engine/history/history.ts";
import { pastKeys } from "../../engine/history/past.ts";
import { seq } from "../../engine/base/ids.ts";
import type { Outcome } from "../../engine/log/outcome.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import type { Env } from "../env.ts";
import { logEnvironment } from "./kept-manifests.ts";
import { momentGone, settledAt } from "./moments.ts";
import { problem } from "../problem.ts";
import { json } from "../http/answers.ts";
import { noGroup } from "./state-routes.ts";

const DEFAULT = 100;

interface Asked {
  readonly key: string | undefined;
  readonly limit: number | undefined;
  readonly before: string | undefined;
  readonly at: string | undefined;
}

export async function getHistory(env: Env, route: Route, given: Asked, { keyPrefix = "" }: Grant): Promise<Response> {
  const { key, limit = DEFAULT } = given;
  const flaw = key === undefined ? "name the key with ?key=" : keyFlaw(key);
  if (key === undefined || flaw !== null) return problem({ status: 400, code: "invalid_key", detail: flaw! });
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const partition = partitionOfKey(route, key);
  if (partition === null) return problem({ status: 400, code: "invalid_key", detail: noGroup(key) });
  const address = route.addresses[partition]!;
  const reader = logEnvironment(env, route, address);
  let before = given.before === undefined ? null : seq(Number(given.before));
  const at = given.at === undefined ? null : await settledAt(env, given.at);
  if (at instanceof Response) return at;
  if (at !== null) {
    const past = await pastKeys(reader, at, [], 0);
    if (past.tag === "gone") return momentGone(past);
    before = seq(Math.min(before ?? Number.POSITIVE_INFINITY, past.seq + 1));
  }
  const page = await history(reader, key, before, { items: limit });
  const head = JSON.stringify({ operator: route.operator.name, key, partition }).slice(0, -1);
  const more = page.before === null ? "" : `,"before":${page.before}`;
  const end = page.before === null && page.bottom === "given up" ? `,"expired":true` : "";
  return json(
    `${head},"items":[${page.items.map(itemText).join(",")}]${more}${end}${at === null ? "" : `,"at":${at}`}}`,
  );
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
