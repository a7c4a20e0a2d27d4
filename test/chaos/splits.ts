/*
 * More partitions at the end of a run: every operator gets twice as many, twice, while clients send, and the app is
 * killed while main is switched.
 *
 * 1. Nothing is given up, so the count stays as it is: main must hold exactly what it held and what was acknowledged since.
 * 2. If a kill takes the answer, the same request hears it, or does it.
 * 3. Answers that were heard meanwhile may be of either line: of the whole partition, or of a part.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, getUntilAnswered } from "../../src/local/client.ts";
import { untilOk } from "./line-reader.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const SPLITS = 2;
const PARTS = 2;
const LOAD_MS = 400;
const KILL_WITHIN_MS = 300;
const ATTEMPTS = 600;
const PAUSE_MS = 100;

export class Splits {
  readonly #world: World;
  readonly #random: Random;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.stream("splits");
  }

  async run(): Promise<void> {
    for (let n = 1; n <= SPLITS; n++) {
      await sleep(LOAD_MS);
      const operators = (await getUntilAnswered(`${this.#world.app.url()}/v1/operators`)) as {
        readonly name: string;
        readonly partitions: number;
      }[];
      const partitions = Object.fromEntries(operators.map((one) => [one.name, one.partitions * PARTS]));
      await untilOk(this.#url(`split-${n}`), "PUT", { from: "end", partitions, expires: null });
      const striking = sleep(this.#random.below(KILL_WITHIN_MS)).then(() => this.#world.crash("load", () => false));
      striking.catch(() => undefined); // Thrown below.
      this.#world.book.begin();
      await this.#promote(`split-${n}`);
      this.#world.split(PARTS);
      await striking;
      this.#world.tally.splits += 1;
    }
    await sleep(LOAD_MS);
  }

  #url = (name: string): string => `${this.#world.app.url()}/v1/timelines/${name}`;

  async #promote(name: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const answer = await exchange(`${this.#url(name)}/promotion`, { method: "POST", headers: { "if-match": "*" } });
      if (answer?.ok === true) return;
      if (answer !== null && answer.status !== 503 && !answer.text.includes('"promotion_busy"'))
        throw new Error(`the promotion of ${name} was answered ${answer.status} ${answer.text}`);
      await sleep(PAUSE_MS);
    }
    throw new Error(`${name} isn't main after ${ATTEMPTS} requests`);
  }
}
