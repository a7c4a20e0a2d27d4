/** The judgements of `keyframe doctor`: pure functions, each result a line. */
import type { DoctorInfo, OperatorStatus, PartitionInfo, StoreInfo, UnmigratedInfo } from "../client/admin-answers.ts";
import { MIGRATE } from "./app.ts";
import type { Paint } from "./text.ts";
import { age, bytes, since, count, span } from "../client/amounts.ts";
import { quantile, quoted } from "./text.ts";

/** `note`: worth knowing, but needs no action. */
export interface Check {
  readonly state: "ok" | "note" | "bad";
  readonly what: string;
  readonly detail: string;
}

export const check = (state: Check["state"], what: string, detail: string): Check => ({ state, what, detail });

/** A finding about a partition, in detail and in two words for a column. */
interface Remark {
  readonly state: "note" | "bad";
  readonly short: string;
  readonly detail: string;
}

export const ROLES = ["ingest", "read", "admin"] as const;
export type CheckedRole = (typeof ROLES)[number];

/** Judges the answer of a route of this role, and whether a token was sent. */
export function judgeAccess(
  role: CheckedRole,
  { status, code }: { readonly status: number; readonly code: string },
  token: boolean,
): Check {
  const what = `${role} routes`;
  if (code === "log_not_migrated")
    return check("bad", what, `503 ${code}: the log's tables are missing; run the migrations: ${MIGRATE}`);
  if (status === 503) return check("bad", what, `503 ${code}: the app can't check the token now`);
  if (status !== 401 && status !== 403)
    return check(
      "ok",
      what,
      token ? "the token opens them" : "open without a token: none is set, so the app serves loopback hosts only",
    );
  // A sender's token needn't read, and a reader's token needn't administer.
  if (code === "wrong_role") return check("note", what, "the token opens other routes, not these");
  const why: Readonly<Record<string, string>> = {
    no_token: "they need a token: give --token or KEYFRAME_TOKEN",
    bad_token: "the app doesn't know this token",
    closed:
      "the app is closed: no token is set, and this isn't a loopback host; run npx wrangler secret put ADMIN_TOKEN",
  };
  return check("bad", what, why[code] ?? `${status} ${code}`);
}

/** A tail that is worth a snapshot, and its longest wait for one by default, with some margin. */
const WORTH_EVENTS = 1_000;
const WORTH_BYTES = 1_000_000;
const PATIENCE_MS = 3_600_000;

export function unmigratedText({ keys, some }: UnmigratedInfo): string {
  const named = some.map(({ key, version }) => `${quoted(key)} (of version ${version})`).join(", ");
  return `${count(keys)} keys can't be migrated: ${named}; keyframe get says why`;
}

/** The findings about one partition, the worst first. Empty if the partition is healthy. */
function remarksOn(one: PartitionInfo, nowMs: number, targetMs: number): Remark[] {
  const remarks: Remark[] = [];
  const add = (state: Remark["state"], short: string, detail: string): void =>
    void remarks.push({ state, short, detail });
  const { lastSnapshot: last, estimatedRecoveryMs: estimated } = one;
  if (last !== null && "unreadable" in last)
    add("bad", "unreadable snapshot", `its current manifest can't be read: ${last.unreadable}`);
  if (one.unmigrated !== undefined) add("bad", "failed migration", unmigratedText(one.unmigrated));
  if (estimated > targetMs)
    add("bad", "slow recovery", `estimated recovery ${span(estimated)}, above the target of ${span(targetMs)}`);
  const worth = one.tailEvents >= WORTH_EVENTS || one.tailBytes >= WORTH_BYTES;
  const old = last === null || ("at" in last && nowMs - Date.parse(last.at) > PATIENCE_MS);
  if (worth && old) {
    const latest =
      last !== null && "at" in last ? `its last snapshot is ${age(since(last.at, nowMs))} old` : "it has no snapshot";
    const short = last === null ? "no snapshot" : "old snapshot";
    add("note", short, `${latest}, with ${count(one.tailEvents)} events (${bytes(one.tailBytes)}) after it`);
  }
  const fallbacks = one.lastRecovery?.fallbacks ?? 0;
  if (fallbacks > 0)
    add(
      "note",
      "corrupt snapshot",
      `its last recovery passed over ${fallbacks} snapshot(s) that were corrupt or missing`,
    );
  return remarks;
}

export const judgePartition = (operator: string, one: PartitionInfo, nowMs: number, targetMs: number): Check[] =>
  remarksOn(one, nowMs, targetMs).map(({ state, detail }) => check(state, `${operator} ${one.partition}`, detail));

/** For a column: the worst finding. */
export function healthCell(one: PartitionInfo, nowMs: number, paint: Paint): string {
  const [worst] = remarksOn(one, nowMs, TARGET_MS);
  if (worst !== undefined) return paint(COLOURS[worst.state], worst.short);
  if ((one.quarantined ?? 0) > 0) return paint("yellow", "quarantined events");
  if (one.inherited === true) return "as it started";
  return one.appliedSeq === 0 ? "unused" : "healthy";
}

/** The target for a recovery, unless `doctor` gets another one. */
const TARGET_MS = 1_000;

export function judgeOperators(all: readonly OperatorStatus[], nowMs: number, targetMs: number): Check[] {
  const checks = all.flatMap(({ operator: { name, version, lost }, partitions }) => {
    if (lost !== undefined) return [check("bad", name, `${lost}: keyframe recover --from-r2 ${name}`)];
    const found = partitions.flatMap((one) => judgePartition(name, one, nowMs, targetMs));
    const slowest = Math.max(...partitions.map((one) => one.estimatedRecoveryMs));
    const detail = `version ${version}, ${count(partitions.length)} partition(s), slowest estimated recovery ${span(slowest)}`;
    return found.some(({ state }) => state === "bad") ? found : [check("ok", name, detail), ...found];
  });
  return checks.length > 0 ? checks : [check("note", "operators", "the app has no operators")];
}

export const judgeTimes = (what: string, where: string, ms: readonly number[]): Check =>
  check("ok", what, `${where} in ${span(quantile(ms, 0.5))}, the median of ${ms.length}`);

/** Round trips above this suggest that a store isn't in the same region. */
const NEAR_MS = 60;

/** The app's place, and the distance to its stores. */
export function judgeStores({ code, deployedAt, region, jurisdiction, colo, stores }: DoctorInfo): Check[] {
  const since = deployedAt === null ? "" : `, deployed ${deployedAt}`;
  const where = [
    region === null ? "REGION is unset: each object runs near its first caller" : `REGION ${region}`,
    jurisdiction === null ? "JURISDICTION is unset" : `JURISDICTION ${jurisdiction}`,
    ...(colo === null ? [] : [`this request ran in ${colo}`]),
  ];
  return [
    check("ok", "code", `${code}${since}`),
    check(region === null ? "note" : "ok", "region", where.join(", ")),
    ...stores.map(judgeStore),
  ];
}

function judgeStore({ name, ms, error, region = null, bytes: size = null }: StoreInfo): Check {
  if (error !== undefined) return check("bad", name, `doesn't answer the app: ${error}`);
  const typical = quantile(ms, 0.5);
  const facts = [
    `${span(typical)} from the Worker, the median of ${ms.length}`,
    ...(region === null ? [] : [`in ${region}`]),
    ...(size === null ? [] : [bytes(size)]),
  ];
  return check(typical > NEAR_MS ? "note" : "ok", name, facts.join(", "));
}

/** Judges the times of single events, from sending to the answer: the cost of having each in the log. */
export const judgeCommits = (operator: string, ms: readonly number[]): Check =>
  check(
    "ok",
    "commit",
    `p50 ${span(quantile(ms, 0.5))}, p99 ${span(quantile(ms, 0.99))} of ${ms.length} events to ${operator}, one at a time`,
  );

const COLOURS = { ok: "green", note: "yellow", bad: "red" } as const;

export function checkLines(checks: readonly Check[], paint: Paint): string[] {
  const width = Math.max(...checks.map(({ what }) => what.length));
  return checks.map(
    ({ state, what, detail }) => `${paint(COLOURS[state], state.padEnd(4))}  ${what.padEnd(width)}  ${detail}`,
  );
}
