/*
 * State that the parts of a run share: the app, the count, the findings, and who waits for an answer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "../../src/local/client.ts";
import { CrashingApp } from "./crashing-app.ts";
import { Findings, Tally } from "./findings.ts";
import { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { ChaosRequest } from "./request.ts";

/** With the pause before each and the wait for a restart, minutes. */
const MAX_ATTEMPTS = 600;
const PAUSE_MS = [5, 80] as const;
/** Acknowledged requests that may be sent again: well within the horizon of 500,000 ids (ONE1) and, since no client
 *  numbers as many meanwhile, within the window of 1,024 numbers (ONE2). */
const REMEMBERED = 1_500;

export class World {
  readonly app = new CrashingApp();
  readonly ledger = new Ledger();
  readonly findings = new Findings();
  readonly tally = new Tally();
  readonly random: Random;
  readonly #old: ChaosRequest[] = [];
  #remembered = 0;
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
    onBusy: (text: string) => void = () => undefined,
  ): Promise<{ status: number; text: string }> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const answer = await this.#attempt(sender, `${this.app.url()}${path}`, init(attempt));
      if (answer !== null && answer.status !== 503) return answer;
      if (answer !== null) onBusy(answer.text);
      this.tally.unanswered += 1;
      await this.app.whenUp();
      await sleep(random.between(...PAUSE_MS));
    }
    throw new Error(`${sender} got no answer from ${path} after ${MAX_ATTEMPTS} attempts`);
  }

  async #attempt(sender: string, url: string, init: RequestInit): Promise<{ status: number; text: string } | null> {
    this.#waiting.set(sender, (this.#waiting.get(sender) ?? 0) + 1);
    const answer = await exchange(url, init);
    this.#waiting.set(sender, (this.#waiting.get(sender) ?? 0) - 1);
    if (answer !== null) this.#answered.add(sender);
    return answer;
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

  /** A request is acknowledged: from now on it counts, and may be sent again. */
  acknowledged(request: ChaosRequest): void {
    request.acknowledged = true;
    this.ledger.enter(request.drawn.map(({ effect }) => effect));
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
