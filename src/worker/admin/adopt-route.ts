/**
 * `POST /v1/operators/{op}/partitions/{n}/adopt`: decides how a partition resumes after its database was restored to an
 * older point (adopt.ts).
 *
 * The row is written only if it is unchanged since it was read, so of two decisions one counts. Then the object is
 * dropped from memory, since it may hold events that the decision gives up.
 */
import { logDatabases } from "../../adapters/catalogue.ts";
import { D1Log } from "../../adapters/d1-log.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { replaceRow, storeRow } from "../../adapters/rebuilt-rows.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { adopt, type Truth } from "../../engine/recovery/adopt.ts";
import { Failure } from "../../engine/base/errors.ts";
import { limited } from "../../engine/base/retry.ts";
import { isTruth } from "../api/partitions.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { bodyText } from "../http/body.ts";
import { note } from "../note.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { askPartition, unavailable } from "../http/answers.ts";
import { partitionStub } from "../stub.ts";

export async function adoptPartition(request: Request, env: Env, route: Route, address: Address): Promise<Response> {
  const truth = await truthOf(request);
  if (truth === null)
    return problem({
      status: 400,
      code: "invalid_body",
      detail: 'the body must be {"truth":"d1"} or {"truth":"r2"}: the side that counts from now on',
    });
  const { operator } = route;
  const id = { line: address.line, operator: operator.name, partition: address.partition };
  const db = logDatabases(env as unknown as Record<string, unknown>).get(address.database);
  if (db === undefined) throw new Failure("database_missing", `${address.database} isn't bound: bind it again`);
  const marked = await askPartition(async () => ({ tag: "ok", value: await partitionStub(env, address).mark() }));
  if (marked.tag === "busy") return unavailable(marked);
  const opening = await limited(requestClock, "D1", () => new D1Log(db, id).peek());
  const found = await adopt(
    fileEnvironment(id, operator, new R2Store(env.SNAPSHOTS)),
    { opening, mark: marked.value },
    truth,
    address.seed,
  );
  switch (found.tag) {
    case "not_rewound":
      return problem({
        status: 409,
        code: "not_rewound",
        detail: `D1 has everything of partition ${id.partition} that it had acknowledged: there is nothing to decide`,
      });
    case "nothing":
      return problem({
        status: 409,
        code: "nothing_in_r2",
        detail: `R2 holds no snapshot of partition ${id.partition}`,
      });
    case "unreadable":
      return problem({
        status: 409,
        code: "snapshot_unreadable",
        detail: `none of the snapshots of partition ${id.partition} can be read: ${found.passedOver.join("; ")}`,
      });
    case "row": {
      const { row, seq, manifest, givenUp, passedOver, roots } = found;
      const written =
        opening === null
          ? await storeRow(db, id, row)
          : await replaceRow(db, id, opening.row, row, truth === "d1", roots);
      if (!written)
        return problem({
          status: 503,
          code: "store_unavailable",
          detail: `the row of partition ${id.partition} changed in the meantime: send the request again`,
        });
      await partitionStub(env, address)
        .evict()
        .catch(() => undefined);
      note("partition adopted", { operator: operator.name, partition: id.partition, truth, seq, manifest });
      return Response.json({ partition: id.partition, truth, epoch: row.epoch, seq, manifest, givenUp, passedOver });
    }
  }
}

/** Returns null if the body names no decision. */
async function truthOf(request: Request): Promise<Truth | null> {
  try {
    const { truth } = JSON.parse(await bodyText(request, BODY_BYTES)) as { readonly truth?: unknown };
    return isTruth(truth) ? truth : null;
  } catch {
    return null;
  }
}

const BODY_BYTES = 1_000;
