/**
 * `GET /v1/operators/{op}/history?key=&limit=&before=`: the events of a key, newest first, each with its outcome and
 * the value after it. It reads D1 and R2 alone: no partition is woken (SNAP9).
 */
import { keyFlaw, partitionOfKey, type Route } from "../../engine/operator/routing.ts";
import type { KeyEvent } from "../../engine/history/events.ts";
import { history } from "../../engine/history/history.ts";
import { pastKeys } from "../../engine/history/past.ts";
import { seq, type Seq, type Stamp } from "../../engine/base/ids.ts";
import type { LogEnvironment } from "../../engine/operator/environment.ts";
import type { Outcome } from "../../engine/log/outcome.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import type { Env } from "../env.ts";
import { logEnvironment } from "./kept-manifests.ts";
import { momentGone, settledAt } from "./moments.ts";
import { problem } from "../problem.ts";
import { json } from "../http/answers.ts";
import { noGroup } from "./state-routes.ts";

const DEFAULT = 100;

/** A key, and where its history begins: below an event, or at a moment. */
export interface AskedHistory {
  readonly key: string | undefined;
  readonly before: string | undefined;
  readonly at: string | undefined;
}

export async function getHistory(
  env: Env,
  route: Route,
  asked: AskedHistory & { readonly limit: number | undefined },
  grant: Grant,
): Promise<Response> {
  const place = await historyPlace(env, route, asked, grant);
  if (place instanceof Response) return place;
  const { reader, key, partition, before, at } = place;
  const page = await history(reader, key, before, { items: asked.limit ?? DEFAULT });
  const head = JSON.stringify({ operator: route.operator.name, key, partition }).slice(0, -1);
  const more = page.before === null ? "" : `,"before":${page.before}`;
  const end = page.before === null && page.bottom === "given up" ? `,"expired":true` : "";
  const items = page.items.map(({ value, ...item }) =>
    eventText(
      item,
      value.tag === "known" ? `"value":${value.text}` : `"value":null,"unknown":${JSON.stringify(value.why)}`,
    ),
  );
  return json(`${head},"items":[${items.join(",")}]${more}${end}${at === null ? "" : `,"at":${at}`}}`);
}

interface PlaceInHistory {
  readonly reader: LogEnvironment;
  readonly key: string;
  readonly partition: number;
  readonly before: Seq | null;
  /** Null if no moment was asked for. */
  readonly at: Stamp | null;
}

/** Returns where to read, or the problem. */
export async function historyPlace(
  env: Env,
  route: Route,
  given: AskedHistory,
  { keyPrefix = "" }: Grant,
): Promise<PlaceInHistory | Response> {
  const { key } = given;
  const flaw = key === undefined ? "name the key with ?key=" : keyFlaw(key);
  if (key === undefined || flaw !== null) return problem({ status: 400, code: "invalid_key", detail: flaw! });
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const partition = partitionOfKey(route, key);
  if (partition === null) return problem({ status: 400, code: "invalid_key", detail: noGroup(key) });
  const address = route.addresses[partition]!;
  const reader = logEnvironment(env, route, address);
  let before = given.before === undefined ? null : seq(Number(given.before));
  const at = given.at === undefined ? null : await settledAt(env, route, given.at);
  if (at instanceof Response) return at;
  if (at !== null) {
    const past = await pastKeys(reader, at, [], 0);
    if (past.tag === "gone") return momentGone(past);
    before = seq(Math.min(before ?? Number.POSITIVE_INFINITY, past.seq + 1));
  }
  return { reader, key, partition, before, at };
}

/** `values`: members as a text, since values are spliced in without parsing. */
export function eventText({ seq: at, now, event, outcome, worded, operatorVersion }: KeyEvent, values: string): string {
  const time = new Date(now).toISOString();
  const head = JSON.stringify({ seq: at, time, event, outcome: outcomeShown(outcome, worded), operatorVersion });
  return `${head.slice(0, -1)}${values === "" ? "" : `,${values}`}}`;
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
