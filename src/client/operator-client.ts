/**
 * One operator, seen from outside: ask it, read its state, watch a key. Its type gives the types of answers; the client
 * never runs its code.
 */
import { history, type HistoryEnd, type HistoryEntry, type HistoryOptions } from "./history.ts";
import { errorOf, lacking, mayCount, membersOf, passes, type Answer, type Call } from "./answer.ts";
import { DECIDED } from "./holds.ts";
import type { Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { AnyOperator, AskResult, DataOf, EventType, StateOf } from "./operator-types.ts";
import { outgoing } from "./outgoing.ts";
import type { Patience } from "./patience.ts";
import { watch, type Watched, type WatchOptions } from "./watch.ts";

export interface AskOptions {
  /** The key, if the operator takes it from the event's `key`. */
  readonly key?: string;
  /**
   * An id for asking again later and getting the first answer. By default the client makes one, for its own retries.
   */
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  /** RFC 3339. */
  readonly time?: string;
}

export interface Entry<State> {
  readonly key: string;
  readonly value: State;
  /** The seq of the last event that changed the state. */
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

/** The most keys that one request may name. */
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
   * Sends one event to this operator alone, and resolves with the outcome. A duplicate hears the first answer.
   *
   * @throws KeyframeError if the event isn't decided: the data doesn't fit, the id belongs to another event, no answer,
   *   no permission. `ids` has the event's id if the event may count.
   */
  async ask<T extends EventType<Op>>(
    type: T,
    data: DataOf<Op, T>,
    options: AskOptions = {},
  ): Promise<AskResult<Op, T>> {
    const { line, id } = outgoing({ ...options, type, data }, this.#options.uuid);
    const headers = { "content-type": "application/json" };
    const { answer, ids } = await this.#decided({ method: "POST", path: `${this.#path}/ask`, headers, body: line }, [
      id,
    ]);
    return askResult(answer, ids) as AskResult<Op, T>;
  }

  /** Resolves with null if the key has no state. */
  async get(key: string): Promise<TimedEntry<StateOf<Op>> | null> {
    const answer = await this.#call({ method: "GET", path: `${this.#path}/state?key=${encodeURIComponent(key)}` });
    if (answer.tag === "problem" && answer.code === "no_state") return null;
    return success(answer) as TimedEntry<StateOf<Op>>;
  }

  /** The states of many keys, 500 in a request. Keys without state are left out. */
  async getMany(keys: Iterable<string>): Promise<Map<string, Entry<StateOf<Op>>>> {
    const found = new Map<string, Entry<StateOf<Op>>>();
    const wanted = [...new Set(keys)];
    for (let from = 0; from < wanted.length; from += KEYS_AT_ONCE)
      for (const entry of await this.#batch(wanted.slice(from, from + KEYS_AT_ONCE))) found.set(entry.key, entry);
    return found;
  }

  /** Splits the keys in halves if one answer can't carry all states. One state always fits. */
  async #batch(keys: readonly string[]): Promise<Entry<StateOf<Op>>[]> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ keys });
    const answer = await this.#call({ method: "POST", path: `${this.#path}/state/batch`, headers, body });
    if (answer.tag === "problem" && answer.code === "answer_too_large" && keys.length > 1) {
      const half = Math.ceil(keys.length / 2);
      return [...(await this.#batch(keys.slice(0, half))), ...(await this.#batch(keys.slice(half)))];
    }
    const { items, failed } = success(answer) as { readonly items: Entry<StateOf<Op>>[]; readonly failed?: Failed };
    if (failed !== undefined) throw failedError(answer, failed);
    return items;
  }

  /**
   * Yields all keys page by page, in the order of their UTF-8 bytes.
   * @throws KeyframeError after all other keys if states can't be migrated
   */
  async *scan({ prefix = "", limit = 1_000 }: ScanOptions = {}): AsyncGenerator<readonly Item<StateOf<Op>>[], void> {
    let cursor: string | undefined;
    let broken: KeyframeError | null = null;
    do {
      const query = new URLSearchParams({ prefix, limit: String(limit) });
      if (cursor !== undefined) query.set("cursor", cursor);
      const answer = await this.#call({ method: "GET", path: `${this.#path}/state?${query.toString()}` });
      const page = success(answer) as {
        readonly items: readonly Item<StateOf<Op>>[];
        readonly failed?: Failed;
        readonly cursor?: string;
      };
      if (page.failed !== undefined) broken ??= failedError(answer, page.failed);
      if (page.items.length > 0) yield page.items;
      cursor = page.cursor;
    } while (cursor !== undefined);
    if (broken !== null) throw broken;
  }

  /** The events that touched a key, newest first, each with its outcome and the value after it. */
  history(key: string, options: HistoryOptions = {}): AsyncGenerator<HistoryEntry<StateOf<Op>>, HistoryEnd> {
    const ask = async (path: string): Promise<unknown> => success(await this.#call({ method: "GET", path }));
    return history(ask, this.#path, key, options);
  }

  /**
   * Yields the value of a key now, then each change. After a broken connection it resumes with the current value. Ends
   * with the signal.
   */
  watch(key: string, options: WatchOptions = {}): AsyncGenerator<Watched<StateOf<Op>>, void> {
    const { http, patience } = this.#options;
    const path = `${this.#path}/watch?key=${encodeURIComponent(key)}`;
    return watch<StateOf<Op>>({ http, patience, path }, options);
  }

  async #call(call: Call): Promise<Answer> {
    return (await this.#decided(call, [])).answer;
  }

  /**
   * Resolves with the first answer that isn't a passing failure. `ids` is set if an attempt before it may have counted.
   * @throws KeyframeError `gave_up`
   */
  async #decided(
    call: Call,
    ids: readonly string[],
  ): Promise<{ readonly answer: Answer; readonly ids: readonly string[] }> {
    const patience = this.#options.patience();
    let unknown: readonly string[] = [];
    for (;;) {
      const answer = await this.#options.http.exchange(call);
      if (mayCount(answer)) unknown = ids;
      if (answer.tag !== "none" && !passes(answer)) return { answer, ids: unknown };
      // Only failures pass.
      if (answer.tag === "good") throw new Error("a good answer is final");
      await patience.wait(answer).catch((error: unknown) => {
        throw error instanceof KeyframeError ? error.about(unknown) : error;
      });
    }
  }
}

/** Keys whose states can't be migrated to the operator's version. */
type Failed = readonly { readonly key: string; readonly code: string; readonly message: string }[];

function failedError({ status }: Answer, failed: Failed): KeyframeError {
  const others = failed.length === 1 ? "" : ` (and ${failed.length - 1} more)`;
  return new KeyframeError(failed[0]!.code, `${failed[0]!.message}${others}`, { status });
}

/**
 * Returns the body of a good answer.
 * @throws KeyframeError
 */
function success(answer: Answer): unknown {
  if (answer.tag !== "good") throw errorOf(answer);
  return answer.body;
}

/** `ids` has the event's id if an earlier attempt may have counted. */
function askResult(answer: Answer, ids: readonly string[]): AskResult<AnyOperator, string> {
  if (answer.tag === "good") {
    const { value, duplicate, ...placed } = placedIn(answer.body);
    return { tag: "applied", value, duplicate, ...placed };
  }
  // Of all problems only an operator's decision can answer a duplicate.
  if (answer.tag !== "problem" || lacking(DECIDED, answer.body, "") !== null) throw errorOf(answer, ids);
  const { status, code, body: problem } = answer;
  const { duplicate, value: _, ...placed } = placedIn(problem);
  if (status === 409) return { tag: "refused", code, detail: problem.detail ?? null, duplicate, ...placed };
  if (status === 422 && code === "quarantined")
    return { tag: "quarantined", message: String(problem.detail), duplicate, ...placed };
  throw errorOf(answer, ids);
}

function placedIn(body: unknown) {
  const {
    key,
    partition,
    seq,
    value = null,
    duplicate,
  } = membersOf(body) as {
    readonly key: string;
    readonly partition: number;
    readonly seq: number | null;
    readonly value?: unknown;
    readonly duplicate: boolean;
  };
  return { key, partition, seq, value, duplicate };
}
