/**
 * One operator, seen from outside: ask it, read its state, watch a key, follow all keys. Its type gives the types of
 * answers; the client never runs its code.
 */
import { keyframeErrorOf, lacking, membersOf, type Answer } from "./answer.ts";
import { decided, type Calling } from "./calling.ts";
import { changeBatches, type ChangesBatch, type ChangesOptions } from "./changes.ts";
import { DECIDED } from "./holds.ts";
import { OperatorReads } from "./operator-reads.ts";
import { operatorPath } from "./paths.ts";
import type { StateOf } from "../engine/operator/operator-types.ts";
import type { AnyOperator, AskResult, DataOf, EventType } from "./operator-types.ts";
import { outgoing } from "./outgoing.ts";
import { watchStates, type Watched, type WatchOptions } from "./watch.ts";

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

export class OperatorClient<Op extends AnyOperator> extends OperatorReads<Op> {
  readonly #path: string;
  readonly #calling: Calling;

  constructor(name: Op["name"], calling: Calling) {
    super(name, calling, null);
    this.#path = operatorPath(name);
    this.#calling = calling;
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
    const { line, id } = outgoing({ ...options, type, data }, this.#calling.uuid);
    const headers = { "content-type": "application/json" };
    const { answer, ids } = await decided(
      this.#calling,
      { method: "POST", path: `${this.#path}/ask`, headers, body: line },
      [id],
    );
    return askResult(answer, ids) as AskResult<Op, T>;
  }

  /**
   * Yields the value of a key now, then each change. After a broken connection it resumes with the current value. Ends
   * with the signal.
   */
  watch(key: string, options: WatchOptions = {}): AsyncGenerator<Watched<StateOf<Op>>, void> {
    const { http, patience } = this.#calling;
    const path = `${this.#path}/watch?key=${encodeURIComponent(key)}`;
    return watchStates<StateOf<Op>>({ http, patience, path }, options);
  }

  /**
   * Yields the changes of all keys, oldest first, in pages with the cursor behind each. Ends with the signal.
   *
   * @throws KeyframeError `moment_gone` or `line_parted` if the reader must begin anew
   */
  changes(options: ChangesOptions = {}): AsyncGenerator<ChangesBatch<StateOf<Op>>, void> {
    return changeBatches<StateOf<Op>>(this.#calling, this.#path, options);
  }
}

/** `ids` has the event's id if an earlier attempt may have counted. */
function askResult(answer: Answer, ids: readonly string[]): AskResult<AnyOperator, string> {
  if (answer.tag === "good") {
    const { value, duplicate, ...placed } = placedIn(answer.body);
    return { tag: "applied", value, duplicate, ...placed };
  }
  // Of all problems only an operator's decision can answer a duplicate.
  if (answer.tag !== "problem" || lacking(DECIDED, answer.body, "") !== null) throw keyframeErrorOf(answer, ids);
  const { status, code, body: problem } = answer;
  const { duplicate, value: _, ...placed } = placedIn(problem);
  if (status === 409) return { tag: "refused", code, detail: problem.detail ?? null, duplicate, ...placed };
  if (status === 422 && code === "quarantined")
    return { tag: "quarantined", message: String(problem.detail), duplicate, ...placed };
  throw keyframeErrorOf(answer, ids);
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
