/**
 * The quarantine: lists entries, counts them by error, and retries or deletes one entry or many.
 *
 * QUARANTINEROUTES1. Retry and delete are events of their own, so they count once and are logged (ONE6). A duplicate
 *     command gets the outcome of the first one.
 * QUARANTINEROUTES2. Partitions are asked one after the other, since all of them together may hold more than a Worker's
 *     memory.
 * QUARANTINEROUTES3. A command on many entries takes a page at a time, by partition and seq. The first page fixes the
 *     latest time of receipt. So the pages come to an end while new events are being quarantined.
 */
import type { Address, Route } from "../../engine/operator/routing.ts";
import { seq, type Seq } from "../../engine/base/ids.ts";
import { QUARANTINE_PAGE_CHARS } from "../../engine/base/limits.ts";
import { NO_REPLY, parseOutcome, type Outcome } from "../../engine/log/outcome.ts";
import {
  DELETE,
  quarantineId,
  RETRY,
  type QuarantineGroup,
  type Quarantined,
  type Settled,
  type Wanted,
} from "../../engine/state/quarantine.ts";
import { notQuarantined, STEERED_AT_ONCE } from "../api/quarantine.ts";
import type { Env } from "../env.ts";
import { sendCommand, sendCommands, type CommandEvent } from "../ingest/command.ts";
import { STATUS_NAMES } from "../ingest/event-result.ts";
import { problem } from "../problem.ts";
import { DUPLICATE } from "../../engine/partition/protocol.ts";
import { askPartition, badCursor, json, unavailable } from "../http/answers.ts";
import { partitionStub } from "../stub.ts";

type Steering = "retry" | "delete";

interface Filter {
  readonly type: string | undefined;
  readonly errorName: string | undefined;
  readonly error: string | undefined;
}

interface Paged extends Filter {
  readonly limit: number | undefined;
  readonly cursor: string | undefined;
}

function wantedOf({ type, errorName, error }: Filter): Wanted {
  return {
    ...(type !== undefined && { type }),
    ...(errorName !== undefined && { errorName }),
    ...(error !== undefined && { error }),
  };
}

/** Without `limit` a page is as large as an answer may be. */
export async function listQuarantine(env: Env, route: Route, given: Paged): Promise<Response> {
  const { limit = Number.POSITIVE_INFINITY, cursor } = given;
  const wanted = wantedOf(given);
  const from = readCursor(cursor);
  if (from === null || from.partition >= route.addresses.length) return badCursor();
  const texts: string[] = [];
  let chars = 0;
  let last = "";
  for (const address of route.addresses.slice(from.partition)) {
    const after = address.partition === from.partition ? from.seq : seq(0);
    // A full page asks for one more entry, to know whether there is a next page.
    const [left, room] = [limit - texts.length, QUARANTINE_PAGE_CHARS - chars];
    const full = left <= 0 || room <= 0;
    const answer = await askPartition(() =>
      partitionStub(env, address).quarantinePage(address, after, full ? 1 : left, full ? 1 : room, wanted),
    );
    if (answer.tag === "busy") return unavailable(answer);
    const { items, more } = answer.value;
    if (full && items.length > 0) return quarantineJson(texts, last);
    for (const entry of items) {
      texts.push(entryText(address.partition, entry));
      chars += texts.at(-1)!.length;
      last = quarantineId(address.partition, entry.seq);
    }
    if (more) return quarantineJson(texts, last);
  }
  return quarantineJson(texts, null);
}

const quarantineJson = (texts: readonly string[], cursor: string | null): Response =>
  json(`{"items":[${texts.join(",")}]${cursor === null ? "" : `,"cursor":"${cursor}"`}}`);

const ENTRY_ID = /^(\d{1,9})-(\d{1,15})$/;

interface Place {
  readonly partition: number;
  readonly seq: Seq;
}

/** Returns the id of the last entry, which is the cursor, or null if the cursor is malformed. */
function readCursor(cursor: string | undefined): Place | null {
  if (cursor === undefined) return { partition: 0, seq: seq(0) };
  const match = ENTRY_ID.exec(cursor);
  return match === null ? null : { partition: Number(match[1]), seq: seq(Number(match[2])) };
}

/** The event's text is spliced in as it was sent. */
function entryText(partition: number, entry: Quarantined): string {
  const { seq: at, type, key, error, errorName, stack, operatorVersion, code, now, event } = entry;
  const head = JSON.stringify({
    id: quarantineId(partition, at),
    partition,
    seq: at,
    type,
    key,
    error,
    ...(errorName !== undefined && { errorName, stack }),
    operatorVersion,
    code,
    time: new Date(now).toISOString(),
  });
  return `${head.slice(0, -1)},"event":${event}}`;
}

/** Groups of one answer. Further groups are only counted. */
const GROUPS = 200;

/** Counts entries by type and error, the largest groups first. */
export async function groupQuarantine(env: Env, route: Route): Promise<Response> {
  const groups = new Map<string, QuarantineGroup & { readonly id: string }>();
  for (const address of route.addresses) {
    const answer = await askPartition(() => partitionStub(env, address).quarantineGroups(address));
    if (answer.tag === "busy") return unavailable(answer);
    for (const group of answer.value) {
      const { type, errorName, error, events, first, since } = group;
      const name = JSON.stringify([type, errorName, error]);
      const had = groups.get(name);
      const id = had?.id ?? quarantineId(address.partition, first);
      groups.set(name, {
        ...group,
        id,
        events: events + (had?.events ?? 0),
        since: Math.min(since, had?.since ?? since),
      });
    }
  }
  const all = [...groups.values()].sort((a, b) => b.events - a.events);
  const items = all.slice(0, GROUPS).map(({ type, errorName, error, events, id, since }) => ({
    type,
    ...(errorName !== null && { errorName }),
    error,
    events,
    first: id,
    since: new Date(since).toISOString(),
  }));
  return Response.json({
    items,
    events: all.reduce((sum, { events }) => sum + events, 0),
    groups: all.length,
  });
}

export async function steerQuarantine(env: Env, route: Route, id: string, command: Steering): Promise<Response> {
  const missing = problem({
    status: 404,
    code: "not_quarantined",
    detail: notQuarantined(id, route.operator.name),
  });
  const match = ENTRY_ID.exec(id);
  const address = route.addresses[Number(match?.[1] ?? -1)];
  if (match === null || address === undefined) return missing;
  const target = seq(Number(match[2]));
  // Another command may remove the entry before this one runs, so look again.
  for (let round = 0; round < 2; round++) {
    const found = await askPartition(() => partitionStub(env, address).setAside(address, target));
    if (found.tag === "busy") return unavailable(found);
    if (found.value === null) return missing;
    if (found.value.tag === "settled") return settled(id, command, found.value.settled, found.value.outcome);
    const { key } = found.value.entry;
    const result = await sendCommand(env, route, address, commandOn(command, { seq: target, key }));
    if (result.tag !== "decided") return problem({ status: 503, code: result.code, detail: result.message });
    const [, at, text] = result.details[0]!;
    const outcome = outcomeOf(text);
    if (outcome.tag === "refused" && outcome.code === "not_quarantined") continue;
    return Response.json({ id, command, status: outcome.tag, seq: at, duplicate: false, ...detailOf(outcome) });
  }
  return missing;
}

function commandOn(command: Steering, { seq: at, key }: Pick<Quarantined, "seq" | "key">): CommandEvent {
  const type = command === "retry" ? RETRY : DELETE;
  return { type, source: "keyframe:quarantine", id: crypto.randomUUID(), key, data: { seq: at } };
}

const outcomeOf = (text: string | null): Outcome =>
  text === null ? { tag: "applied", reply: NO_REPLY } : parseOutcome(text);

/**
 * The entry was settled before. The same command gets its first outcome, another command is told that it is too late.
 */
function settled(id: string, command: Steering, { how, by }: Settled, text: string | null): Response {
  if (how !== (command === "retry" ? "retried" : "deleted"))
    return problem({
      status: 409,
      code: "settled",
      detail: `event ${id} is not in the quarantine any more: ${TOLD[how]} by seq ${by}`,
      more: { how, seq: by },
    });
  // The sender of a deleted event gets a refusal, though the delete command itself was applied.
  const outcome = outcomeOf(how === "retried" ? text : null);
  return Response.json({ id, command, status: outcome.tag, seq: by, duplicate: true, ...detailOf(outcome) });
}

const TOLD = { retried: "it was retried", deleted: "it was deleted", erased: "its key was erased" } as const;

function detailOf(outcome: Outcome): Record<string, unknown> {
  switch (outcome.tag) {
    case "applied":
      return { value: JSON.parse(outcome.reply) as unknown };
    case "refused":
      return { code: outcome.code, detail: JSON.parse(outcome.detail) as unknown };
    case "quarantined":
      return { error: outcome.error };
  }
}

const STEERED_CURSOR = /^(\d{1,9}-\d{1,15})-(\d{1,15})$/;

interface SteeredItem {
  readonly id: string;
  readonly status: string;
  readonly code?: string;
  readonly error?: string;
}

/** Retries or deletes the selected entries, one page (QUARANTINEROUTES3). */
export async function steerMany(
  env: Env,
  route: Route,
  command: Steering,
  given: Paged & { readonly all?: string | undefined },
): Promise<Response> {
  const { limit = STEERED_AT_ONCE, cursor } = given;
  const wanted = wantedOf(given);
  if (command === "delete" && Object.keys(wanted).length === 0 && given.all === undefined)
    return problem({
      status: 400,
      code: "no_filter",
      detail: "select the events to delete: type, errorName or error; or all=true for every one",
    });
  const [, place, until] = STEERED_CURSOR.exec(cursor ?? "") ?? [];
  const from = readCursor(place);
  if (from === null || (cursor !== undefined && place === undefined) || from.partition >= route.addresses.length)
    return badCursor();
  const untilMs = until === undefined ? Date.now() : Number(until);
  const items: SteeredItem[] = [];
  for (const address of route.addresses.slice(from.partition)) {
    const after = address.partition === from.partition ? from.seq : seq(0);
    const answer = await askPartition(() =>
      partitionStub(env, address).quarantinePage(address, after, limit - items.length, QUARANTINE_PAGE_CHARS, {
        ...wanted,
        untilMs,
      }),
    );
    if (answer.tag === "busy")
      return items.length === 0 ? unavailable(answer) : page(command, items, cursorAt(address, after, untilMs));
    const { items: entries, more } = answer.value;
    if (entries.length > 0) {
      const done = await steerSome(env, route, address, command, entries);
      if (done.tag === "busy")
        return items.length === 0
          ? problem({ status: 503, code: done.code, detail: done.message })
          : page(command, items, cursorAt(address, after, untilMs));
      items.push(...done.items);
    }
    const last = entries.at(-1)?.seq ?? after;
    if (more || items.length >= limit) return page(command, items, cursorAt(address, last, untilMs));
  }
  return page(command, items, null);
}

const cursorAt = ({ partition }: Address, last: Seq, untilMs: number): string =>
  `${quarantineId(partition, last)}-${untilMs}`;

function page(command: Steering, items: readonly SteeredItem[], cursor: string | null): Response {
  const count = (status: string): number => items.filter((item) => item.status === status).length;
  const counts = { applied: count("applied"), refused: count("refused"), quarantined: count("quarantined") };
  return Response.json({ command, ...counts, gone: count("gone"), items, ...(cursor !== null && { cursor }) });
}

/** Runs the commands in one group, in the order of their seqs. */
async function steerSome(
  env: Env,
  route: Route,
  address: Address,
  command: Steering,
  entries: readonly Quarantined[],
): Promise<{ tag: "done"; items: SteeredItem[] } | { tag: "busy"; code: string; message: string }> {
  const commands = entries.map((entry) => commandOn(command, entry));
  const result = await sendCommands(env, route, address, commands, false);
  if (result.tag !== "decided") return { tag: "busy", code: result.code, message: result.message };
  const details = new Map(result.details.map(([index, , text]) => [index, text]));
  const items = entries.map(({ seq: at }, i): SteeredItem => {
    const id = quarantineId(address.partition, at);
    const text = details.get(i) ?? null;
    const outcome = text === null ? null : parseOutcome(text);
    if (outcome?.tag === "refused")
      return outcome.code === "not_quarantined"
        ? { id, status: "gone" }
        : { id, status: "refused", code: outcome.code };
    if (outcome?.tag === "quarantined") return { id, status: "quarantined", error: outcome.error };
    return { id, status: STATUS_NAMES[(result.statuses[i] ?? 0) & ~DUPLICATE] ?? "applied" };
  });
  return { tag: "done", items };
}
