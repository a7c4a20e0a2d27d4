/**
 * The HTTP interface (api.md): the routes, their roles, and the functions that they call. All decisions are made
 * elsewhere.
 */
import { Hono, type Context, type Handler, type MiddlewareHandler, type Next } from "hono";
import type { Address, Route } from "../engine/operator/routing.ts";
import { Damage, Failure } from "../engine/base/errors.ts";
import { MAIN } from "../engine/history/timelines.ts";
import { admitted, isShut, type Authorize, type Grant, type Role } from "./http/access.ts";
import {
  evictPartition,
  listManifests,
  listOperators,
  listPartitions,
  showManifest,
  showPartition,
  takeSnapshot,
  verifyPartition,
} from "./admin/admin-routes.ts";
import { adoptPartition } from "./admin/adopt-route.ts";
import { CHANGES } from "./api/changes.ts";
import { CHECK } from "./api/check.ts";
import { PARTITION } from "./api/common.ts";
import {
  changesLine,
  hasPart,
  readParam,
  readParams,
  type Described,
  type RequestParams,
  type Params,
} from "./api/described.ts";
import { DIFF } from "./api/diff.ts";
import { DELETE_STATE, EXPORT, GET_ERASURE, POST_ERASURE, PUT_STATE } from "./api/edits.ts";
import { POST_ASK, POST_EVENTS } from "./api/events.ts";
import { ADOPT, EVICT, LIST_PARTITIONS, RECOVER, SHOW_PARTITION, VERIFY } from "./api/partitions.ts";
import {
  DELETE_MANY,
  DELETE_QUARANTINED,
  GROUP_QUARANTINE,
  LIST_QUARANTINE,
  RETRY_MANY,
  RETRY_QUARANTINED,
} from "./api/quarantine.ts";
import { BLAME, HISTORY } from "./api/history.ts";
import { DOCS, DOCTOR, HEALTH, METRICS, OPENAPI, OVERVIEW } from "./api/service.ts";
import { DELETE_SAVEPOINT, GET_SAVEPOINT, LIST_SAVEPOINTS, PUT_SAVEPOINT } from "./api/savepoints.ts";
import { LIST_MANIFESTS, LIST_PINS, PIN, SHOW_MANIFEST, SNAPSHOT, UNPIN } from "./api/snapshots.ts";
import { GET_STATE, GET_STATE_BY_PATH, GET_TIMERS, LIST_OPERATORS, POST_BATCH, WATCH } from "./api/state.ts";
import { methodsOf } from "./api/table.ts";
import {
  DELETE_PROMOTION,
  DELETE_TIMELINE,
  GET_PROMOTION,
  GET_TIMELINE,
  ADVANCE_TIMELINE,
  LIST_TIMELINES,
  POST_PROMOTION,
  PUT_TIMELINE,
} from "./api/timelines.ts";
import type { App, Routes } from "./app.ts";
import { CHECK_ONLY, type Env, hasObjects } from "./env.ts";
import { dashboardFile } from "./http/dashboard-route.ts";
import { docsPage } from "./api/docs-page.ts";
import { editState } from "./admin/edit-routes.ts";
import { getErasure, postErasure } from "./admin/erasure-routes.ts";
import { postAsk, postEvents } from "./ingest/events-route.ts";
import { getBlame } from "./read/blame-route.ts";
import { getChanges } from "./read/changes-route.ts";
import { getDiff } from "./read/diff-route.ts";
import { getCheck } from "./read/check-route.ts";
import { exportOperator } from "./read/export-route.ts";
import { hardened, preflight, type Cors } from "./http/hardening.ts";
import { showDoctor } from "./admin/doctor-route.ts";
import { getHistory } from "./read/history-route.ts";
import { lostProblem } from "./http/lost.ts";
import { showMetrics } from "./metrics/metrics.ts";
import { errorFacts, note } from "./note.ts";
import { openApi } from "./api/openapi.ts";
import { getOverview } from "./admin/overview-route.ts";
import { deleteSavepoint, getSavepoint, getSavepoints, putSavepoint } from "./admin/savepoint-routes.ts";
import { listPins, pinManifest, unpinManifest } from "./admin/pin-routes.ts";
import { notAllowed, problem } from "./problem.ts";
import { groupQuarantine, listQuarantine, steerMany, steerQuarantine } from "./admin/quarantine-routes.ts";
import { limitedRate } from "./http/rate-limit.ts";
import { recoverOperator } from "./admin/recover-route.ts";
import { timelineAsked, usableRoutes } from "./timeline-asked.ts";
import { getState, postBatch, scanState } from "./read/state-routes.ts";
import { getTimers } from "./read/timers-route.ts";
import { deletePromotion, getPromotion, postPromotion } from "./admin/promotion-routes.ts";
import { advanceTimeline, deleteTimeline, getTimeline, getTimelines, putTimeline } from "./admin/timeline-routes.ts";
import { troubleOf } from "./trouble.ts";
import { watchKey } from "./watch/watch-route.ts";

interface Kind {
  Bindings: Env;
  Variables: { grant: Grant; routes: Routes; route: Route; address: Address };
}
type Ctx = Context<Kind>;

/** `authorize` replaces the tokens. `cors` names origins whose pages may call; without it no page may. */
export function routesOf(app: App, authorize: Authorize | null = null, cors: Cors | null = null): Hono<Kind> {
  const may =
    (role: Role): MiddlewareHandler<Kind> =>
    async (c, next) => {
      const grant = await admitted(c.req.raw, c.env, role, authorize, cors);
      if (grant instanceof Response) return grant;
      const over = role === "ingest" ? await limitedRate(c.req.raw, c.env, grant) : null;
      if (over !== null) return over;
      c.set("grant", grant);
      return next();
    };
  /** Finds the operators on the timeline that the request names. */
  const timeline =
    (described: Described): MiddlewareHandler<Kind> =>
    async (c, next) => {
      const { inQuery, mainOnly, role } = described;
      const name = timelineAsked((param) => c.req.query(param), "at" in inQuery, mainOnly === true);
      if (typeof name !== "string") return problem(name);
      const early = described === GET_STATE || described === GET_STATE_BY_PATH ? app.lastKnown(name) : null;
      if (early !== null) return readEarly(c, next, early, app.timeline(c.env, name));
      const appends = role === "ingest" && name === MAIN;
      const found = appends ? await app.routes(c.env) : await app.timeline(c.env, name);
      const routes = usableRoutes(name, found, changesLine(described));
      if (routes instanceof Response) return routes;
      c.set("routes", routes);
      return next();
    };
  /** Reads states of a named timeline while D1 is asked which line has the name. If another one has it, reads again. */
  const readEarly = async (c: Ctx, next: Next, early: Routes, asked: Promise<Routes | null>): Promise<void> => {
    // It may fail while the states are read.
    asked.catch(() => undefined);
    c.set("routes", early);
    await next();
    if ((await asked) === early) return;
    await c.res.body?.cancel();
    c.res = undefined;
    c.res = await http.fetch(c.req.raw, c.env, c.executionCtx);
  };
  const http = new Hono<Kind>();
  http.use(async (c, next) => {
    const asked = preflight(c.req.raw, cors);
    if (asked !== null) return hardened(asked, c.req.raw, cors);
    await next();
    const answer = hardened(c.res, c.req.raw, cors);
    // Assigning an answer copies it, and the copy loses what headers can't express.
    if (answer !== c.res) c.res = answer;
    return undefined;
  });
  /** Registers a described route (api/): its role, operator, partition and parameters. */
  const on = <P extends Params, Q extends Params>(
    route: Described<P, Q>,
    handle: (c: Ctx, given: RequestParams<P, Q>) => Response | Promise<Response>,
  ): void => {
    const { method, path, role, unplaced, withoutObjects } = route;
    const params = { ...route.inPath, ...route.inQuery };
    const steps: Handler<Kind>[] = [];
    if (role !== null) steps.push(may(role), timeline(route));
    if (role !== null && withoutObjects !== true) steps.push(withObjects);
    if (hasPart(path, "op") && unplaced !== true) steps.push(operator);
    if (hasPart(path, "n")) steps.push(partition);
    steps.push((c) => {
      const at = c.req.param() as Readonly<Record<string, string>>;
      const read = readParams(params, (name) => (name in route.inPath ? at[name] : c.req.query(name)), at);
      // The values have the types of the descriptions that they were read by.
      return "flaw" in read ? problem(read.flaw) : handle(c, read.given as RequestParams<P, Q>);
    });
    http.on(method, [path], ...steps);
  };

  on(HEALTH, (c) => c.json({ ok: true }));
  on(OPENAPI, (c) => c.json(openApi(app.operators)));
  on(DOCS, (c) => docsPage(openApi(app.operators), new URL(c.req.url).origin));

  on(POST_EVENTS, (c) => postEvents(c.req.raw, c.env, c.var.routes, c.var.grant));
  on(POST_ASK, (c) => postAsk(c.req.raw, c.env, c.var.routes, c.var.route, c.var.grant));

  on(LIST_OPERATORS, (c) => listOperators(c.var.routes, app.operators));
  on(POST_BATCH, (c) => postBatch(c.req.raw, c.env, c.var.route, c.req.query("at"), c.var.grant));
  on(GET_STATE, (c, { key, ...scan }) =>
    key === undefined
      ? scanState(c.env, c.var.route, scan, c.var.grant)
      : getState(c.req.raw, c.env, c.var.route, key, scan.at, c.var.grant),
  );
  on(GET_TIMERS, (c, given) => getTimers(c.env, c.var.route, given, c.var.grant));
  on(PUT_STATE, (c) => editState(c.req.raw, c.env, c.var.route, keyIn(c.req.url), "put"));
  on(DELETE_STATE, (c) => editState(c.req.raw, c.env, c.var.route, keyIn(c.req.url), "delete"));
  on(EXPORT, (c) => exportOperator(c.req.raw, c.env, c.var.route, new URL(c.req.url).searchParams, c.var.grant));
  on(GET_STATE_BY_PATH, (c) => {
    const key = shortKey(c.req.url);
    if (key === null)
      return problem({
        status: 400,
        code: "invalid_key",
        detail: "the key in the path isn't valid percent-encoding; use ?key=",
      });
    return getState(c.req.raw, c.env, c.var.route, key, c.req.query("at"), c.var.grant);
  });

  on(CHECK, (c, given) => getCheck(c.req.raw, c.env, app, c.var.routes, given));
  on(OVERVIEW, (c) => getOverview(c.env, c.var.routes, app.operators));
  on(PUT_SAVEPOINT, (c, { name }) => putSavepoint(c.req.raw, c.env, app, c.var.routes, name));
  on(LIST_SAVEPOINTS, (c) => getSavepoints(c.env, c.var.routes));
  on(GET_SAVEPOINT, (c, { name }) => getSavepoint(c.env, c.var.routes, name));
  on(DELETE_SAVEPOINT, (c, { name }) => deleteSavepoint(c.env, c.var.routes, name));
  on(PUT_TIMELINE, (c, { name }) => putTimeline(c.req.raw, c.env, app, name));
  on(LIST_TIMELINES, (c) => getTimelines(c.env));
  on(GET_TIMELINE, (c, { name }) => getTimeline(c.env, app, name));
  on(ADVANCE_TIMELINE, (c, { name }) => advanceTimeline(c.env, app, name));
  on(DELETE_TIMELINE, (c, { name }) => deleteTimeline(c.env, name));
  on(GET_PROMOTION, (c, { name }) => getPromotion(c.req.raw, c.env, app, name));
  on(POST_PROMOTION, (c, { name }) => postPromotion(c.req.raw, c.env, app, name));
  on(DELETE_PROMOTION, (c, { name }) => deletePromotion(c.env, app, name));
  on(HISTORY, (c, given) => getHistory(c.env, c.var.route, given, c.var.grant));
  on(BLAME, (c, given) => getBlame(c.env, c.var.route, given, c.var.grant));
  on(CHANGES, (c, given) => getChanges(c.req.raw, c.env, app, c.var.route, given, c.var.grant));
  on(DIFF, (c, given) => getDiff(c.req.raw, c.env, app, c.var.routes, given, c.var.grant));
  on(WATCH, (c, { key }) => watchKey(c.req.raw, c.env, app, c.var.route, key ?? null, c.var.grant));
  on(LIST_PARTITIONS, (c, { live }) => listPartitions(c.env, c.var.route, live === "true"));
  on(SHOW_PARTITION, (c, { live }) => showPartition(c.env, c.var.route, c.var.address, live === "true"));
  on(SNAPSHOT, (c) => takeSnapshot(c.env, c.var.address));
  on(VERIFY, (c) => verifyPartition(c.env, c.var.address));
  on(ADOPT, (c) => adoptPartition(c.req.raw, c.env, c.var.route, c.var.address));
  on(EVICT, (c) => evictPartition(c.env, c.var.address));
  on(LIST_MANIFESTS, (c) => listManifests(c.env, c.var.address));
  on(SHOW_MANIFEST, (c, { manifest }) => showManifest(c.env, c.var.address, manifest));
  on(LIST_PINS, (c) => listPins(c.env, c.var.address));
  on(PIN, (c, { manifest, name }) => pinManifest(c.env, c.var.address, manifest, name));
  on(UNPIN, (c, { manifest, name }) => unpinManifest(c.env, c.var.address, manifest, name));
  // Registered without a placement: an operator that needs recovery may have none.
  on(RECOVER, (c) => {
    const found = app.operator(c.req.param("op") ?? "");
    return found === undefined ? noOperator(c) : recoverOperator(c.req.raw, c.env, app, found);
  });
  on(LIST_QUARANTINE, (c, given) => listQuarantine(c.env, c.var.route, given));
  on(GROUP_QUARANTINE, (c) => groupQuarantine(c.env, c.var.route));
  on(RETRY_MANY, (c, given) => steerMany(c.env, c.var.route, "retry", given));
  on(DELETE_MANY, (c, given) => steerMany(c.env, c.var.route, "delete", given));
  on(RETRY_QUARANTINED, (c, { id }) => steerQuarantine(c.env, c.var.route, id, "retry"));
  on(DELETE_QUARANTINED, (c, { id }) => steerQuarantine(c.env, c.var.route, id, "delete"));

  on(POST_ERASURE, (c) => postErasure(c.req.raw, c.env, app, c.var.routes));
  on(GET_ERASURE, (c, { id }) => getErasure(c.env, app, c.var.routes, id));

  on(DOCTOR, (c) => showDoctor(c.req.raw, c.env));
  on(METRICS, (c, given) => showMetrics(c.env, c.var.routes, given));

  // The dashboard's files hold no data of the app. Its page asks for data with the reader's token.
  for (const path of ["/", "/dashboard.js", "/dashboard.css"])
    http.get(path, (c, next) =>
      authorize === null && isShut(c.req.raw, c.env) ? next() : dashboardFile(c.req.raw, path),
    );

  // A closed app tells a stranger nothing, not even which paths exist.
  http.all("*", async (c) => {
    const grant = await admitted(c.req.raw, c.env, "admin", authorize, cors);
    if (grant instanceof Response) return grant;
    const methods = methodsOf(c.req.path);
    if (methods.length > 0)
      return notAllowed(methods, `there is no ${c.req.method} ${c.req.path}, but ${methods.join(", ")}`);
    return problem({ status: 404, code: "no_route", detail: `there is no ${c.req.method} ${c.req.path}` });
  });
  http.onError((error, c) => failed(error, c));
  return http;
}

const operator: MiddlewareHandler<Kind> = async (c, next) => {
  const name = c.req.param("op") ?? "";
  const route = c.var.routes.byOperator.get(name);
  const lost = lostProblem(c.var.routes, name);
  if (lost !== null) return lost;
  if (route === undefined) return noOperator(c);
  c.set("route", route);
  return next();
};

function noOperator(c: Ctx): Response {
  const { byOperator, lost } = c.var.routes;
  const names = [...byOperator.keys(), ...(lost?.byOperator.keys() ?? [])];
  return problem({
    status: 404,
    code: "no_operator",
    detail: `there is no operator ${JSON.stringify((c.req.param("op") ?? "").slice(0, 100))}; there are ${names.join(", ")}`,
  });
}

const partition: MiddlewareHandler<Kind> = async (c, next) => {
  const text = c.req.param("n") ?? "";
  const address = c.var.route.addresses[Number(readParam(PARTITION, text) ?? -1)];
  if (address === undefined)
    return problem({
      status: 404,
      code: "no_partition",
      detail: `operator "${c.var.route.operator.name}" has the partitions 0 to ${c.var.route.addresses.length - 1}`,
    });
  c.set("address", address);
  return next();
};

/** A Worker that is there to check code must not write to the app's stores (CHECKROUTE1). */
const withObjects: MiddlewareHandler<Kind> = (c, next) =>
  hasObjects(c.env) ? next() : Promise.resolve(problem({ status: 503, code: "check_only", detail: CHECK_ONLY }));

const keyIn = (url: string): string | null => new URL(url).searchParams.get("key");

/** Returns the key of `/state/{K}`, from the path as it was sent: a decoded path can't tell "a%2Fb" from "a/b". */
function shortKey(url: string): string | null {
  // The fifth slash ends "/v1/operators/{op}/state/". An operator may be named "state" itself.
  const [, , , , , ...key] = new URL(url).pathname.split("/");
  try {
    return decodeURIComponent(key.join("/"));
  } catch {
    return null;
  }
}

/** Returns the part of the path that can't hold a key. */
const pathShown = (path: string): string => path.split("/").slice(0, 5).join("/").slice(0, 200);

/**
 * IN3: named failures are 503, since waiting or an operator's action fixes them. Any other error is a bug, and its
 * answer gives no details.
 */
function failed(error: Error, c: Ctx): Response {
  const trouble = troubleOf(error);
  // Leave out the rest of the path: it may be a key.
  if (!(error instanceof Failure || error instanceof Damage))
    note("request failed", { method: c.req.method, path: pathShown(c.req.path), ...errorFacts(error) });
  if (trouble !== null) return problem({ status: 503, code: trouble.code, detail: trouble.message });
  return problem({ status: 500, code: "internal_error", detail: "this is a bug of the app; its log has the details" });
}
