/**
 * A teller: moves money between two accounts by one event after the other, each until it is answered, through Workers
 * and objects that fail.
 *
 * TELLER1. Every request carries the newest stamp that the teller was answered, the same one at each attempt.
 * TELLER2. A teller may go home after the first event. Then the money stays under way.
 */
import { stamp } from "../../src/engine/base/ids.ts";
import { ACCOUNTS, OPERATORS, type Account, type Books, type Transfer } from "./bank-books.ts";
import { checkAnswer } from "./answers.ts";
import type { Nemesis } from "./nemesis.ts";
import type { Random } from "./random.ts";
import type { Worker } from "./worker.ts";
import type { World } from "./world.ts";

const PATIENCE_MS = 40_000;
const HOME_SHARE = 0.01;
/** Money that every prepaid account begins with. */
const MINTED = 40;

type Answer = "applied" | "refused" | "given up";

export class Teller {
  readonly #name: string;
  readonly #world: World;
  readonly #books: Books;
  readonly #workers: readonly Worker[];
  readonly #nemesis: Nemesis;
  readonly #random: Random;
  #heard = stamp(0);
  #made = 0;

  constructor(world: World, books: Books, number: number, workers: readonly Worker[], nemesis: Nemesis) {
    this.#name = `teller-${number}`;
    this.#world = world;
    this.#books = books;
    this.#workers = workers;
    this.#nemesis = nemesis;
    this.#random = world.stream(this.#name);
  }

  /** Brings money in. */
  async mint(): Promise<void> {
    for (const key of ACCOUNTS) {
      this.#books.minted += MINTED;
      await this.#credit({ operator: "credits", key }, this.#books.begin(MINTED, -1));
    }
  }

  /** Until all its transfers are done, or the faults have stopped. */
  async run(transfers: number): Promise<void> {
    for (let left = transfers; left > 0 && this.#world.faulty; left--) {
      await this.#sleep(this.#random.wait(this.#world.config.thinkMs));
      await this.#nemesis.rest();
      await this.#transfer();
    }
  }

  async #transfer(): Promise<void> {
    const [from, to] = [this.#account(), this.#account()];
    const transfer = this.#books.begin(this.#random.between(1, 9), this.#heard);
    const type = from.operator === "credits" ? "take" : "add";
    const debited = await this.#send(type, from, type === "take" ? transfer.n : -transfer.n);
    if (debited === "refused") transfer.refused = true;
    if (debited !== "applied" || (this.#world.faulty && this.#random.chance(HOME_SHARE))) return;
    await this.#credit(to, transfer);
    this.#world.trace.say(this.#name, () => `has moved ${transfer.n} from ${from.key} to ${to.key}`);
  }

  async #credit(to: Account, transfer: Transfer): Promise<void> {
    const answer = await this.#send(to.operator === "credits" ? "buy" : "add", to, transfer.n);
    if (answer === "applied") transfer.credited = this.#heard;
  }

  #account(): Account {
    return { operator: this.#random.pick(OPERATORS), key: this.#random.pick(ACCOUNTS) };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve));
  }

  /** Sends until it is answered. Nothing is given up while the faults last: what then became of it would be open. */
  async #send(type: string, { key }: Account, n: number): Promise<Answer> {
    const { clock, oracle, trace } = this.#world;
    const event = { id: `${this.#name}-${this.#made++}`, source: this.#name, type, key, data: { n } };
    const after = this.#heard;
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0) trace.count("retries by clients");
      const request = { texts: [JSON.stringify(event)], only: null, producer: null, full: true, after, batch: 1 };
      trace.count("requests");
      trace.say(this.#name, () => `sends ${request.texts[0]} after stamp ${after}`);
      const patience = new Promise<null>((resolve) => void clock.after(PATIENCE_MS, () => resolve(null)));
      const intake = await Promise.race([
        this.#random
          .pick(this.#workers)
          .request(request)
          .catch(() => null),
        patience,
      ]);
      if (intake !== null) {
        const flaw = checkAnswer(this.#world, request, intake);
        if (flaw !== null) oracle.fail(`${this.#name} was answered wrongly: ${flaw}`);
        this.#hear(intake.stamp);
        const [result] = intake.results;
        if (intake.interruption === null && result !== undefined)
          return result.status === "refused" ? "refused" : "applied";
      }
      await this.#sleep(this.#random.wait(500) * Math.min(8, attempt + 1));
    }
  }

  #hear(answered: number): void {
    this.#heard = stamp(Math.max(this.#heard, answered));
    this.#books.heard = Math.max(this.#books.heard, this.#heard);
  }
}
