/**
 * Pins: promises to keep a restore point, whatever retention says (SNAP10). They are statements on D1 alone: no
 * partition is woken. A pin counts as soon as D1 has it.
 */
import type { Address } from "../../engine/operator/routing.ts";
import { PINS } from "../../engine/base/limits.ts";
import { limited } from "../../engine/base/retry.ts";
import { noRestorePoint } from "../api/snapshots.ts";
import type { Env } from "../env.ts";
import { logOf } from "../read/kept-manifests.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";

const DEFAULT_NAME = "admin";

export async function listPins(env: Env, address: Address): Promise<Response> {
  const roots = await limited(requestClock, "D1", () => logOf(env, address).roots());
  const pins = roots?.pins ?? [];
  return Response.json(
    pins.map(({ version, name, createdMs }) => ({ manifest: version, name, since: new Date(createdMs).toISOString() })),
  );
}

export async function pinManifest(
  env: Env,
  address: Address,
  manifest: number,
  name: string = DEFAULT_NAME,
): Promise<Response> {
  const pin = { version: manifest, name, createdMs: Date.now() };
  const result = await limited(requestClock, "D1", () => logOf(env, address).pin(pin));
  switch (result) {
    case "pinned":
      return Response.json({ partition: address.partition, manifest, name, pinned: true });
    case "gone":
      return problem({ status: 404, code: "no_restore_point", detail: noRestorePoint(manifest, address.partition) });
    case "full":
      return problem({
        status: 409,
        code: "too_many_pins",
        detail: `partition ${address.partition} has ${PINS} pins, which is the most there may be: remove one`,
      });
  }
}

/** Removing a pin that isn't there succeeds. */
export async function unpinManifest(
  env: Env,
  address: Address,
  manifest: number,
  name: string = DEFAULT_NAME,
): Promise<Response> {
  await limited(requestClock, "D1", () => logOf(env, address).unpin(manifest, name));
  return Response.json({ partition: address.partition, manifest, name, pinned: false });
}
