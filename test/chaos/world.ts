/*
 * State that the parts of a run share: the app, the count, the findings, and who waits for an answer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "../../src/local/client.ts";
import { type Answered, Book } from "./book.ts";
import { CrashingApp } from "../../src/local/crashing-app.ts";
import { Findings, Tally } from "./findings.ts";
import type { Random } from "./random.ts";
import type { ChaosRequest } from "./request.ts";

/** With the pause before each and the wait for a restart, minutes. A promotion whose caller was killed takes 15 s. */
const MAX_ATTEMPTS = 3_000;
const PAUSE_MS = [5, 80] as const;
/** Acknowledged requests that may be sent again: well within the horizon of 500,000 ids (ONE1) and, since no client
 *  numbers as many meanwhile, within the window of 1,024 numbers (ONE2). */
const REMEMBERED = 1_500;

interface Heard {
  readonly status: number;
  readonly text: string;
  readonly answered: Answered;
}

export class World {
  readonly app = new CrashingApp();
  readonly book = new Book();
  readonly findings = new Findings();
  readonly tally = new Tally();
  readonly random: Random;
  readonly #old: ChaosRequest[] = [];
  #remembered = 0;
  /** Requests that were answered 200. */
  answers = 0;
  /** Drawn, and not acknowledged yet. */
  readonly #underway = new Set<ChaosRequest>();
  #hold: PromiseWithResolvers<void> | null = null;
  readonly #places = new Map<string, string>();
  /** Senders without an answer since the restart, and those that have one. */
  readonly #waiting = new Map<string, number>();
  readonly #answered = new Set<string>();

  constructor(random: Random) {
    this.random = random;
  }

  /** Sends until there is an answer other than 503. `onBusy` gets what a 503 says. */
  async ask(
    sender: string,
    random: Random,
    path: string,
    init: (attempt: number) => RequestInit,
    onBusy: (text: string, answered: Answered) => void = () => undefined,
  ): Promise<Heard> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.#hold?.promise;
      const answer = await this.#attempt(sender, `${this.app.url()}${path}`, init(attempt));
      if (answer !== null && answer.status !== 503) return answer;
      if (answer !== null) onBusy(answer.text, answer.answered);
      this.tally.unanswered += 1;
      await this.app.whenUp();
      await sleep(random.between(...PAUSE_MS));
    }
    throw new Error(`${sender} got no answer from ${path} after ${MAX_ATTEMPTS} attempts`);
  }

  async #attempt(sender: string, url: string, init: RequestInit): Promise<Heard | null> {
    const sent = this.book.period;
    this.#waiting.set(sender, (this.#waiting.get(sender) ?? 0) + 1);
    const answer = await exchange(url, init);
    this.#waiting.set(sender, (this.#waiting.get(sender) ?? 0) - 1);
    if (answer === null) return null;
    this.#answered.add(sender);
    if (answer.status === 200) this.answers += 1;
    return { ...answer, answered: { sent, heard: this.book.period } };
  }

  /** Nobody sends until they are released. Resolves when all have their answers. */
  async holdClients(): Promise<void> {
    this.#hold ??= Promise.withResolvers<void>();
    while ([...this.#waiting.values()].some((requests) => requests > 0)) await sleep(PAUSE_MS[0]);
  }

  releaseClients(): void {
    this.#hold?.resolve();
    this.#hold = null;
  }

  /** Kills and restarts. `snapshotting` says whether a snapshot is under way. */
  async crash(during: "load" | "snapshot" | "recovery", snapshotting: () => boolean): Promise<void> {
    await this.app.crash(() => {
      this.tally.kills += 1;
      const waiting = [...this.#waiting].filter(([, requests]) => requests > 0).map(([sender]) => sender);
      const unheard = waiting.filter((sender) => !this.#answered.has(sender));
      if (during === "recovery" && unheard.length > 0) this.tally.duringRecovery += 1;
      if (snapshotting()) this.tally.duringSnapshots += 1;
      this.#answered.clear();
    });
  }

  /** A request that is about to be sent. */
  draw(request: ChaosRequest): ChaosRequest {
    request.drawn.forEach(({ effect }, i) => this.book.effects.set(request.ids[i]!, effect));
    this.#underway.add(request);
    return request;
  }

  /** Another line is main. The ids of what was given up are free again, and so are their places. */
  promoted(givenUp: ReadonlySet<string>, taken: Iterable<string>): void {
    for (const request of [...this.#underway, ...this.#old]) request.giveUp(givenUp);
    this.#places.clear();
    this.book.promoted(givenUp, taken);
  }

  /** Each partition of main has so many parts now, and a part may log where another partition had logged before. */
  split(parts: number): void {
    for (const request of [...this.#underway, ...this.#old]) request.split(parts);
    this.promoted(new Set(), []);
  }

  /** A request is acknowledged: from now on it may be sent again. */
  remember(request: ChaosRequest): void {
    this.#underway.delete(request);
    this.tally.events += request.drawn.length;
    this.#old[this.#remembered % REMEMBERED] = request;
    this.#remembered += 1;
  }

  /** A request that was acknowledged before, to any client, or undefined if there is none yet. */
  oldRequest(random: Random): ChaosRequest | undefined {
    return this.#old[random.below(this.#old.length)];
  }

  /** An answer said that an event stands there: no other one may. */
  claim(place: string, event: string): void {
    const owner = this.#places.get(place);
    this.#places.set(place, event);
    if (owner !== undefined && owner !== event) this.findings.add(`${place} is said to hold ${owner} and ${event}`);
  }
}
