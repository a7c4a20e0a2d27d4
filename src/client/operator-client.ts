/** One operator, seen from outside: ask it, read its state, watch a key. Its type says what comes back; its code isn't needed. */
import { history, type HistoryEnd, type HistoryEntry, type HistoryOptions } from "./history.ts";
import { errorOf, membersOf, passes, type Answer, type Call, type Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { AnyOperator, AskResult, DataOf, EventType, StateOf } from "./operator-types.ts";
import { outgoing } from "./outgoing.ts";
import type { Patience } from "./patience.ts";
import { watch, type Watched, type WatchOptions } from "./watch.ts";

export interface AskOptions {
  /** Where the operator takes the key from the event's `key`. */
  readonly key?: string;
  /** To ask again later and get the first answer. Without it the client makes one, for its own repeats. */
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  /** RFC 3339. */
  readonly time?: string;
}

export interface Entry<State> {
  readonly key: string;
  readonly value: State;
  /** Of the last event that changed it. */
  readonly seq: number;
}

/** The state of one key, with the logged time of the last event that changed it. */
export interface TimedEntry<State> extends Entry<State> {
  readonly partition: number;
  readonly time: string;
}

export interface ScanOptions {
  readonly prefix?: string;
  /** Items of a page, up to 1,000. */
  readonly limit?: number;
}

export interface Item<State> {
  readonly key: string;
  readonly value: State;
}

/** What one request may ask for. */
const KEYS_AT_ONCE = 500;

export interface OperatorClientOptions {
  readonly http: Http;
  readonly patience: () => Patience;
  readonly uuid: () => string;
}

export class OperatorClient<Op extends AnyOperator> {
  readonly name: Op["name"];
  readonly #path: string;
  readonly #options: OperatorClientOptions;

  constructor(name: Op["name"], options: OperatorClientOptions) {
    this.name = name;
    this.#path = `/v1/operators/${encodeURIComponent(name)}`;
    this.#options = options;
  }

  /**
   * Sends one event to this operator alone, and resolves with what it decided. A repeat with the same id gets the first answer.
   *
   * @throws KeyframeError where it isn't decided: the data doesn't fit, the id belongs to another event, no answer, no permission
   */
  async ask<T extends EventType<Op>>(
    type: T,
    data: DataOf<Op, T>,
    options: AskOptions = {},
  ): Promise<AskResult<Op, T>> {
    const { line } = outgoing({ ...options, type, data }, this.#options.uuid);
    const headers = { "content-type": "application/json" };
    const answer = await this.#call({ method: "POST", path: `${this.#path}/ask`, headers, body: line });
    return askResult(answer) as AskResult<Op, T>;
  }

  /** Null: there is no state for this key. */
  async get(key: string): Promise<TimedEntry<StateOf<Op>> | null> {
    const answer = await this.#call({ method: "GET", path: `${this.#path}/state?key=${encodeURIComponent(key)}` });
    const body = membersOf(answer.body);
    if (answer.status === 404 && body["code"] === "no_state") return null;
    return success(answer) as TimedEntry<StateOf<Op>>;
  }

  /** The states of many keys, 500 in a request; keys without state are left out. */
  async getMany(keys: Iterable<string>): Promise<Map<string, Entry<StateOf<Op>>>> {
    const found = new Map<string, Entry<StateOf<Op>>>();
    const wanted = [...new Set(keys)];
    for (let from = 0; from < wanted.length; from += KEYS_AT_ONCE)
      for (const entry of await this.#batch(wanted.slice(from, from + KEYS_AT_ONCE))) found.set(entry.key, entry);
    return found;
  }

  /** Where the states are more than one answer can carry, in halves: one state always fits. */
  async #batch(keys: readonly string[]): Promise<Entry<StateOf<Op>>[]> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ keys });
    const answer = await this.#call({ method: "POST", path: `${this.#path}/state/batch`, headers, body });
    if (membersOf(answer.body)["code"] === "answer_too_large" && keys.length > 1) {
      const half = Math.ceil(keys.length / 2);
      return [...(await this.#batch(keys.slice(0, half))), ...(await this.#batch(keys.slice(half)))];
    }
    return (success(answer) as { readonly items: Entry<StateOf<Op>>[] }).items;
  }

  /** Page by page, all keys in the order of their UTF-8 bytes. */
  async *scan({ prefix = "", limit = 1_000 }: ScanOptions = {}): AsyncGenerator<readonly Item<StateOf<Op>>[], void> {
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({ prefix, limit: String(limit) });
      if (cursor !== undefined) query.set("cursor", cursor);
      const answer = await this.#call({ method: "GET", path: `${this.#path}/state?${query.toString()}` });
      const page = success(answer) as { readonly items: readonly Item<StateOf<Op>>[]; readonly cursor?: string };
      if (page.items.length > 0) yield page.items;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** The events that touched a key, newest first, each with what became of it and the value after it. */
  history(key: string, options: HistoryOptions = {}): AsyncGenerator<HistoryEntry<StateOf<Op>>, HistoryEnd> {
    const ask = async (path: string): Promise<unknown> => success(await this.#call({ method: "GET", path }));
    return history(ask, this.#path, key, options);
  }

  /** The value of a key now, then each change of it; after a broken connection from the value then. Ends with the signal. */
  watch(key: string, options: WatchOptions = {}): AsyncGenerator<Watched<StateOf<Op>>, void> {
    const { http, patience } = this.#options;
    const path = `${this.#path}/watch?key=${encodeURIComponent(key)}`;
    return watch<StateOf<Op>>({ http, patience, path }, options);
  }

  /** The first answer that another attempt can't better. @throws KeyframeError `gave_up` */
  async #call(call: Call): Promise<Answer> {
    const patience = this.#options.patience();
    for (;;) {
      const answer = await this.#options.http.exchange(call);
      if (answer.tag === "answer" && !passes(answer)) return answer;
      await patience.wait(answer);
    }
  }
}

/** The body of an answer that is one. @throws KeyframeError */
function success(answer: Answer): unknown {
  if (answer.status !== 200 || answer.body === null) throw errorOf(answer);
  return answer.body;
}

function askResult(answer: Answer): AskResult<AnyOperator, string> {
  const { status } = answer;
  const body = membersOf(answer.body);
  // Of all that is answered so, only what an operator decided can be a repeat.
  const { duplicate } = body;
  if (typeof duplicate !== "boolean" || (status !== 200 && status !== 409 && status !== 422)) throw errorOf(answer);
  const { key, partition, seq, value, code, detail } = body as Record<"key", string> &
    Record<"partition", number> &
    Record<"seq", number | null> &
    Record<"code", string> &
    Record<"value" | "detail", unknown>;
  const placed = { key, partition, seq: seq ?? null };
  if (status === 200) return { tag: "applied", value: value ?? null, duplicate, ...placed };
  if (status === 409) return { tag: "refused", code, detail: detail ?? null, duplicate, ...placed };
  if (code !== "quarantined") throw new KeyframeError("unexpected_answer", `a 422 with the code ${code}`, status);
  return { tag: "quarantined", message: String(detail), duplicate, ...placed };
}
