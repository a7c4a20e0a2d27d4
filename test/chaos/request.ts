/*
 * One request of several events, the same at every sending, and what its answers must agree on.
 *
 * 1. All copies of a request together may have each event accepted once. Once the request is acknowledged, a retry must
 *    find all of it (ONE1, ONE2).
 * 2. Every answer that lists its results gives each event the same place in the log and the same outcome, and no place has
 *    two events.
 * 3. Events that a promotion gave up may be accepted once more, at another place.
 * 4. A split leaves each event its seq. The partition that answers for it is a part of the one that logged it.
 */
import type { BatchAnswer } from "../../src/local/client.ts";
import type { Drawn } from "./drawn-event.ts";

/** How the app recognises a retry. */
export type Identity =
  | { readonly tag: "ids"; readonly prefix: string }
  | { readonly tag: "idempotency-key"; readonly key: string }
  | { readonly tag: "producer"; readonly id: string; readonly epoch: number; readonly number: number };

interface Result {
  readonly index: number;
  readonly operator: string;
  readonly key: string;
  readonly partition: number;
  readonly seq: number | null;
  readonly status: string;
  readonly duplicate: boolean;
  readonly value: unknown;
}

export type ChaosAnswer = BatchAnswer & { readonly code?: string; readonly results?: readonly Result[] };

/** Answers in full list each event's result, which the interface gives up to this many events. */
export const FULL_EVENTS = 1_000;

export class ChaosRequest {
  readonly drawn: readonly Drawn[];
  readonly identity: Identity;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The ids of its events, also of those that have none as they are sent. */
  readonly ids: readonly string[];
  /** All of it is on main. */
  acknowledged = false;
  /** All of it was on main once. */
  wasAcknowledged = false;
  /** Over all answers. */
  #accepted = 0;
  /** Events that were given up, as often as they were. */
  #givenUp = 0;
  #results: readonly string[] | null = null;
  /** How many parts a partition of `#results` has by now. */
  #parts = 1;

  constructor(drawn: readonly Drawn[], identity: Identity, lines: boolean) {
    this.drawn = drawn;
    this.identity = identity;
    this.headers = {
      "content-type": lines ? "application/x-ndjson" : "application/json",
      ...identityHeaders(identity),
    };
    const texts = drawn.map(({ event }, i) =>
      JSON.stringify(identity.tag === "ids" ? { id: `${identity.prefix}/${i}`, ...event } : event),
    );
    this.ids = drawn.map((_, i) => `${idPrefix(identity)}/${i}`);
    this.body = lines ? texts.join("\n") : `[${texts.join(",")}]`;
  }

  /** A promotion gave up these events, and maybe others. */
  giveUp(list: ReadonlySet<string>): void {
    const freed = this.ids.filter((id) => list.has(id)).length;
    if (freed === 0) return;
    this.#givenUp += freed;
    this.#results = null;
    this.acknowledged = false;
  }

  /** Each partition has so many parts now. */
  split(parts: number): void {
    this.#parts *= parts;
  }

  /**
   * The flaws of an answer, in words, or none. `again`: the request was acknowledged before this sending. `sure`: the
   * answer is of the line that is main.
   */
  judge(status: number, answer: ChaosAnswer, again: boolean, sure: boolean): string[] {
    const flaws: string[] = [];
    const { received, accepted, duplicates, rejected, refused, quarantined, through } = answer;
    const count = this.drawn.length;
    this.#accepted += accepted;
    if (this.#accepted > count + this.#givenUp)
      flaws.push(
        `${this.#accepted} of ${count} events were accepted over all answers, and ${this.#givenUp} were given up`,
      );
    if (again && accepted > 0) flaws.push(`${accepted} acknowledged events were accepted again`);
    if (status === 503) return flaws;
    const fenced = status === 403 && this.wasAcknowledged && accepted + duplicates + rejected === count;
    const whole = status === 200 && accepted + duplicates === count && rejected + refused + quarantined === 0;
    if ((!fenced && !whole) || received !== count || through !== count)
      flaws.push(`${count} events are answered with ${status} ${JSON.stringify({ ...answer, results: undefined })}`);
    if (whole && sure && answer.results !== undefined) flaws.push(...this.#judgeResults(answer.results, again));
    return flaws;
  }

  #judgeResults(results: readonly Result[], again: boolean): string[] {
    const flaws: string[] = [];
    if (this.#results === null) this.#parts = 1;
    const said = results.map((result, i) => {
      const { effect } = this.drawn[i] ?? {};
      if (result.index !== i || result.operator !== effect?.operator || result.key !== effect.key || !result.seq)
        flaws.push(`event ${i} has the result ${JSON.stringify(result)}`);
      if (again && !result.duplicate) flaws.push(`the retry of event ${i} is no duplicate: ${JSON.stringify(result)}`);
      const { operator, partition, seq, status, value } = result;
      // Only credits keep their replies for repeats.
      const first = Math.floor(partition / this.#parts);
      return JSON.stringify([operator, first, seq, status, operator === "credits" ? value : null]);
    });
    if (said.length !== this.drawn.length) flaws.push(`${this.drawn.length} events have ${said.length} results`);
    this.#results ??= said;
    for (const [i, first] of this.#results.entries())
      if (said[i] !== first) flaws.push(`event ${i} was answered ${first}, and then ${said[i]}`);
    return flaws;
  }

  /** Where its events stand in the logs of the present partitions, as far as an answer said so: operator/partition/seq. */
  places(): string[] {
    if (this.#parts > 1) return [];
    return (this.#results ?? []).map((text) => (JSON.parse(text) as unknown[]).slice(0, 3).join("/"));
  }

  /** For a message. */
  get name(): string {
    const { identity } = this;
    switch (identity.tag) {
      case "ids":
        return identity.prefix;
      case "idempotency-key":
        return `Idempotency-Key ${identity.key}`;
      case "producer":
        return `${identity.id}, epoch ${identity.epoch}, number ${identity.number}`;
    }
  }
}

function idPrefix(identity: Identity): string {
  switch (identity.tag) {
    case "ids":
      return identity.prefix;
    case "idempotency-key":
      return identity.key;
    case "producer":
      return `${identity.id}/${identity.epoch}/${identity.number}`;
  }
}

function identityHeaders(identity: Identity): Record<string, string> {
  switch (identity.tag) {
    case "ids":
      return {};
    case "idempotency-key":
      return { "idempotency-key": identity.key };
    case "producer":
      return {
        "producer-id": identity.id,
        "producer-epoch": String(identity.epoch),
        "producer-seq": String(identity.number),
      };
  }
}
