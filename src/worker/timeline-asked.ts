/** The timeline that a request or a call by a service binding names, and whether it takes what was asked. */
import { timelineIn } from "../engine/history/moment.ts";
import { MAIN } from "../engine/history/timelines.ts";
import { TIMELINE } from "./api/common.ts";
import { readParams } from "./api/described.ts";
import type { Routes } from "./app.ts";
import type { ProblemParts } from "./problem.ts";
import { noTimeline, timelineReplays, timelineSealed, timelineUnstarted } from "./read/moments.ts";

/**
 * Returns the timeline that is named by `timeline` or in the moment `at`. Refuses parameters that aren't taken: an
 * answer about main or the present instead would be a wrong answer.
 */
export function timelineAsked(
  query: (name: string) => string | undefined,
  moments: boolean,
  mainOnly: boolean,
): string | ProblemParts {
  const no = (detail: string): ProblemParts => ({ status: 400, code: "unsupported_parameter", detail });
  const [given, at] = [query("timeline"), query("at")];
  if (mainOnly && given !== undefined) return no("this route takes no `timeline`: omit it");
  const read = readParams({ timeline: TIMELINE }, query, {});
  if ("flaw" in read) return read.flaw;
  if (at !== undefined && !moments) return no("this route takes no `at`: omit it");
  const named = at === undefined ? null : timelineIn(at);
  const asked = given ?? named ?? MAIN;
  if (named === null || named === asked) return asked;
  return no(`\`at\` names timeline "${named}", but \`timeline\` names "${asked}"`);
}

/** Returns the routes of a timeline, or why it can't be read, or takes nothing if the caller `logs`. */
export function usableRoutes(name: string, routes: Routes | null, logs: boolean): Routes | Response {
  if (routes === null) return noTimeline(name);
  if (routes.unstarted === true) return timelineUnstarted(name);
  if (routes.replaced === true && logs) return timelineSealed(name);
  if (routes.replay !== undefined && logs) return timelineReplays(name);
  return routes;
}
