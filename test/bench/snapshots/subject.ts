// The partition under measurement, from outside: a Worker of its own in a runtime of its own, and what can be done to it.

import { randomBytes } from "node:crypto";
import { line, seeded } from "../body.ts";
import { feed } from "../feed.ts";
import { type Host, startHost } from "../host.ts";
import { keyframeSetup } from "../systems.ts";
import type { Counters } from "../workers/counters.ts";

const LINES_A_REQUEST = 100_000;
const ANSWER_LIMIT_MS = 300_000;
/** A snapshot that was under way may not hold everything; the next one does. */
const SNAPSHOT_TRIES = 60;
const PARTITION = "/v1/operators/meter/partitions/0";

export interface Manifest {
  version: number;
  kind: "full" | "delta";
  seq: number;
  keys: number;
  stateBytes: number;
  parts?: number;
  snapshot: { name: string; bytes: number };
  chain?: { name: string; bytes: number }[];
}

export interface Status {
  appliedSeq: number;
  keys: number;
  tailEvents: number;
  tailBytes: number;
  estimatedRecoveryMs: number;
  lastSnapshot: { manifest: number; kind: string } | null;
  lastRecovery: { ms: number; replayedEvents: number } | null;
}

/** A timeline and its line. */
export interface Named {
  readonly name: string;
  readonly line: number;
}
export const MAIN: Named = { name: "main", line: 1 };

export interface Answered {
  readonly body: Record<string, unknown>;
  readonly ms: number;
}

/** `never`: no snapshot but where one is asked for. `memory`: bytes of states in memory. */
export interface SubjectOptions {
  never?: boolean;
  memory?: number;
  partitions?: number;
  operators?: number;
  worker?: "snapshots.ts" | "accelerated.ts";
}

export class Subject {
  readonly host: Host;
  readonly #nonce = randomBytes(4).toString("hex");
  readonly #random = seeded(7);
  #sent = 0;

  private constructor(host: Host) {
    this.host = host;
  }

  static async start(options: SubjectOptions = {}): Promise<Subject> {
    const { never = false, memory = 0, partitions = 1, operators = 1, worker = "snapshots.ts" } = options;
    const setup = keyframeSetup(worker, { delayMs: 0, tailBytes: 0 });
    const vars = { ...setup.vars, NEVER: never ? 1 : 0, MEMORY: memory, PARTITIONS: partitions, OPERATORS: operators };
    return new Subject(await startHost({ ...setup, vars }));
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Events over keys 0, 1, … `keys` - 1, again and again. @returns events a second */
  async fill(events: number, keys: number): Promise<number> {
    let seconds = 0;
    for (let from = 0; from < events; from += LINES_A_REQUEST) {
      const lines = Math.min(LINES_A_REQUEST, events - from);
      const nonce = `${this.#nonce}${this.#sent++}`;
      seconds += (await feed({ url: this.host.url, lines, keys, from, nonce })).seconds;
    }
    return events / seconds;
  }

  /** Events for these keys, one request. */
  async send(keys: readonly number[]): Promise<void> {
    const id = (n: number): string => `${this.#nonce}-${this.#sent}-${n}`;
    const body = keys.map((key, n) => line(id(n), key, this.#random)).join("");
    this.#sent += 1;
    const response = await this.#fetch("/v1/events", {
      method: "POST",
      body,
      headers: { "content-type": "application/x-ndjson" },
    });
    const { accepted } = (await response.json()) as { accepted: number };
    if (accepted !== keys.length) throw new Error(`of ${keys.length} events ${accepted} were accepted`);
  }

  /** A snapshot of everything. */
  async snapshot(): Promise<Manifest> {
    for (let n = 0; n < SNAPSHOT_TRIES; n += 1) {
      const response = await fetch(new URL(`${PARTITION}/snapshot`, this.host.url), { method: "POST" });
      const text = await response.text();
      if (response.status === 503) continue;
      if (!response.ok) throw new Error(`a snapshot was answered ${response.status} ${text.slice(0, 400)}`);
      const manifest = JSON.parse(text) as Manifest;
      if (manifest.seq === (await this.status()).appliedSeq) return manifest;
    }
    throw new Error(`no snapshot of everything in ${SNAPSHOT_TRIES} tries`);
  }

  async manifests(): Promise<Manifest[]> {
    return (await (await this.#fetch(`${PARTITION}/manifests`)).json()) as Manifest[];
  }

  async status(live = true): Promise<Status> {
    return (await (await this.#fetch(`${PARTITION}?live=${String(live)}`)).json()) as Status;
  }

  async counters(): Promise<Counters> {
    return (await (await this.#fetch("/bench/counters")).json()) as Counters;
  }

  /** A route that answers without the partition. */
  async look(path: string): Promise<void> {
    await (await this.#fetch(path)).arrayBuffer();
  }

  async delay(ms: number): Promise<void> {
    await this.#fetch(`/bench/delay?ms=${ms}`);
  }

  /** Moves the clock of an accelerated subject on. */
  async advance(ms: number): Promise<void> {
    await this.#fetch(`/bench/advance?ms=${ms}`);
  }

  /** Drops the object from memory as a crash does; `cold`: and its own storage is empty. */
  async crash(cold: boolean, { line, name }: Named = MAIN): Promise<void> {
    if (cold) await this.#fetch(`/bench/forget?name=${line}/meter/0000`);
    await this.#fetch(`${PARTITION}/evict?timeline=${name}`, { method: "POST" });
  }

  /** Milliseconds until a read of the key is answered. */
  async read(key: number, { name }: Named = MAIN): Promise<number> {
    const path = `/v1/operators/meter/state?key=dev-${String(key).padStart(6, "0")}&timeline=${name}`;
    return this.#timed(200, path, () => ({}));
  }

  /** Names of the operators. */
  async operators(): Promise<readonly string[]> {
    const all = (await (await this.#fetch("/v1/operators")).json()) as readonly { readonly name: string }[];
    return all.map(({ name }) => name);
  }

  /** Sends JSON to a route. Returns the answer, and how many milliseconds it took. */
  async put(path: string, body: unknown): Promise<Answered> {
    const init = { method: "PUT", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    return answered(() => this.#fetch(path, init));
  }

  /** The same without a body; the app may say no. */
  async post(path: string, headers: Record<string, string>): Promise<Answered> {
    return answered(() => fetch(new URL(path, this.host.url), { method: "POST", headers }));
  }

  /** Sends one event of a key that was there at once. Returns false if it has to be sent again. */
  async offer(): Promise<boolean> {
    const headers = { "content-type": "application/x-ndjson" };
    const body = line(`${this.#nonce}-${this.#sent++}`, 0, this.#random);
    const init = { method: "POST", headers, body };
    const response = await fetch(new URL("/v1/events", this.host.url), init);
    const text = await response.text();
    if (response.status === 200) return true;
    if (response.status !== 503) throw new Error(`an event was answered ${response.status} ${text.slice(0, 400)}`);
    return false;
  }

  /** Milliseconds until an event of the key is known to be durable. */
  async append(key: number): Promise<number> {
    const headers = { "content-type": "application/x-ndjson" };
    const body = line(`${this.#nonce}-${this.#sent++}`, key, this.#random);
    return this.#timed(200, "/v1/events", () => ({ method: "POST", headers, body }));
  }

  /** A partition that is still opening may answer 503. */
  async #timed(wanted: number, path: string, init: () => RequestInit): Promise<number> {
    const start = performance.now();
    for (;;) {
      const response = await fetch(new URL(path, this.host.url), init());
      const text = await response.text();
      const ms = performance.now() - start;
      if (response.status === wanted) return ms;
      if (response.status !== 503 || ms > ANSWER_LIMIT_MS)
        throw new Error(`${path} was answered ${response.status} ${text.slice(0, 400)}`);
    }
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.host.url), init);
    if (response.ok) return response;
    throw new Error(`${path} was answered ${response.status} ${(await response.text()).slice(0, 400)}`);
  }
}

async function answered(call: () => Promise<Response>): Promise<Answered> {
  const start = performance.now();
  const body = (await (await call()).json()) as Record<string, unknown>;
  return { body, ms: performance.now() - start };
}
