/** Reading one operator's state: as it is now, or as it was at a moment. */
import { operatorPath } from "./paths.ts";
import { membersOf, type Answer, type Call } from "./answer.ts";
import { blamedEvent, type Blamed, type BlameOptions } from "./blame.ts";
import { decided, success, type Calling } from "./calling.ts";
import { historyEntries, type HistoryEnd, type HistoryEntry, type HistoryOptions } from "./history.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { stampIn, type AboutMoment, type PinnedMoment } from "./moment.ts";
import type { StateOf } from "../engine/operator/operator-types.ts";
import type { AnyOperator } from "./operator-types.ts";

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

/** The pending timers of one key. Times are RFC 3339. */
export interface TimersOfKey {
  readonly key: string;
  /** The timer that fires first comes first. */
  readonly timers: readonly { readonly name: string; readonly due: string }[];
  /** When the key expires, unless an event comes before. Null if it doesn't. */
  readonly expires: string | null;
  readonly partition: number;
  /** The seq of the last event that changed the key. */
  readonly seq: number;
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

/** `About`: what each entry says of its moment. Reads of the present say nothing. */
export class OperatorReads<Op extends AnyOperator, About = unknown> {
  readonly name: Op["name"];
  readonly #path: string;
  readonly #calling: Calling;
  readonly #moment: PinnedMoment | null;

  constructor(name: Op["name"], calling: Calling, moment: PinnedMoment | null) {
    this.name = name;
    this.#path = operatorPath(name);
    this.#calling = calling;
    this.#moment = moment;
  }

  /** Resolves with null if the key has no state. */
  async get(key: string): Promise<(TimedEntry<StateOf<Op>> & About) | null> {
    const answer = await this.#one("state", key);
    return answer === null ? null : { ...(success(answer) as TimedEntry<StateOf<Op>>), ...this.#about(answer) };
  }

  /** The pending timers of a key, and when it expires. Resolves with null if the key has no state. */
  async timers(key: string): Promise<(TimersOfKey & About) | null> {
    const answer = await this.#one("timers", key);
    return answer === null ? null : { ...(success(answer) as TimersOfKey), ...this.#about(answer) };
  }

  async #one(what: "state" | "timers", key: string): Promise<Answer | null> {
    const answer = await this.#call({ method: "GET", path: `${this.#path}/${what}?key=${encodeURIComponent(key)}` });
    if (answer.tag === "problem" && answer.code === "no_state") {
      // An app that doesn't know moments would answer for the present.
      if (this.#moment !== null) stampIn(answer);
      return null;
    }
    return answer;
  }

  /** The states of many keys, 500 in a request. Keys without state are left out. */
  async getMany(keys: Iterable<string>): Promise<Map<string, Entry<StateOf<Op>> & About>> {
    const found = new Map<string, Entry<StateOf<Op>> & About>();
    const wanted = [...new Set(keys)];
    for (let from = 0; from < wanted.length; from += KEYS_AT_ONCE)
      for (const entry of await this.#batch(wanted.slice(from, from + KEYS_AT_ONCE))) found.set(entry.key, entry);
    return found;
  }

  /** Splits the keys in halves if one answer can't carry all states. One state always fits. */
  async #batch(keys: readonly string[]): Promise<(Entry<StateOf<Op>> & About)[]> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ keys });
    const answer = await this.#call({ method: "POST", path: `${this.#path}/state/batch`, headers, body });
    if (answer.tag === "problem" && answer.code === "answer_too_large" && keys.length > 1) {
      const half = Math.ceil(keys.length / 2);
      return [...(await this.#batch(keys.slice(0, half))), ...(await this.#batch(keys.slice(half)))];
    }
    const { items, failed } = success(answer) as { readonly items: Entry<StateOf<Op>>[]; readonly failed?: Failed };
    if (failed !== undefined) throw failedError(answer, failed);
    return items.map((item) => ({ ...item, ...this.#about(answer) }));
  }

  /**
   * Yields all keys page by page, in the order of their UTF-8 bytes.
   * @throws KeyframeError after all other keys if states can't be migrated
   */
  async *scan({ prefix = "", limit = 1_000 }: ScanOptions = {}): AsyncGenerator<
    readonly (Item<StateOf<Op>> & About)[],
    void
  > {
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
      if (page.items.length > 0) yield page.items.map((item) => ({ ...item, ...this.#about(answer) }));
      cursor = page.cursor;
    } while (cursor !== undefined);
    if (broken !== null) throw broken;
  }

  /** The events that touched a key, newest first, each with its outcome and the value after it. */
  history(key: string, options: HistoryOptions = {}): AsyncGenerator<HistoryEntry<StateOf<Op>>, HistoryEnd> {
    return historyEntries(this.#asking(), this.#path, key, options);
  }

  /** The newest event that changed a member of a key's state. `path`: a JSON pointer (RFC 6901), "" for the state. */
  blame(key: string, path = "", options: BlameOptions = {}): Promise<Blamed> {
    return blamedEvent(this.#asking(), this.#path, key, path, options);
  }

  /** Returns a function for several requests about one history. */
  #asking(): (path: string) => Promise<unknown> {
    let first = true;
    return async (path) => {
      const call: Call = { method: "GET", path };
      // Requests behind the first one are bounded by `before`, which is cheaper than the moment.
      const answer = first ? await this.#call(call) : (await decided(this.#calling, call, [])).answer;
      first = false;
      return success(answer);
    };
  }

  async #call(call: Call): Promise<Answer> {
    const ask = async (path: string): Promise<Answer> => (await decided(this.#calling, { ...call, path }, [])).answer;
    return this.#moment === null ? ask(call.path) : this.#moment.read(call.path, ask);
  }

  #about({ body }: Answer): About {
    const about: AboutMoment | null =
      this.#moment === null ? null : { at: membersOf(body)["at"] as number, exact: membersOf(body)["exact"] !== false };
    return (about ?? {}) as About;
  }
}

/** Keys whose states can't be migrated to the operator's version. */
type Failed = readonly { readonly key: string; readonly code: string; readonly message: string }[];

function failedError({ status }: Answer, failed: Failed): KeyframeError {
  const others = failed.length === 1 ? "" : ` (and ${failed.length - 1} more)`;
  return new KeyframeError(failed[0]!.code, `${failed[0]!.message}${others}`, { status });
}
