/**
 * `GET /v1/operators/{op}/watch?key=K`: server-sent events, the current value, then each change.
 *
 * WATCH1. The first value is at least as new as the request: it includes every event that was acknowledged before.
 * WATCH2. The reader sets the pace. While it takes nothing, nothing is made for it; the next value that it gets is the
 *     newest.
 * WATCH3. A reader that has gone is forgotten when the runtime reports it, at the latest with the next write, such as a
 *     sign of life. If the runtime reports nothing, the reader is forgotten after three beats (watch-hub.ts).
 * WATCH4. A stream of main ends if another line is main: with the next sign of life, at the latest. The reader comes back,
 *     and gets the values of that line.
 */
import { keyFlaw, partitionOfKey, type Address, type Route } from "../../engine/operator/routing.ts";
import { partitionName } from "../../engine/base/ids.ts";
import { WATCH_BEAT_MS, WATCH_LOST_MS, WATCH_MS, WATCHERS } from "../../engine/base/limits.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import type { App } from "../app.ts";
import type { Env } from "../env.ts";
import { notAllowed, problem } from "../problem.ts";
import { unavailable } from "../http/answers.ts";
import type { Trouble } from "../trouble.ts";
import { Hubs, type Hub, type HubMember } from "./watch-hub.ts";
import { lead } from "./watch-lead.ts";
import type { WatchedValue } from "./watch-wire.ts";

/** The hubs of this isolate. */
export const hubs = new Hubs();

const FIRST_WAIT_MS = 25_000;
/** After this many failed attempts to reach the partition, the request is answered with the reason. */
const FIRST_ATTEMPTS = 5;
/** A reader waits this long before it comes back. */
const RETRY_MS = 1_000;

export async function watchKey(
  request: Request,
  env: Env,
  app: App,
  route: Route,
  key: string | null,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  if (request.method !== "GET") return notAllowed(["GET"], "a stream of events is read with GET");
  const flaw = key === null ? "name the key with ?key=" : keyFlaw(key);
  if (key === null || flaw !== null) return problem({ status: 400, code: "invalid_key", detail: flaw! });
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const partition = partitionOfKey(route, key);
  if (partition === null)
    return problem({
      status: 400,
      code: "invalid_key",
      detail: `no event can have the key ${JSON.stringify(key)}: it has no group`,
    });
  const watcher = Watcher.join(env, app, route.addresses[partition]!, key);
  if (watcher === null)
    return problem({
      status: 503,
      code: "too_many_watchers",
      detail: `this isolate can't watch another key (${WATCHERS} streams, or large values); try again`,
      retryAfterSec: 10,
    });
  const trouble = await watcher.first();
  if (trouble !== null) return unavailable(trouble);
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // Without this, nginx would hold the stream back until its buffers are full, possibly forever.
    "x-accel-buffering": "no",
  };
  return new Response(watcher.stream(request.headers.get("last-event-id")), { headers });
}

const encoder = new TextEncoder();

/** One stream, in the request that it belongs to. */
class Watcher {
  readonly #env: Env;
  readonly #app: App;
  readonly #address: Address;
  readonly #key: string;
  readonly #name: string;
  readonly #hub: Hub;
  readonly #member: HubMember;
  readonly #endMs = Date.now() + WATCH_MS;
  /** `changes` of the hub when this watcher last gave a value. */
  #given = -1;

  constructor(env: Env, app: App, address: Address, key: string, name: string, hub: Hub, member: HubMember) {
    this.#env = env;
    this.#app = app;
    this.#address = address;
    this.#key = key;
    this.#name = name;
    this.#hub = hub;
    this.#member = member;
  }

  static join(env: Env, app: App, address: Address, key: string): Watcher | null {
    const name = `${partitionName(address)} ${key}`;
    const joined = hubs.join(name, Date.now());
    return joined === null ? null : new Watcher(env, app, address, key, name, joined.hub, joined.member);
  }

  /** Waits for the current value (WATCH1). @returns null, or the reason why there is none; then the watcher has gone */
  async first(): Promise<Trouble | null> {
    const hub = this.#hub;
    const wanted = hub.ask();
    const failed = hub.failures + FIRST_ATTEMPTS;
    const deadlineMs = Date.now() + FIRST_WAIT_MS;
    while (hub.heard < wanted && !this.#member.gone) {
      this.#leadIfNobody();
      const leftMs = deadlineMs - Date.now();
      if (leftMs > 0 && hub.failures < failed) await this.#member.sleep(Math.min(leftMs, WATCH_BEAT_MS));
      else {
        hubs.leave(this.#name, this.#member);
        return hub.silence ?? { code: "store_unavailable", message: "the partition did not tell the value in time" };
      }
    }
    return null;
  }

  stream(lastId: string | null): ReadableStream<Uint8Array> {
    const { value, changes } = this.#hub;
    // The reader has this value already.
    if (value?.seq != null && lastId === String(value.seq)) this.#given = changes;
    let greeted = false;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (to) => {
          const text = greeted ? await this.#next() : `retry: ${RETRY_MS}\n\n`;
          greeted = true;
          if (text !== null) return to.enqueue(encoder.encode(text));
          hubs.leave(this.#name, this.#member);
          to.close();
        },
        cancel: () => hubs.leave(this.#name, this.#member),
      },
      { highWaterMark: 0 },
    );
  }

  /** Returns the next value, or a sign of life, or null at the end. */
  async #next(): Promise<string | null> {
    for (;;) {
      const now = Date.now();
      const { silence } = this.#hub;
      if (this.#member.gone || now >= this.#endMs) return null;
      if (silence !== null && (silence.code === "line_sealed" || now - silence.sinceMs > WATCH_LOST_MS)) return null;
      this.#leadIfNobody();
      const { value, changes } = this.#hub;
      if (value !== null && changes !== this.#given) {
        this.#given = changes;
        return messageOf(this.#key, value);
      }
      if (!(await this.#member.sleep(WATCH_BEAT_MS))) return (await this.#isMain()) ? ":\n\n" : null;
    }
  }

  /** Returns false if the reader asked for main, and another line is main now (WATCH4). */
  async #isMain(): Promise<boolean> {
    const { line, named } = this.#address;
    if (named !== undefined) return true;
    const routes = await this.#app.current(this.#env).catch(() => null);
    return routes === null || routes.line === line;
  }

  #leadIfNobody(): void {
    const [hub, member] = [this.#hub, this.#member];
    if (hub.leader === member || !hub.lead(member, Date.now())) return;
    // The lead belongs to this request, and lives as long as the stream.
    void lead({ env: this.#env, address: this.#address, key: this.#key }, hubs, this.#name, hub, member);
  }
}

/** A state's text has no line ends: JSON.stringify made it. */
function messageOf(key: string, { seq, text }: WatchedValue): string {
  const id = seq === null ? "" : `id: ${seq}\n`;
  return `${id}data: {"key":${JSON.stringify(key)},"value":${text ?? "null"},"seq":${seq}}\n\n`;
}
