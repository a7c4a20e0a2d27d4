/**
 * Leading a hub: one watcher's request holds the one connection to the partition's object.
 *
 * LEAD1. A new connection begins with the current value, so no change is missed. A value that the hub has already
 *     changes nothing (watch-hub.ts).
 * LEAD2. If a connection breaks, or doesn't answer a ping before the next one is due, the leader connects again. The
 *     pause between attempts grows.
 * LEAD3. A member that stops leading, or has gone, closes its connection.
 */
import type { Address } from "../../engine/operator/routing.ts";
import { WATCH_BEAT_MS } from "../../engine/base/limits.ts";
import { installedApp } from "../app.ts";
import type { Env } from "../env.ts";
import { partitionStub } from "../stub.ts";
import type { Trouble } from "../trouble.ts";
import type { Hub, Hubs, HubMember } from "./watch-hub.ts";
import { CANNOT, PING, PONG, readTold, readyText, WATCH_PROTOCOL } from "./watch-wire.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 10_000;

interface WatchedKey {
  readonly env: Env;
  readonly address: Address;
  readonly key: string;
}

/** Returns when the member stops leading. Never rejects. */
export async function lead(place: WatchedKey, hubs: Hubs, name: string, hub: Hub, member: HubMember): Promise<void> {
  for (let failures = 0; leads(hub, member); failures++) {
    const socket = await connect(place);
    if (!leads(hub, member)) return "code" in socket ? undefined : close(socket);
    const end = "code" in socket ? socket : await follow(socket, hubs, name, hub, member);
    if (!leads(hub, member)) return;
    if (hub.silence === null) failures = 0;
    if (end?.code === "line_sealed") installedApp().forget();
    hub.failed(end ?? GONE, Date.now());
    hub.seenMs = Date.now();
    await member.sleep(
      Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2),
    );
  }
}

const leads = (hub: Hub, member: HubMember): boolean => hub.leader === member && !member.gone;

const GONE: Trouble = { code: "partition_gone", message: "the partition's object went away; try again" };

async function connect({ env, address, key }: WatchedKey): Promise<WebSocket | Trouble> {
  const query = new URLSearchParams({ key, address: JSON.stringify(address) });
  try {
    const response = await partitionStub(env, address).fetch(
      new Request(`https://partition/watch?${query.toString()}`, {
        headers: { upgrade: "websocket", "sec-websocket-protocol": WATCH_PROTOCOL },
      }),
    );
    if (response.webSocket !== null) return response.webSocket;
    const { code, detail } = await response.json<{ readonly code: string; readonly detail: string }>();
    return { code, message: detail };
  } catch {
    return GONE;
  }
}

/**
 * Follows the connection until it ends, or the member stops leading. @returns the reason why it ended, or null if none
 * is known
 */
async function follow(
  socket: WebSocket,
  hubs: Hubs,
  name: string,
  hub: Hub,
  member: HubMember,
): Promise<Trouble | null> {
  const link: { end?: Trouble | null } = {};
  let answered = true;
  let told = 0;
  const say = (text: string): void => {
    try {
      socket.send(text);
    } catch {
      over(null);
    }
  };
  const ready = (): void => {
    told = hub.asked;
    const { value } = hub;
    say(readyText({ n: told, have: value === null || value.text === null ? 0 : (value.seq ?? 0) }));
  };
  const over = (why: Trouble | null): void => {
    link.end ??= why;
    member.ring();
  };
  socket.addEventListener("message", ({ data }) => {
    hub.seenMs = Date.now();
    answered = true;
    if (data === PONG) return;
    const message = readTold(data);
    if (message === null)
      return over({ code: "partition_gone", message: "the partition's object sent an invalid message" });
    hubs.take(name, message);
    if (leads(hub, member)) ready();
  });
  socket.addEventListener("close", ({ code, reason }) => {
    over(code === CANNOT ? { code: reason, message: `the partition can't be read now: ${reason}` } : null);
  });
  socket.addEventListener("error", () => over(null));
  socket.accept();
  hub.ask();
  ready();
  while (leads(hub, member) && link.end === undefined) {
    if (hub.asked > told) ready();
    else if (!(await member.sleep(WATCH_BEAT_MS))) {
      if (answered) say(PING);
      else over(null);
      answered = false;
      hub.seenMs = Date.now();
    }
  }
  close(socket);
  return link.end ?? null;
}

function close(socket: WebSocket): void {
  try {
    socket.close(1000);
  } catch {
    // The socket is closed already, or breaks now.
  }
}
