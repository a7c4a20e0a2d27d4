/**
 * The app: its operators, and the catalogue that places them, once for each isolate. The Worker and the Durable Object
 * class find it here, since the platform constructs both by itself.
 */
import { route, type Route } from "../engine/address.ts";
import { MAIN_TIMELINE } from "../engine/ids.ts";
import type { Operator } from "../engine/operator.ts";
import { limited } from "../engine/store-call.ts";
import { loadCatalogue, logDatabases } from "../adapters/catalogue.ts";
import type { Partition } from "./partition-object.ts";
import { requestClock } from "./request-clock.ts";

export interface Env {
  readonly PARTITION: DurableObjectNamespace<Partition>;
  readonly SNAPSHOTS: R2Bucket;
  readonly LOG_0: D1Database;
  readonly VERSION?: WorkerVersionMetadata;
  readonly INGEST_TOKEN?: string;
  readonly READ_TOKEN?: string;
  readonly ADMIN_TOKEN?: string;
}

/** What every request needs to know of the placed operators. */
export interface Routes {
  readonly byOperator: ReadonlyMap<string, Route>;
  /** Event type -> the operators that want it. */
  readonly byType: ReadonlyMap<string, readonly Route[]>;
}

export class App {
  readonly operators: readonly Operator[];
  #routes: Routes | null = null;

  /** @throws where two operators have one name (compared without case): both would own the same state (CODE2) */
  constructor(operators: readonly Operator[]) {
    const names = new Map<string, string>();
    for (const { name } of operators) {
      const twin = names.get(name.toLowerCase());
      if (twin !== undefined) throw new Error(`two operators are named "${name}" and "${twin}": rename one of them`);
      names.set(name.toLowerCase(), name);
    }
    this.operators = operators;
  }

  /** Read from D1 once. Only the result is shared: a promise belongs to the request that made it, and dies with it. */
  async routes(env: Env): Promise<Routes> {
    this.#routes ??= await limited(requestClock, "D1", () => this.#load(env));
    return this.#routes;
  }

  async #load(env: Env): Promise<Routes> {
    const databases = logDatabases(env as unknown as Record<string, unknown>);
    const placements = await loadCatalogue(databases, MAIN_TIMELINE, this.operators);
    const byOperator = new Map<string, Route>();
    const byType = new Map<string, Route[]>();
    for (const operator of this.operators) {
      const placed = route(MAIN_TIMELINE, operator, placements.get(operator.name)!);
      byOperator.set(operator.name, placed);
      for (const type of operator.handlers.keys()) byType.set(type, [...(byType.get(type) ?? []), placed]);
    }
    return { byOperator, byType };
  }

  operator(name: string): Operator | undefined {
    return this.operators.find((operator) => operator.name === name);
  }
}

let installed: App | null = null;

/** The last app that was made in this isolate is the one that its Durable Objects run. */
export function install(app: App): App {
  installed = app;
  return app;
}

export function installedApp(): App {
  if (installed === null) throw new Error("no app: the Worker's main module must call keyframe({ operators })");
  return installed;
}

/** Which code runs here: the deployed version, where the platform tells. */
export const codeId = (env: Env): string => env.VERSION?.id ?? "dev";
