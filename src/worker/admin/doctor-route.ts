/**
 * `GET /v1/doctor`: the code that answers, its location, and its distance to the stores. The distance is the time of
 * round trips from the Worker to each database and to the bucket. The reads find nothing: no partition is woken, and
 * nothing is written.
 */
import { logDatabases } from "../../adapters/catalogue.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { appLocation } from "../../engine/operator/region.ts";
import { limited } from "../../engine/base/retry.ts";
import { codeId, type Env } from "../env.ts";
import { requestClock } from "../request-clock.ts";

/** Round trips to each store, one after the other. */
const ROUNDS = 3;
/** A name that no object has. */
const NOTHING = "keyframe-doctor";

interface StoreReport {
  readonly name: string;
  readonly kind: "d1" | "r2";
  /** The time of each round trip. */
  readonly ms: readonly number[];
  readonly error?: string;
}

export async function showDoctor(request: Request, env: Env): Promise<Response> {
  const databases = [...logDatabases(env as unknown as Record<string, unknown>)];
  const { cf } = request as { readonly cf?: { readonly colo?: unknown } };
  return Response.json({
    code: codeId(env),
    deployedAt: env.VERSION?.timestamp ?? null,
    ...appLocation(env),
    // The location of the Worker. Stores and objects may be elsewhere.
    colo: typeof cf?.colo === "string" ? cf.colo : null,
    stores: await Promise.all([
      ...databases.map(([name, db]) => database(name, db)),
      measured("SNAPSHOTS", "r2", () => env.SNAPSHOTS.head(NOTHING)),
    ]),
  });
}

/** D1 also tells which region answered, and its size. */
async function database(
  name: string,
  db: D1Database,
): Promise<StoreReport & { readonly region: string | null; readonly bytes: number | null }> {
  let meta: Readonly<Record<string, unknown>> = {};
  const report = await measured(name, "d1", async () => {
    ({ meta } = await db.prepare("SELECT 1").all());
  });
  const { served_by_region: region, size_after: bytes } = meta;
  return {
    ...report,
    region: typeof region === "string" ? region : null,
    bytes: typeof bytes === "number" ? bytes : null,
  };
}

/** The clock of a Worker advances only with I/O, which is all that is measured here. */
async function measured(name: string, kind: StoreReport["kind"], call: () => Promise<unknown>): Promise<StoreReport> {
  const ms: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const begun = Date.now();
      await limited(requestClock, name, call);
      ms.push(Date.now() - begun);
    }
    return { name, kind, ms };
  } catch (error) {
    return { name, kind, ms, error: messageOf(error) };
  }
}
