/** The HTTP interface (api.md): which path does what, and who may. Everything that decides is elsewhere. */
import { Hono, type Context, type MiddlewareHandler } from "hono";
import type { Address, Route } from "../engine/address.ts";
import { Damage, Failure } from "../engine/errors.ts";
import { MAIN_TIMELINE } from "../engine/ids.ts";
import { admitted, type Authorize, type Grant, type Role } from "./access.ts";
import {
  evict,
  listManifests,
  listOperators,
  listPartitions,
  listQuarantine,
  showManifest,
  showPartition,
  steerQuarantine,
  takeSnapshot,
  verifyPartition,
} from "./admin-routes.ts";
import { adoptPartition } from "./adopt-route.ts";
import type { App, Env, Routes } from "./app.ts";
import { postAsk, postEvents } from "./events-route.ts";
import { LOST_RETRY_SEC } from "./intake.ts";
import { showMetrics } from "./metrics.ts";
import { errorFacts, note } from "./note.ts";
import { listPins, pinManifest, unpinManifest } from "./pin-routes.ts";
import { problem } from "./problem.ts";
import { recoverOperator } from "./recover-route.ts";
import { getState, postBatch, scanState } from "./state-routes.ts";
import { troubleOf } from "./trouble.ts";

interface Kind {
  Bindings: Env;
  Variables: { grant: Grant; routes: Routes; route: Route; address: Address };
}
type Ctx = Context<Kind>;

/** `authorize`: in place of the tokens. */
export function routesOf(app: App, authorize: Authorize | null = null): Hono<Kind> {
  const may =
    (role: Role): MiddlewareHandler<Kind> =>
    async (c, next) => {
      const grant = await admitted(c.req.raw, c.env, role, authorize);
      if (grant instanceof Response) return grant;
      const no = unsupported(c);
      if (no !== null) return no;
      c.set("grant", grant);
      c.set("routes", await app.routes(c.env));
      return next();
    };
  const http = new Hono<Kind>();
  http.get("/healthz", (c) => c.json({ ok: true }));

  http.post("/v1/events", may("ingest"), (c) => postEvents(c.req.raw, c.env, c.var.routes, c.var.grant));
  http.post("/v1/operators/:op/ask", may("ingest"), operator, (c) =>
    postAsk(c.req.raw, c.env, c.var.routes, c.var.route, c.var.grant),
  );

  http.get("/v1/operators", may("read"), (c) => listOperators(c.var.routes, app.operators));
  http.post("/v1/operators/:op/state/batch", may("read"), operator, (c) =>
    postBatch(c.req.raw, c.env, c.var.route, c.var.grant),
  );
  http.get("/v1/operators/:op/state", may("read"), operator, (c) => {
    const query = new URL(c.req.url).searchParams;
    const key = query.get("key");
    const { route, grant } = c.var;
    return key === null ? scanState(c.env, route, query, grant) : getState(c.req.raw, c.env, route, key, grant);
  });
  http.get("/v1/operators/:op/state/*", may("read"), operator, (c) => {
    const key = shortKey(c.req.url);
    if (key === null)
      return problem({
        status: 400,
        code: "invalid_key",
        detail: "the key in the path isn't valid percent-encoding; use ?key=",
      });
    return getState(c.req.raw, c.env, c.var.route, key, c.var.grant);
  });

  http.get("/v1/operators/:op/partitions", may("admin"), operator, (c) =>
    listPartitions(c.env, c.var.route, c.req.query("live") === "true"),
  );
  http.get("/v1/operators/:op/partitions/:n", may("admin"), operator, partition, (c) =>
    showPartition(c.env, c.var.route, c.var.address, c.req.query("live") === "true"),
  );
  http.post("/v1/operators/:op/partitions/:n/snapshot", may("admin"), operator, partition, (c) =>
    takeSnapshot(c.env, c.var.address),
  );
  http.post("/v1/operators/:op/partitions/:n/verify", may("admin"), operator, partition, (c) =>
    verifyPartition(c.env, c.var.address),
  );
  http.post("/v1/operators/:op/partitions/:n/adopt", may("admin"), operator, partition, (c) =>
    adoptPartition(c.req.raw, c.env, c.var.route, c.var.address),
  );
  http.post("/v1/operators/:op/partitions/:n/evict", may("admin"), operator, partition, (c) =>
    evict(c.env, c.var.address),
  );
  http.get("/v1/operators/:op/partitions/:n/manifests", may("admin"), operator, partition, (c) =>
    listManifests(c.env, c.var.address),
  );
  http.get("/v1/operators/:op/partitions/:n/manifests/:version", may("admin"), operator, partition, (c) =>
    showManifest(c.env, c.var.address, c.req.param("version")),
  );
  http.get("/v1/operators/:op/partitions/:n/pins", may("admin"), operator, partition, (c) =>
    listPins(c.env, c.var.address),
  );
  http.post("/v1/operators/:op/partitions/:n/manifests/:version/pin", may("admin"), operator, partition, (c) =>
    pinManifest(c.env, c.var.address, c.req.param("version"), c.req.query("name")),
  );
  http.delete("/v1/operators/:op/partitions/:n/manifests/:version/pin", may("admin"), operator, partition, (c) =>
    unpinManifest(c.env, c.var.address, c.req.param("version"), c.req.query("name")),
  );
  // Above all of one that has no route: it asks for none.
  http.post("/v1/operators/:op/recover", may("admin"), (c) => {
    const found = app.operator(c.req.param("op"));
    return found === undefined ? noOperator(c) : recoverOperator(c.env, app, found);
  });
  http.get("/v1/operators/:op/quarantine", may("admin"), operator, (c) =>
    listQuarantine(c.env, c.var.route, new URL(c.req.url).searchParams),
  );
  http.post("/v1/operators/:op/quarantine/:id/retry", may("admin"), operator, (c) =>
    steerQuarantine(c.env, c.var.route, c.req.param("id"), "retry"),
  );
  http.delete("/v1/operators/:op/quarantine/:id", may("admin"), operator, (c) =>
    steerQuarantine(c.env, c.var.route, c.req.param("id"), "delete"),
  );

  http.get("/metrics", may("metrics"), (c) => showMetrics(c.env, c.var.routes, new URL(c.req.url).searchParams));

  // A shut app tells a stranger nothing, not even which paths exist.
  http.all("*", async (c) => {
    const grant = await admitted(c.req.raw, c.env, "admin", authorize);
    if (grant instanceof Response) return grant;
    return problem({ status: 404, code: "no_route", detail: `there is no ${c.req.method} ${c.req.path}` });
  });
  http.onError((error, c) => failed(error, c));
  return http;
}

/** The operator of the path. */
const operator: MiddlewareHandler<Kind> = async (c, next) => {
  const name = c.req.param("op") ?? "";
  const route = c.var.routes.byOperator.get(name);
  const lost = c.var.routes.lost?.byOperator.get(name);
  if (lost !== undefined)
    return problem({ status: 503, code: lost.code, detail: lost.message, retryAfterSec: LOST_RETRY_SEC });
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

/** The partition of the path. */
const partition: MiddlewareHandler<Kind> = async (c, next) => {
  const text = c.req.param("n") ?? "";
  const address = /^\d{1,9}$/.test(text) ? c.var.route.addresses[Number(text)] : undefined;
  if (address === undefined)
    return problem({
      status: 404,
      code: "no_partition",
      detail: `operator "${c.var.route.operator.name}" has the partitions 0 to ${c.var.route.addresses.length - 1}`,
    });
  c.set("address", address);
  return next();
};

/** What must not be ignored silently, though it isn't there: an answer about another moment would be a wrong answer. */
function unsupported(c: Ctx): Response | null {
  const timeline = c.req.query("timeline");
  if (timeline !== undefined && timeline !== MAIN_TIMELINE)
    return problem({
      status: 404,
      code: "no_timeline",
      detail: `there is no timeline ${JSON.stringify(timeline.slice(0, 100))}`,
    });
  if (c.req.query("at") !== undefined)
    return problem({
      status: 400,
      code: "unsupported_parameter",
      detail: "state can't be read as of another moment by this version; leave `at` out",
    });
  return null;
}

/** The key of `/state/{K}`, from the path as it was sent: a decoded path can't tell "a%2Fb" from "a/b". */
function shortKey(url: string): string | null {
  // The fifth slash ends "/v1/operators/{op}/state/"; an operator may be named "state" itself.
  const [, , , , , ...key] = new URL(url).pathname.split("/");
  try {
    return decodeURIComponent(key.join("/"));
  } catch {
    return null;
  }
}

/** As far as it can't hold a key. */
const pathShown = (path: string): string => path.split("/").slice(0, 5).join("/").slice(0, 200);

/** IN3: named failures are 503, since waiting or an operator's hand mends them; anything else is a bug, and says nothing. */
function failed(error: Error, c: Ctx): Response {
  const trouble = troubleOf(error);
  if (!(error instanceof Failure || error instanceof Damage))
    note("request failed", { method: c.req.method, path: pathShown(c.req.path), ...errorFacts(error) });
  if (trouble !== null) return problem({ status: 503, code: trouble.code, detail: trouble.message });
  return problem({ status: 500, code: "internal_error", detail: "this is a bug of the app; its log has the details" });
}
