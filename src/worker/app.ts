/**
 * The app: its operators, and the catalogue that places them, once for each isolate. The platform constructs the Worker
 * and the Durable Object class itself, so both find the app here.
 */
import { loadCatalogue, logDatabases } from "../adapters/catalogue.ts";
import { R2Store } from "../adapters/r2-store.ts";
import type { Failure } from "../engine/base/errors.ts";
import { belowSwitch, SWITCHES } from "../engine/base/ids.ts";
import type { Ancestors, Replay, Timeline } from "../engine/base/records.ts";
import { FRESH_ASK_MS, FRESH_MS } from "../engine/base/limits.ts";
import { limited } from "../engine/base/retry.ts";
import { ancestorsOf, MAIN, timelineOf, type Timelines } from "../engine/history/timelines.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { appLocation } from "../engine/operator/region.ts";
import { type Route, route } from "../engine/operator/routing.ts";
import { type Env, hasObjects } from "./env.ts";
import { requestClock } from "./request-clock.ts";
import { readMain, readTimelines, timelinesAtRest } from "./timelines.ts";

/** The placed operators on one line of history, for every request. */
export interface Routes {
  readonly line: number;
  /** The line was main, and takes no more events. */
  readonly replaced?: true;
  /** The line has nothing yet: it starts when it is promoted. */
  readonly unstarted?: true;
  readonly ancestors: Ancestors;
  /** The line takes in the log of another line, and no events. */
  readonly replay?: Replay;
  readonly byOperator: ReadonlyMap<string, Route>;
  /** The operators that want each event type. */
  readonly byType: ReadonlyMap<string, readonly Route[]>;
  /** Operators that D1 has lost, if there are any. */
  readonly lost?: Lost;
}

/** Operators whose placement isn't known. The other operators work without them. */
interface Lost {
  readonly byOperator: ReadonlyMap<string, Failure>;
  /** Event types that they want. */
  readonly byType: ReadonlyMap<string, Failure>;
}

/** An isolate believes that an operator is lost for this long: another isolate may have recovered it. */
const LOST_MS = 2_000;

/** An operator without a placement waits for R2 for this long, which is less than the others wait for D1. */
const LOOK_MS = 5_000;

function asIs(routes: Routes, { replaced, replay }: Timeline): Routes {
  if (replaced > 0) return { ...routes, replaced: true };
  if (replay === undefined) return routes;
  const byOperator = new Map([...routes.byOperator].map(([name, route]) => [name, { ...route, replay }]));
  return { ...routes, byOperator, replay };
}

/** The operators on a line that is unstarted. */
const NOTHING: Omit<Routes, "line"> = { unstarted: true, ancestors: [], byOperator: new Map(), byType: new Map() };

/** Lines that an isolate remembers. */
const NAMED = 100;

export class App {
  readonly operators: readonly Operator[];
  #routes: Routes | null = null;
  #until = Number.POSITIVE_INFINITY;
  /** D1 said which line is main, to a read that began at this time. */
  #heardAt = 0;
  /** Of lines that requests named. Where a line starts never changes, and its number is never given again. */
  readonly #named = new Map<number, Routes>();
  /** By the name that each stood for when D1 was asked last. */
  readonly #byName = new Map<string, Routes>();

  /** @throws if two operators have the same name (compared without case): both would own the same state (CODE2) */
  constructor(operators: readonly Operator[]) {
    const names = new Map<string, string>();
    for (const { name } of operators) {
      const twin = names.get(name.toLowerCase());
      if (twin !== undefined) throw new Error(`two operators are named "${name}" and "${twin}": rename one of them`);
      names.set(name.toLowerCase(), name);
    }
    this.operators = operators;
  }

  /**
   * Returns the operators on main, for appends: an append proves by itself that its line is main.
   *
   * Reads D1 once. Only the result is shared: a promise belongs to the request that made it, and dies with it.
   */
  async routes(env: Env): Promise<Routes> {
    const known = this.#routes;
    if (known !== null && (known.lost === undefined || requestClock.now() < this.#until)) return known;
    const askedAt = requestClock.now();
    // A Worker that only checks code must not finish a promotion.
    const timelines = await (hasObjects(env) ? timelinesAtRest(env) : readTimelines(env));
    const routes = await limited(requestClock, "D1", () => this.#load(env, timelines, timelines.main.line, false));
    this.#routes = routes;
    this.#heardAt = askedAt;
    this.#until = requestClock.now() + LOST_MS;
    return routes;
  }

  /**
   * Returns the operators on main, for all but appends. A read of D1 and R2 doesn't show whether its line is main still:
   * another isolate may have promoted another one. So D1 is asked if it hasn't been heard for FRESH_MS.
   */
  async current(env: Env): Promise<Routes> {
    const known = this.#routes;
    const askedAt = requestClock.now();
    if (known === null || askedAt - this.#heardAt < FRESH_MS) return this.routes(env);
    const main = await limited(requestClock, "D1", () => readMain(env), FRESH_ASK_MS).catch(() => null);
    if (main === null) return known;
    if (main.line === known.line) this.#heardAt = askedAt;
    else if (this.#routes === known) this.forget();
    return this.routes(env);
  }

  /** Returns null if there is no such timeline. A name is a pointer, so D1 is asked each time. */
  async timeline(env: Env, name: string): Promise<Routes | null> {
    if (name === MAIN) return this.current(env);
    const timelines = await readTimelines(env);
    const found = timelineOf(timelines, name);
    if (found?.unstarted === true) {
      this.#byName.delete(name);
      return { ...NOTHING, line: found.line };
    }
    const routes = found === null ? null : asIs(await this.onLine(env, timelines, found.line), found);
    // A line that is sealed or that replays has routes of its own each time.
    if (routes !== null && routes === this.#named.get(routes.line)) this.#byName.set(name, routes);
    else this.#byName.delete(name);
    return routes;
  }

  /**
   * Returns the operators on the open line that a name stood for when D1 was asked last, or null if none is known. A read
   * there counts if `timeline` then returns the very same.
   */
  lastKnown(name: string): Routes | null {
    return this.#byName.get(name) ?? null;
  }

  /** Returns the operators on a line that is there, as for a caller that names it. */
  async onLine(env: Env, timelines: Timelines, line: number): Promise<Routes> {
    const known = this.#named.get(line);
    if (known !== undefined) return known;
    const routes = await limited(requestClock, "D1", () => this.#load(env, timelines, line, true));
    if (this.#named.size >= NAMED) {
      this.#named.clear();
      this.#byName.clear();
    }
    if (routes.lost === undefined) this.#named.set(line, routes);
    return routes;
  }

  /** The catalogue has changed, or main: the next request reads it again. */
  forget(): void {
    this.#routes = null;
  }

  async #load(env: Env, timelines: Timelines, line: number, named: boolean): Promise<Routes> {
    const ancestors = ancestorsOf(timelines, line);
    // Check the names of region and jurisdiction before any object is placed by them.
    appLocation(env);
    const databases = logDatabases(env as unknown as Record<string, unknown>);
    const objects = new R2Store(env.SNAPSHOTS);
    const first = async (prefix: string, after: string): Promise<string | null> =>
      (await limited(requestClock, "R2", () => objects.list(prefix, after), LOOK_MS)).names[0] ?? null;
    // A switch of main that D1 doesn't know: then the line isn't main, and D1 has lost more than this operator.
    const lookUp = async (prefix: string): Promise<string | null> =>
      (await first(prefix, "")) ?? (await first(SWITCHES, belowSwitch(timelines.main.switches + 1)));
    const writes = hasObjects(env) ? lookUp : null;
    const past = ancestors.map((one) => one.line);
    const { placed: placements, lost } = await loadCatalogue(databases, writes, line, this.operators, past);
    const byOperator = new Map<string, Route>();
    const byType = new Map<string, Route[]>();
    for (const operator of this.operators) {
      const placement = placements.get(operator.name);
      if (lost.has(operator.name) || placement === undefined) continue;
      const placed = route(line, operator, placement, ancestors, named);
      byOperator.set(operator.name, placed);
      for (const type of operator.handlers.keys()) byType.set(type, [...(byType.get(type) ?? []), placed]);
    }
    if (lost.size === 0) return { line, ancestors, byOperator, byType };
    const without = this.operators.filter(({ name }) => lost.has(name));
    const types = without.flatMap(({ name, handlers }) =>
      [...handlers.keys()].map((type) => [type, lost.get(name)!] as const),
    );
    return { line, ancestors, byOperator, byType, lost: { byOperator: lost, byType: new Map(types) } };
  }

  operator(name: string): Operator | undefined {
    return this.operators.find((operator) => operator.name === name);
  }
}

let installed: App | null = null;

/** Durable Objects run the app that was made last in this isolate. */
export function install(app: App): App {
  installed = app;
  return app;
}

export function installedApp(): App {
  if (installed === null) throw new Error("no app: the Worker's main module must call keyframe({ operators })");
  return installed;
}
