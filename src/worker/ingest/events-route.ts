/** `POST /v1/events` and `POST /v1/operators/{op}/ask`: a body becomes lines, an intake takes them, a report answers. */
import type { Route } from "../../engine/operator/routing.ts";
import { NAME_BYTES, PARSED_CHARS, REQUEST_BYTES, STRICT_BYTES } from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import type { Env } from "../env.ts";
import type { Routes } from "../app.ts";
import type { Grant } from "../http/access.ts";
import { ask } from "./ask.ts";
import { BodyError } from "../http/body.ts";
import { contentMode, isStandard } from "../http/content-mode.ts";
import { arrivingLines, heldLines, type Wishes } from "./decoders.ts";
import { Intake, type IntakeOptions } from "./intake.ts";
import { HeldBody } from "../http/held-bodies.ts";
import { postOf } from "./partition-client.ts";
import { producerOf, requestName } from "../http/producer-headers.ts";
import { heardStamp, withStamp } from "../http/stamp-header.ts";
import { report, reportAsked, reportFlaw, strictly } from "./report.ts";

export async function postEvents(
  request: Request,
  env: Env,
  routes: Routes,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const wishes = preferences(request);
  const { strict, full } = wishes;
  let intake: Intake | null = null;
  try {
    const mode = contentMode(request.headers);
    intake = newIntake(request, env, { routes, only: null, full, standard: isStandard(mode), keyPrefix });
    if (mode === "lines" && !strict && !full) await intake.take(arrivingLines(request));
    else {
      const lines = await heldLines(request, mode, wishes);
      const rest = strict ? strictly(intake, lines) : [{ lines }];
      if (rest instanceof Response) return rest;
      await intake.take(rest);
    }
    return withStamp(report(intake, full), intake);
  } catch (error) {
    if (error instanceof BodyError) return reportFlaw(error, intake);
    throw error;
  } finally {
    wishes.held.release();
  }
}

export async function postAsk(
  request: Request,
  env: Env,
  routes: Routes,
  route: Route,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const held = new HeldBody();
  try {
    const mode = contentMode(request.headers);
    if (mode === "lines" || mode === "batch")
      throw new BodyError(
        415,
        "unsupported_media_type",
        "ask takes one event: application/json, application/cloudevents+json, or any type with ce- headers",
      );
    const intake = newIntake(request, env, { routes, only: route, full: true, standard: isStandard(mode), keyPrefix });
    const one = mode === "json" ? "structured" : mode;
    const lines = await heldLines(request, one, { strict: false, full: true, limit: PARSED_CHARS, held });
    return withStamp(reportAsked(await ask(intake, lines), route.operator.name), intake);
  } catch (error) {
    if (error instanceof BodyError) return reportFlaw(error, null);
    throw error;
  } finally {
    held.release();
  }
}

type Chosen = Pick<IntakeOptions, "routes" | "only" | "full" | "standard"> & { readonly keyPrefix: string };

function newIntake(request: Request, env: Env, chosen: Chosen): Intake {
  const receivedMs = Date.now();
  const producer = producerOf(request.headers);
  // U4: a higher epoch under another caller's producer id would lock that caller out.
  if (producer !== null && !producer.id.startsWith(chosen.keyPrefix))
    throw new BodyError(403, "producer_not_allowed", `this caller's Producer-Id must begin with ${chosen.keyPrefix}`);
  if (producer !== null && chosen.only !== null)
    throw new BodyError(400, "invalid_producer", "Producer-* headers number requests to /v1/events, not to ask");
  const given = request.headers.get("idempotency-key");
  if (given !== null && (given === "" || exceeds(given, NAME_BYTES - 16)))
    throw new BodyError(400, "invalid_idempotency_key", `Idempotency-Key must have 1 to ${NAME_BYTES - 16} bytes`);
  // Make the prefix once and keep it over our own retries of a call, so that the partition knows their events. A
  // producer's number names its request forever. A library may make a new Idempotency-Key for each attempt, so it can't
  // name the request.
  const prefix = producer === null ? (given ?? crypto.randomUUID()) : requestName(producer);
  const defaults = { time: new Date(receivedMs).toISOString(), id: (index: number) => `${prefix}/${index}` };
  return new Intake({
    ...chosen,
    post: postOf(env),
    defaults,
    receivedMs,
    after: heardStamp(request.headers, receivedMs),
    ignoreUnrouted: ignoresUnrouted(request.url),
    producer,
  });
}

/** Most requests have no query, and parsing a URL costs as much as a few events. */
const ignoresUnrouted = (url: string): boolean =>
  url.includes("unrouted=") && new URL(url).searchParams.get("unrouted") === "ignore";

function preferences(request: Request): Wishes {
  const wishes = (request.headers.get("prefer") ?? "")
    .toLowerCase()
    .split(/[,;]/)
    .map((wish) => wish.trim().replaceAll(/\s|"/g, ""));
  const strict = wishes.includes("handling=strict");
  const full = wishes.includes("return=representation");
  return { strict, full, limit: strict ? STRICT_BYTES : REQUEST_BYTES, held: new HeldBody() };
}
