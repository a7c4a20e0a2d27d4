/**
 * `GET /v1/check`: the check of this code (engine/history/check.ts) over operators and partitions, as NDJSON.
 *
 * CHECKROUTE1. It needs the bindings of D1 and R2 alone. So the code runs in a Worker beside the app, without partitions
 *     that it could wake.
 * CHECKROUTE2. An answer takes the steps that fit into its time. Its last line says that all is done, or where the next
 *     request begins. An answer without that line broke off.
 * CHECKROUTE3. A partition that can't be read is named, and the others are checked nevertheless.
 */
import { Damage, Failure, messageOf } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { isWhole } from "../../engine/base/json.ts";
import { sleep } from "../../engine/base/retry.ts";
import { CHECK_START, checkPartition } from "../../engine/history/check.ts";
import { addCounts, type CheckPlace, type CheckStep, NO_COUNTS } from "../../engine/history/findings.ts";
import { timelineIn } from "../../engine/history/moment.ts";
import { MAIN } from "../../engine/history/timelines.ts";
import { keyOf, type Address, type Route } from "../../engine/operator/routing.ts";
import type { App, Routes } from "../app.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { badCursor } from "../http/answers.ts";
import { notAllowed, problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { logEnvironment } from "./kept-manifests.ts";
import { LAST_STAMP } from "../lineage.ts";
import { unsettledAt } from "./moments.ts";

const FORMAT = "keyframe.check";
const VERSION = 1;

/** No step begins after this time of a request. A step reads the log of one partition at most once. */
const BEGIN_MS = 15_000;

/** A client, or what stands between, may take a silent answer for a broken one. */
const SILENCE_MS = 10_000;

interface Asked {
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly operator: string | undefined;
  readonly sample: number | undefined;
  readonly cursor: string | undefined;
}

/** Where a request begins. */
interface Cursor {
  readonly operator: string;
  readonly partition: number;
  readonly place: CheckPlace;
}

interface Check {
  readonly env: Env;
  readonly routes: Routes;
  readonly operators: readonly string[];
  readonly from: Stamp;
  readonly to: Stamp;
  readonly sample: number | null;
}

export async function getCheck(request: Request, env: Env, app: App, routes: Routes, asked: Asked): Promise<Response> {
  if (request.method !== "GET") return notAllowed(["GET"], "a check is read with GET");
  const names = app.operators.map(({ name }) => name);
  const operators = asked.operator === undefined ? names : asked.operator.split(",");
  const unknown = operators.find((name) => !names.includes(name));
  if (unknown !== undefined)
    return problem({
      status: 404,
      code: "no_operator",
      detail: `there is no operator ${JSON.stringify(unknown.slice(0, 100))}; there are ${names.join(", ")}`,
    });
  if (asked.from === undefined)
    return problem({
      status: 400,
      code: "invalid_moment",
      detail: "name the moment where the check begins with ?from=",
    });
  for (const name of [asked.from, asked.to].map((text) => timelineIn(text ?? "")))
    if (name !== null && name !== MAIN)
      return problem({ status: 400, code: "invalid_moment", detail: `a check is about ${MAIN}, not about "${name}"` });
  const from = await unsettledAt(env, routes, asked.from);
  if (from instanceof Response) return from;
  const to = asked.to === undefined ? LAST_STAMP : await unsettledAt(env, routes, asked.to);
  if (to instanceof Response) return to;
  const check = { env, routes, operators, from, to, sample: asked.sample ?? null };
  const start = asked.cursor === undefined ? startOf(operators) : readCursor(asked.cursor, check);
  if (start === null) return badCursor();
  return new Response(byteStream(linesOf(check, start)), { headers: { "content-type": "application/x-ndjson" } });
}

const startOf = ([operator]: readonly string[]): Cursor => ({ operator: operator!, partition: 0, place: CHECK_START });

const cursorText = ({ operator, partition, place: { part, after, sampled } }: Cursor): string =>
  JSON.stringify([operator, partition, part, after, sampled]);

/** Returns null if no answer of this check gave the cursor. */
function readCursor(text: string, { routes, operators }: Check): Cursor | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  const [operator, partition, part, after, sampled] = Array.isArray(parsed) ? (parsed as unknown[]) : [];
  if (typeof operator !== "string" || !operators.includes(operator) || !isWhole(partition) || !isWhole(sampled))
    return null;
  if ((part !== "states" && part !== "events") || typeof after !== "string") return null;
  const partitions = routes.byOperator.get(operator)?.addresses.length ?? 1;
  return partition < partitions ? { operator, partition, place: { part, after, sampled } } : null;
}

async function* linesOf(check: Check, start: Cursor): AsyncGenerator<string> {
  const { operators, from, to } = check;
  const begun = requestClock.now();
  yield line({ format: FORMAT, v: VERSION, from, ...(to === LAST_STAMP ? {} : { to }), operators });
  let counts = NO_COUNTS;
  let findings = 0;
  for (let at: Cursor | null = start; at !== null; at = following(check, at)) {
    const { operator, partition } = at;
    const route = check.routes.byOperator.get(operator);
    if (route === undefined) {
      yield line({ operator, ...notPlaced(check.routes, operator) });
      continue;
    }
    try {
      const steps = checkPartition(requestOf(check, route, route.addresses[partition]!), at.place);
      for (let next: CheckPlace | null = at.place; next !== null;) {
        if (
          requestClock.now() - begun > BEGIN_MS &&
          cursorText({ operator, partition, place: next }) !== cursorText(start)
        ) {
          const cursor = cursorText({ operator, partition, place: next });
          return yield line({ end: true, complete: false, cursor, findings, counts });
        }
        const { done, value } = yield* spoken(steps.next());
        if (done === true) break;
        findings += value.findings.length;
        counts = addCounts(counts, value.counts);
        yield stepLines(operator, partition, value);
        ({ next } = value);
      }
    } catch (error) {
      if (!(error instanceof Failure || error instanceof Damage)) throw error;
      const code = error instanceof Failure ? error.code : "snapshot_unreadable";
      yield line({ operator, partition, failed: { code, detail: messageOf(error) } });
    }
  }
  yield line({ end: true, complete: true, findings, counts });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

function following({ routes, operators }: Check, { operator, partition }: Cursor): Cursor | null {
  if (partition + 1 < (routes.byOperator.get(operator)?.addresses.length ?? 0))
    return { operator, partition: partition + 1, place: CHECK_START };
  const rest = operators.slice(operators.indexOf(operator) + 1);
  return rest.length === 0 ? null : startOf(rest);
}

/** An operator of this code that the app doesn't have yet, or whose placement D1 has lost. */
function notPlaced({ lost }: Routes, operator: string): object {
  const failure = lost?.byOperator.get(operator);
  if (failure === undefined) return { gaps: ["new_operator"] };
  return { failed: { code: failure.code, detail: failure.message } };
}

const requestOf = ({ env, from, to, sample }: Check, route: Route, address: Address) => ({
  env: logEnvironment(env, route, address),
  keyOf: (event: Parameters<typeof keyOf>[1]) => keyOf(route, event),
  from,
  to,
  sample,
});

/** Yields blank lines until the step is done. */
async function* spoken<T>(step: Promise<T>): AsyncGenerator<string, T> {
  for (;;) {
    const first = await Promise.race([step.then((value) => ({ value })), sleep(requestClock, SILENCE_MS)]);
    if (first !== undefined) return first.value;
    yield "\n";
  }
}

function stepLines(operator: string, partition: number, { findings, counts, gaps, log }: CheckStep): string {
  const times = log === null ? {} : { log: { ...log, afterTime: log.after === 0 ? null : stampTime(log.afterStamp) } };
  return [
    ...findings.map((finding) => line({ operator, partition, ...finding })),
    line({ operator, partition, counts, ...(gaps.length === 0 ? {} : { gaps }), ...times }),
  ].join("");
}
