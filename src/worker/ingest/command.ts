/**
 * Commands: events of the engine's own, which steer a partition. They are logged, so they count once and replay knows
 * them (ONE6).
 */
import { print } from "../../engine/event/fingerprint.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { fill } from "../../engine/event/event.ts";
import { Prints } from "../../engine/event/fingerprint.ts";
import { utf8Length } from "../../engine/base/json.ts";
import { busy, WIRE_VERSION, type AppendRequest, type AppendResponse } from "../../engine/partition/protocol.ts";
import type { Env } from "../env.ts";
import { partitionStub } from "../stub.ts";

export interface CommandEvent {
  readonly type: string;
  readonly source: string;
  /** The same id and content count once. */
  readonly id: string;
  /** The key of the command. It is loaded when the command runs. */
  readonly key: string;
  readonly data: unknown;
}

export const sendCommand = (env: Env, route: Route, address: Address, command: CommandEvent): Promise<AppendResponse> =>
  sendCommands(env, route, address, [command], true);

/**
 * Builds the request of commands, in this order. A retry gives the same bytes at any time. `full`: the answer holds the
 * outcome of each command.
 */
export function commandSlice(
  commands: readonly CommandEvent[],
  operatorVersion: number,
  seed: number,
  at: number,
  full: boolean,
): AppendRequest {
  const texts: string[] = [];
  const prints = new Prints(commands.length);
  for (const { key, ...event } of commands) {
    texts.push(JSON.stringify(event));
    // The print leaves out the time, because a retry would have another one.
    print(prints, fill({ ...event }, new Date(at).toISOString()), key, seed, false);
  }
  const body = texts.join(",");
  return {
    v: WIRE_VERSION,
    operatorVersion,
    at,
    body,
    bytes: utf8Length(body),
    lengths: texts.map((text) => text.length),
    keys: commands.map(({ key }) => key),
    prints: prints.words(),
    full,
    command: true,
  };
}

/** Sends the commands in one request. */
export async function sendCommands(
  env: Env,
  route: Route,
  address: Address,
  commands: readonly CommandEvent[],
  full: boolean,
): Promise<AppendResponse> {
  const slice = commandSlice(commands, route.operator.version, address.seed, Date.now(), full);
  const gone = busy("partition_gone", "the partition's object went away during the call");
  for (let attempt = 1; ; attempt++) {
    const result = await partitionStub(env, address)
      .append(address, slice)
      .catch((): AppendResponse => gone);
    // If the instance was replaced or dropped, the next stub finds its successor.
    const passing = result.tag === "busy" && PASSING.has(result.code);
    if (!passing || attempt === ATTEMPTS) return result;
    await new Promise((resolve) => setTimeout(resolve, 20 * attempt));
  }
}

const PASSING = new Set(["partition_gone", "fenced", "superseded"]);
const ATTEMPTS = 4;
