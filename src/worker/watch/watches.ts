/**
 * The connections of watchers to one partition: hibernatable WebSockets, one for each key and isolate of the Worker.
 *
 * WATCHES1. Each connection has one message under way. The next one is sent when the peer is ready again, with the
 *     newest value. So a slow peer skips values, and no queue grows.
 * WATCHES2. No change is missed between two messages. A change while the peer isn't ready, or while the value is read,
 *     is found by comparison with the value that the peer has.
 * WATCHES3. Connections outlast the instance: its successor finds them, with their keys, at the first look. Silence
 *     costs nothing. If the log was restored to an older point, connections that were told of later events are closed.
 *     Their peers connect again, and get the current value.
 * WATCHES4. If the value can't be read, the connection is closed with the reason, and the peer comes back.
 */
import { keyFlaw } from "../../engine/operator/routing.ts";
import type { Seq } from "../../engine/base/ids.ts";
import { WATCHES } from "../../engine/base/limits.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import type { Watchers } from "../../engine/base/ports.ts";
import type { PartitionAnswer } from "../rpc.ts";
import { problem } from "../problem.ts";
import {
  ANEW,
  CANNOT,
  NO_MESSAGE,
  PING,
  PONG,
  readReady,
  toldText,
  WATCH_PROTOCOL,
  type ValueMessage,
} from "./watch-wire.ts";

/** Data that is stored with the connection, and outlasts the instance (WATCHES3). */
interface Attached {
  readonly key: string;
  /** The newest event whose change was sent to the peer. */
  readonly sent: number;
}

interface Watch {
  readonly socket: WebSocket;
  readonly key: string;
  sent: number;
  ready: boolean;
  changed: boolean;
  /** The last number that the peer got an answer for. */
  answered: number;
  /** The peer's message that isn't answered yet. */
  asked: { n: number; have: number } | null;
  looking: boolean;
}

type Read = (key: string) => Promise<PartitionAnswer<KeyEntry | null>>;

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

  /** Accepts a request of the Worker for a connection. */
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
    // The peer tells when it is ready.
    this.#add(ours, key, 0).ready = false;
    return new Response(null, {
      status: 101,
      webSocket: theirs,
      headers: { "sec-websocket-protocol": WATCH_PROTOCOL },
    });
  }

  /** Takes a message of the peer: it is ready. */
  async heard(socket: WebSocket, message: unknown): Promise<void> {
    const watch = this.#bySocket.get(socket);
    const ready = readReady(message);
    if (watch === undefined || ready === null) return this.#end(socket, NO_MESSAGE, "no message of this protocol");
    watch.asked = ready;
    if (watch.looking) return;
    watch.looking = true;
    try {
      // Look again only if the peer sent a message, or the key changed, meanwhile.
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

  /**
   * Closes connections that were told of events beyond the head: those seqs are given again, so the peer would miss
   * their changes.
   */
  opened(head: Seq): void {
    for (const watch of this.#bySocket.values())
      if (watch.sent > head) this.#end(watch.socket, ANEW, "the log was restored to an older point");
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

  #send(watch: Watch, told: ValueMessage): void {
    watch.ready = false;
    try {
      watch.socket.send(toldText(told));
      if (told.seq === null || told.seq <= watch.sent) return;
      watch.sent = told.seq;
      watch.socket.serializeAttachment({ key: watch.key, sent: watch.sent } satisfies Attached);
    } catch {
      // The socket is closed, though its handler wasn't called yet.
      this.gone(watch.socket);
    }
  }

  #end(socket: WebSocket, code: number, reason: string): void {
    this.gone(socket);
    try {
      socket.close(code, reason);
    } catch {
      // The socket is closed already.
    }
  }

  /** A connection from before this instance counts as having nothing under way. At worst it gets one message more. */
  #add(socket: WebSocket, key: string, sent: number): Watch {
    const watch = { socket, key, sent, ready: true, changed: false, answered: 0, asked: null, looking: false };
    this.#bySocket.set(socket, watch);
    const others = this.#byKey.get(key);
    if (others === undefined) this.#byKey.set(key, new Set([watch]));
    else others.add(watch);
    return watch;
  }
}
