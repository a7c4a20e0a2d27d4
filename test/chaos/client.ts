/*
 * A sender of events: one request after the other, each until it is acknowledged.
 *
 * 1. Some requests are sent in several copies at once, some are sent again later, by this client or another one, and some
 *    are given up and sent anew. All of it must count once.
 * 2. It numbers some of its requests (ONE2), and sometimes starts anew with the next epoch. Requests of an older one then
 *    may be refused, but not accepted again.
 */
import type { Answered } from "./book.ts";
import { drawEvent } from "./drawn-event.ts";
import type { Random } from "./random.ts";
import { ChaosRequest, FULL_EVENTS, type ChaosAnswer, type Identity } from "./request.ts";
import type { World } from "./world.ts";

const COPIES_SHARE = 0.2;
const REPEAT_SHARE = 0.3;
const GIVE_UP_SHARE = 0.05;
const GIVE_UP_MS = 25;
const FULL_SHARE = 0.5;
const NEW_EPOCH_SHARE = 0.3;
const MANY_EVENTS = 120;

export class ChaosClient {
  readonly #world: World;
  readonly #number: number;
  readonly #random: Random;
  #made = 0;
  #epoch = 0;
  #seq = 0;

  constructor(world: World, number: number) {
    this.#world = world;
    this.#number = number;
    this.#random = world.random.stream(`client ${number}`);
  }

  /** Until `stop` says so, and then until everything that it sent is acknowledged. */
  async run(stop: () => boolean): Promise<void> {
    if (this.#random.chance(NEW_EPOCH_SHARE)) {
      this.#epoch += 1;
      this.#seq = 0;
    }
    while (!stop()) {
      await this.#sendNew();
      if (this.#random.chance(REPEAT_SHARE)) await this.#sendOld();
    }
  }

  async #sendNew(): Promise<void> {
    const request = this.#world.draw(this.#draw());
    const copies = this.#random.chance(COPIES_SHARE) ? this.#random.between(2, 3) : 1;
    this.#world.tally.repeats += (copies - 1) * request.drawn.length;
    await Promise.all(Array.from({ length: copies }, () => this.#send(request, false)));
    this.#world.remember(request);
    request.places().forEach((place, i) => this.#world.claim(place, `${request.name}/${i}`));
  }

  async #sendOld(): Promise<void> {
    const request = this.#world.oldRequest(this.#random);
    if (request === undefined) return;
    this.#world.tally.repeats += request.drawn.length;
    await this.#send(request, true);
  }

  async #send(request: ChaosRequest, old: boolean): Promise<void> {
    let again = false;
    const init = (attempt: number): RequestInit => {
      // A promotion between two attempts may have given it up.
      again = old && request.acknowledged;
      return this.#init(request, attempt);
    };
    const judge = (status: number, text: string, answered: Answered): void => {
      const answer = parsed(text);
      this.#world.book.whenListed(answered, (sure) => {
        const known = again && sure;
        const flaws = answer === null ? [`answered ${status} ${text}`] : request.judge(status, answer, known, sure);
        for (const flaw of flaws) this.#world.findings.add(`${request.name}: ${flaw}`);
        if (known && answer !== null) this.#world.findings.doubled += answer.accepted;
      });
    };
    // Without counts it is of something between us and the app, and says nothing about the events.
    const busy = (text: string, answered: Answered): void =>
      parsed(text) === null ? undefined : judge(503, text, answered);
    const heard = await this.#world.ask(`client ${this.#number}`, this.#random, "/v1/events", init, busy);
    judge(heard.status, heard.text, heard.answered);
    // A partition that has forgotten a producer's newer epoch with a promotion takes its part of an older request.
    if (heard.status === 403) this.#world.book.mayTake(request.ids);
    if (heard.status !== 200) return;
    request.wasAcknowledged = true;
    this.#world.book.whenListed(heard.answered, (sure) => (request.acknowledged ||= sure));
    this.#world.book.acknowledge(request.ids, heard.answered);
  }

  #init(request: ChaosRequest, attempt: number): RequestInit {
    const full = request.drawn.length <= FULL_EVENTS && this.#random.chance(FULL_SHARE);
    const headers = full ? { ...request.headers, prefer: "return=representation" } : request.headers;
    const init = { method: "POST", headers, body: request.body };
    const givesUp = attempt === 0 && this.#random.chance(GIVE_UP_SHARE);
    return givesUp ? { ...init, signal: AbortSignal.timeout(this.#random.below(GIVE_UP_MS)) } : init;
  }

  #draw(): ChaosRequest {
    const size = this.#random.pick([1, 1, 1, 5, 20, 20, MANY_EVENTS, MANY_EVENTS]);
    const drawn = Array.from({ length: this.#random.between(1, size) }, () => drawEvent(this.#random, this.#number));
    return new ChaosRequest(drawn, this.#identity(), this.#random.chance(0.5));
  }

  #identity(): Identity {
    const name = `${this.#number}-${(this.#made += 1)}`;
    switch (this.#random.below(3)) {
      case 0:
        return { tag: "ids", prefix: `request ${name}` };
      case 1:
        return { tag: "idempotency-key", key: `key ${name}` };
      default:
        return { tag: "producer", id: `sender ${this.#number}`, epoch: this.#epoch, number: this.#seq++ };
    }
  }
}

function parsed(text: string): ChaosAnswer | null {
  try {
    const value = JSON.parse(text) as ChaosAnswer;
    return typeof value.received === "number" ? value : null;
  } catch {
    return null;
  }
}
