/**
 * Pins: who wants a snapshot to stay, whatever retention says (SNAP10). Statements on D1 alone: no partition is woken, and a pin
 * counts from when D1 has it.
 */
import type { Address } from "../engine/address.ts";
import { PINS } from "../engine/limits.ts";
import { limited } from "../engine/store-call.ts";
import type { Env } from "./app.ts";
import { logOf } from "./kept-manifests.ts";
import { problem } from "./problem.ts";
import { requestClock } from "./request-clock.ts";

/** Several may hold the same snapshot, each by a name of its own. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const DEFAULT_NAME = "admin";

export async function listPins(env: Env, address: Address): Promise<Response> {
  const roots = await limited(requestClock, "D1", () => logOf(env, address).roots());
  const pins = roots?.pins ?? [];
  return Response.json(
    pins.map(({ version, name, createdMs }) => ({ version, name, since: new Date(createdMs).toISOString() })),
  );
}

export async function pinManifest(
  env: Env,
  address: Address,
  text: string,
  name: string = DEFAULT_NAME,
): Promise<Response> {
  const version = versionFrom(text);
  if (!NAME.test(name)) return badName();
  if (version === null) return noManifest(address, text);
  const pin = { version, name, createdMs: Date.now() };
  const result = await limited(requestClock, "D1", () => logOf(env, address).pin(pin));
  switch (result) {
    case "pinned":
      return Response.json({ partition: address.partition, version, name, pinned: true });
    case "gone":
      return noManifest(address, text);
    case "full":
      return problem({
        status: 409,
        code: "too_many_pins",
        detail: `partition ${address.partition} has ${PINS} pins, which is the most there may be: remove one`,
      });
  }
}

/** One that isn't there is removed already. */
export async function unpinManifest(
  env: Env,
  address: Address,
  text: string,
  name: string = DEFAULT_NAME,
): Promise<Response> {
  const version = versionFrom(text);
  if (!NAME.test(name)) return badName();
  if (version === null) return noManifest(address, text);
  await limited(requestClock, "D1", () => logOf(env, address).unpin(version, name));
  return Response.json({ partition: address.partition, version, name, pinned: false });
}

const versionFrom = (text: string): number | null => (/^[1-9]\d{0,9}$/.test(text) ? Number(text) : null);

const noManifest = ({ partition }: Address, text: string): Response =>
  problem({
    status: 404,
    code: "no_restore_point",
    detail: `manifest ${JSON.stringify(text.slice(0, 100))} of partition ${partition} is neither current nor a restore point: only what is still kept can be pinned`,
  });

const badName = (): Response =>
  problem({
    status: 400,
    code: "invalid_name",
    detail:
      "the name of a pin is a-z, 0-9, '.', '_' and '-', starts with a letter or digit, and has at most 63 characters",
  });
