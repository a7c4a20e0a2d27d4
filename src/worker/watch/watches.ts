/**
 * The connections of watchers to one partition: hibernatable WebSockets, one for each key and isolate of the Worker.
 *
 * WATCHES1. One message is under way on a connection: the next one goes when its peer is ready again, and has the newest value then. So a
 *     slow peer skips values, and nothing piles up.
 * WATCHES2. Nothing goes by between a message and the next: what changes while the peer isn't ready, or while the value is read, is
 *     found when it is compared with what the peer has.
 * WATCHES3. They outlast the instance: its successor finds them, with their keys, at the first look. Silence costs nothing.
 *     Of a log that was set back it ends those that were told of more: they come again, and hear what holds.
 * WATCHES4. Where the value can't be read the connection is closed with the reason, and the peer comes back.
 */
import { keyFlaw } from "../../engine/operator/routing.ts";
import type { Seq } from "../../engine/base/ids.ts";
import { WATCHES } from "../../engine/base/limits.ts";
import type { Entry } from "../../engine/state/keyed-state.ts";
import type { Watchers } from "../../engine/base/ports.ts";
import type { Answer } from "../rpc.ts";
import { problem } from "../problem.ts";
import { ANEW, CANNOT, NO_MESSAGE, PING, PONG, readReady, toldText, WATCH_PROTOCOL, type Told } from "./watch-wire.ts";

/** Stands with the connection, and outlasts the instance (WATCHES3). */
interface Attached {
  readonly key: string;
  /** The newest event whose change it was sent. */
  readonly sent: number;
}

interface Watch {
  readonly socket: WebSocket;
  readonly key: string;
  sent: number;
  /** The peer waits for a change. */
  ready: boolean;
  /** The key changed while the peer wasn't ready. */
  changed: boolean;
  /** What it was last told to have been read for. */
  answered: number;
  /** What the peer says, to be looked at. */
  asked: { n: number; have: number } | null;
  looking: boolean;
}

type Read = (key: string) => Promise<Answer<Entry | null>>;

export class Watches implements Watchers {
  readonly #ctx: DurableObjectState;
  readonly #read: Read;
  readonly #bySocket = new Map<WebSocket, Watch>();
  readonly #byKey = new Map<string, Set<Watch>>();

  constructor(ctx: DurableObjectState, read: Read) {
    this.#ctx = ctx;
    this.#read = read;
    for (const socket of ctx.getWebSockets()) {
      const { key, sent } = socket.deserializeAttachment() as Attached;
      this.#add(socket, key, sent);
    }
  }

  get any(): boolean {
    return this.#bySocket.size > 0;
  }

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  /** A request of the Worker for a connection. */
  accept(request: Request): Response {
    const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(/, */);
    if (request.headers.get("upgrade") !== "websocket" || !offered.includes(WATCH_PROTOCOL))
      return problem({ status: 503, code: "superseded", detail: `this object speaks ${WATCH_PROTOCOL} alone` });
    if (this.#bySocket.size >= WATCHES)
      return problem({
        status: 503,
        code: "too_many_watchers",
        detail: `the partition has ${WATCHES} watched keys and isolates that watch them`,
        retryAfterSec: 10,
      });
    const key = new URL(request.url).searchParams.get("key");
    if (key === null || keyFlaw(key) !== null) throw new Error("a connection without a key");
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    this.#ctx.acceptWebSocket(ours);
    ours.serializeAttachment({ key, sent: 0 } satisfies Attached);
    // It says by itself that it is ready.
    this.#add(ours, key, 0).ready = false;
    return new Response(null, {
      status: 101,
      webSocket: theirs,
      headers: { "sec-websocket-protocol": WATCH_PROTOCOL },
    });
  }

  /** The peer is ready. */
  async heard(socket: WebSocket, message: unknown): Promise<void> {
    const watch = this.#bySocket.get(socket);
    const ready = readReady(message);
    if (watch === undefined || ready === null) return this.#end(socket, NO_MESSAGE, "no message of this protocol");
    watch.asked = ready;
    if (watch.looking) return;
    watch.looking = true;
    try {
      // Once more only where the peer spoke, or the key changed, meanwhile.
      while (watch.asked !== null) await this.#look(watch, watch.asked);
    } catch (error) {
      this.#end(socket, CANNOT, "internal_error");
      throw error;
    } finally {
      watch.looking = false;
    }
  }

  gone(socket: WebSocket): void {
    const watch = this.#bySocket.get(socket);
    if (watch === undefined) return;
    this.#bySocket.delete(socket);
    const others = this.#byKey.get(watch.key)!;
    others.delete(watch);
    if (others.size === 0) this.#byKey.delete(watch.key);
  }

  changed(key: string, text: string | null, at: Seq): void {
    for (const watch of this.#byKey.get(key) ?? []) {
      if (at <= watch.sent) continue;
      if (watch.ready) this.#send(watch, { n: watch.answered, seq: at, text });
      else watch.changed = true;
    }
  }

  /** The seqs that it was sent count from here again: by its number no news of them would reach it. */
  opened(head: Seq): void {
    for (const watch of this.#bySocket.values())
      if (watch.sent > head) this.#end(watch.socket, ANEW, "the log was set back");
  }

  async #look(watch: Watch, asked: { readonly n: number; readonly have: number }): Promise<void> {
    watch.asked = null;
    watch.ready = false;
    watch.changed = false;
    const answer = await this.#read(watch.key);
    if (answer.tag === "busy") return this.#end(watch.socket, CANNOT, answer.code);
    const { value: entry } = answer;
    const seq = entry?.seq ?? 0;
    if (asked.n > watch.answered || asked.have !== seq) {
      watch.answered = Math.max(watch.answered, asked.n);
      this.#send(watch, { n: watch.answered, seq: entry?.seq ?? null, text: entry?.text ?? null });
    } else if (watch.changed) watch.asked ??= asked;
    else watch.ready = true;
  }

  #send(watch: Watch, told: Told): void {
    watch.ready = false;
    try {
      watch.socket.send(toldText(told));
      if (told.seq === null || told.seq <= watch.sent) return;
      watch.sent = told.seq;
      watch.socket.serializeAttachment({ key: watch.key, sent: watch.sent } satisfies Attached);
    } catch {
      // It is closed, and its handler not called yet.
      this.gone(watch.socket);
    }
  }

  #end(socket: WebSocket, code: number, reason: string): void {
    this.gone(socket);
    try {
      socket.close(code, reason);
    } catch {
      // Closed already.
    }
  }

  /** One that was there before this instance has nothing under way, as far as is known: else it gets one message more. */
  #add(socket: WebSocket, key: string, sent: number): Watch {
    const watch = { socket, key, sent, ready: true, changed: false, answered: 0, asked: null, looking: false };
    this.#bySocket.set(socket, watch);
    const others = this.#byKey.get(key);
    if (others === undefined) this.#byKey.set(key, new Set([watch]));
    else others.add(watch);
    return watch;
  }
}
