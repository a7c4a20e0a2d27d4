/**
 * An app behind `fetch` for tests of the client: it decides events by their ids as docs/reference/api.md says, keeps
 * what was logged in the order in which it came, and fails as a script tells it. Time is virtual.
 */
import type { Fetch } from "../../src/client/http.ts";
import { asProblem } from "./problem.ts";
import { VirtualClock } from "../../src/testkit/virtual-clock.ts";

export interface Seen {
  readonly atMs: number;
  readonly path: string;
  readonly method: string;
  readonly headers: Headers;
  readonly text: string;
  readonly events: readonly SentEvent[];
}

export interface SentEvent {
  readonly id: string;
  readonly type: string;
  readonly key?: string;
  readonly [member: string]: unknown;
}

/** The fate of a request. */
export type Fault =
  | { readonly tag: "none" }
  /** The connection breaks before anything is taken in, or after all of it was. */
  | { readonly tag: "lost"; readonly taken: boolean }
  /** Nobody answers, until the client gives up waiting. */
  | { readonly tag: "silent" }
  /** 503: all before `through` is decided, and those listed in `beyond` too. */
  | { readonly tag: "partly"; readonly through: number; readonly beyond?: readonly number[]; readonly headers?: Headed }
  /** An answer of its own. */
  | { readonly tag: "answer"; readonly status: number; readonly body?: unknown; readonly headers?: Headed };

type Headed = Readonly<Record<string, string>>;
type Script = (seen: Seen, attempt: number) => Fault;

export class ScriptedApp {
  readonly clock = new VirtualClock();
  readonly seen: Seen[] = [];
  /** Ids that count, in the order in which they were logged. */
  readonly logged: string[] = [];
  /** Requests that are under way at this moment, and the most there were. */
  underWay = 0;
  mostUnderWay = 0;
  /** How long an answer takes. */
  latencyMs = 10;
  readonly #known = new Set<string>();
  readonly #script: Script;

  constructor(script: Script = () => ({ tag: "none" })) {
    this.#script = script;
  }

  readonly fetch: Fetch = async (url, init) => {
    const body = init.body ?? "";
    const headers = new Headers(init.headers);
    const text = typeof body === "string" ? body : await unpacked(body);
    const events = headers.get("content-type") === "application/x-ndjson" ? text.split("\n").map(parse) : [];
    const { pathname, search } = new URL(url);
    const seen = { atMs: this.clock.now(), path: pathname + search, method: init.method, headers, text, events };
    this.seen.push(seen);
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    try {
      return await this.#answer(seen, this.#script(seen, this.seen.length), init.signal);
    } finally {
      this.underWay -= 1;
    }
  };

  async #answer(seen: Seen, fault: Fault, signal: AbortSignal): Promise<Response> {
    if (fault.tag === "silent")
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    await new Promise<void>((resolve) => this.clock.after(this.latencyMs, resolve));
    switch (fault.tag) {
      case "lost":
        if (fault.taken) this.#take(seen.events, seen.events.length);
        throw new TypeError("fetch failed", { cause: new Error("read ECONNRESET") });
      case "answer":
        return reply(fault.status, fault.body, fault.headers);
      case "partly": {
        const body = this.#take(seen.events, fault.through, fault.beyond);
        return reply(503, { ...body, code: "store_unavailable", detail: "not all is durable" }, fault.headers);
      }
      default: {
        const body = this.#take(seen.events, seen.events.length);
        const bad = body.rejected + body.refused > 0;
        const whole = body.rejected === body.received ? 422 : 207;
        return reply(bad ? whole : 200, whole === 422 && bad ? { code: "rejected", ...body } : body);
      }
    }
  }

  /**
   * Types decide: `refuse.*` is refused with the rest as its code, `reject.*` is rejected, `throw` is quarantined,
   * `forget` is known by its number, `half.*` is refused and another operator has it.
   */
  #take(events: readonly SentEvent[], through: number, beyond: readonly number[] = []) {
    const counts = { received: events.length, accepted: 0, duplicates: 0, refused: 0, rejected: 0, quarantined: 0 };
    const results: object[] = [];
    const errors: object[] = [];
    for (const [index, { id, type, key = null }] of events.entries()) {
      const [how, code = ""] = type.split(".");
      const place = { index, operator: "tally", key, partition: 0, seq: 1 };
      if (how === "reject") {
        counts.rejected += 1;
        errors.push({ index, id, code, message: `rejected: ${code}` });
        results.push({ ...place, operator: null, status: "rejected", duplicate: false, value: null });
        continue;
      }
      if (index >= through && !beyond.includes(index)) continue;
      if (how === "forget") {
        counts.duplicates += 1;
        results.push({ ...place, seq: null, status: "forgotten", duplicate: true, value: null });
        continue;
      }
      const duplicate = this.#known.has(id);
      this.#known.add(id);
      if (!duplicate) this.logged.push(id);
      if (how === "refuse" || how === "half") {
        counts.refused += 1;
        const acceptedBy = how === "half" ? ["audit"] : [];
        errors.push({
          index,
          id,
          operator: "tally",
          code,
          message: "refused by tally",
          acceptedBy,
          detail: { left: 0 },
        });
        if (how === "half") results.push({ ...place, operator: "audit", status: "applied", duplicate, value: null });
        results.push({ ...place, status: "refused", duplicate, value: { code, detail: { left: 0 } } });
        continue;
      }
      counts[duplicate ? "duplicates" : "accepted"] += 1;
      if (how === "throw") counts.quarantined += 1;
      results.push({ ...place, status: how === "throw" ? "quarantined" : "applied", duplicate, value: null });
    }
    return { ...counts, unrouted: 0, through, errors: errors.slice(0, 100), results };
  }

  /** The result of a promise, with time passing as long as it needs it. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const state = { done: false };
    promise.then(
      () => (state.done = true),
      () => (state.done = true),
    );
    for (let turn = 0; turn < 100_000; turn++) {
      await this.quiet();
      if (state.done) return promise;
      await this.clock.step();
    }
    throw new Error("nothing is left that could settle it");
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    do await this.quiet();
    while (await this.clock.step(until));
    await this.clock.advance(until - this.clock.now());
    await this.quiet();
  }

  /** Until nothing moves but the clock: bodies are read in turns of the event loop. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

const parse = (line: string): SentEvent => JSON.parse(line) as SentEvent;

const unpacked = (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();

const reply = (status: number, body: unknown = {}, headers: Headed = {}): Response =>
  new Response(typeof body === "string" ? body : JSON.stringify(asProblem(status, body)), { status, headers });
