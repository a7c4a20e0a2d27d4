/**
 * `GET /v1/operators/{op}/blame?key=&path=`: the newest event that changed a member of a key's state. It reads D1 and
 * R2 alone: no partition is woken (SNAP9).
 */
import { parsePointer } from "../../engine/history/json-pointer.ts";
import { blame, type Blame } from "../../engine/history/blame.ts";
import type { Route } from "../../engine/operator/routing.ts";
import type { Env } from "../env.ts";
import type { Grant } from "../http/access.ts";
import { json } from "../http/answers.ts";
import { type AskedHistory, eventText, historyPlace } from "./history-route.ts";

export async function getBlame(
  env: Env,
  route: Route,
  asked: AskedHistory & { readonly path: string | undefined },
  grant: Grant,
): Promise<Response> {
  const { path = "" } = asked;
  const place = await historyPlace(env, route, asked, grant);
  if (place instanceof Response) return place;
  const { reader, key, partition, before, at } = place;
  // The description has checked the path.
  const found = await blame(reader, key, parsePointer(path)!, before);
  const head = JSON.stringify({ operator: route.operator.name, key, partition, path }).slice(0, -1);
  return json(`${head},${foundText(found)}${at === null ? "" : `,"at":${at}`}}`);
}

/** The members are spliced in without parsing. */
function foundText(found: Blame): string {
  switch (found.tag) {
    case "changed": {
      const members = [memberText("from", found.from), memberText("to", found.to)];
      return `"item":${eventText(found.item, members.filter((text) => text !== "").join(","))}`;
    }
    case "unknown":
      return `"item":${eventText(found.item, `"unknown":${JSON.stringify(found.why)}`)}`;
    case "unchanged": {
      const { before, bottom } = found;
      return `"item":null${before !== null ? `,"before":${before}` : bottom === "given up" ? ',"expired":true' : ""}`;
    }
  }
}

const memberText = (name: string, text: string | null): string => (text === null ? "" : `"${name}":${text}`);
