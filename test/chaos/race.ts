/*
 * A race for few credits: many ask at once, each several times, and whatever happens on the way, as many are granted as
 * there are, and every retry gets its first answer (ONE1, ONE6).
 */
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export const CREDITS = 10;
const TAKERS = 30;
const COPIES = 3;
/** Requests at a time. */
const LANES = 24;

interface Outcome {
  readonly granted: boolean;
  readonly left: number | null;
  readonly seq: number;
  readonly duplicate: boolean;
}

export class Race {
  readonly #world: World;
  readonly #account: string;
  readonly #random: Random;
  readonly #outcomes = new Map<string, Outcome[]>();
  #running = false;

  constructor(world: World, account: string) {
    this.#world = world;
    this.#account = account;
    this.#random = world.random.stream(account);
    const { effects } = world.book;
    effects.set(this.#id("bought"), { operator: "credits", key: account, bought: CREDITS });
    for (let i = 0; i < TAKERS; i++) effects.set(this.#id(`take ${i}`), { operator: "credits", key: account, take: 1 });
  }

  /** Is somebody waiting for an answer, after others had theirs? */
  get underway(): boolean {
    return this.#running && this.#outcomes.size > 0;
  }

  async run(): Promise<void> {
    this.#running = true;
    const copies = Array.from({ length: TAKERS * COPIES }, (_, i) => `take ${i % TAKERS}`);
    await this.#askAll(this.#random.shuffled(copies));
    this.#running = false;
  }

  /** When all is over: everybody asks again, and the answers are compared. */
  async settle(): Promise<void> {
    await this.#askAll(this.#random.shuffled([...this.#outcomes.keys()]));
    const decided = [...this.#outcomes].map(([id, outcomes]) => this.#theOne(id, outcomes));
    const left = decided.filter(({ granted }) => granted).map((outcome) => outcome.left ?? -1);
    this.#world.tally.credits += CREDITS;
    this.#world.tally.granted += left.length;
    const wanted = Array.from({ length: CREDITS }, (_, i) => i);
    if (left.sort((a, b) => a - b).join() !== wanted.join())
      this.#find(`the granted ones left ${left.join()} and not ${wanted.join()}`);
    const refused = decided.filter(({ granted, left }) => !granted && left !== 0);
    if (refused.length > 0) this.#find(`${refused.length} were refused while there were credits`);
    if (new Set(decided.map(({ seq }) => seq)).size !== TAKERS) this.#find("two takers have one place in the log");
  }

  /** Everybody asks once more, and hears the first answer, on whichever line is main by now. */
  async repeat(): Promise<void> {
    await this.#askAll(this.#random.shuffled([...this.#outcomes.keys()]));
    for (const [id, outcomes] of this.#outcomes) this.#theOne(id, outcomes);
  }

  async buy(): Promise<void> {
    const first = await this.#ask("bought", "credits.bought", CREDITS);
    const again = await this.#ask("bought", "credits.bought", CREDITS);
    if (!first.granted || first.left !== CREDITS) this.#find(`buying was answered ${JSON.stringify(first)}`);
    if (!again.duplicate || again.seq !== first.seq || again.left !== first.left)
      this.#find(`buying was answered ${JSON.stringify(first)}, and then ${JSON.stringify(again)}`);
  }

  /** All copies of one request got the same answer; only one of them may be told that it was the first. */
  #theOne(id: string, outcomes: readonly Outcome[]): Outcome {
    const [first] = outcomes;
    if (first === undefined) throw new Error(`no answer for ${id}`);
    const said = outcomes.map(({ granted, left, seq }) => JSON.stringify({ granted, left, seq }));
    if (new Set(said).size !== 1) this.#find(`${id} was answered ${said.join(", ")}`);
    // None where the first answer was lost in a kill.
    if (outcomes.filter(({ duplicate }) => !duplicate).length > 1) this.#find(`${id} was taken twice`);
    if (outcomes.at(-1)?.duplicate === false) this.#find(`${id} was taken when all was over`);
    return first;
  }

  async #askAll(ids: readonly string[]): Promise<void> {
    // The lanes share one iterator: each id goes to one of them.
    const queue = ids.values();
    const lane = async (): Promise<void> => {
      for (const id of queue) {
        const outcome = await this.#ask(id, "credits.take", 1);
        this.#outcomes.set(id, [...(this.#outcomes.get(id) ?? []), outcome]);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  async #ask(id: string, type: string, n: number): Promise<Outcome> {
    const body = JSON.stringify({ id: this.#id(id), type, data: { account: this.#account, n } });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body };
    const path = "/v1/operators/credits/ask";
    const { status, text, answered } = await this.#world.ask("race", this.#random, path, () => init);
    const answer = outcomeOf(status, text);
    if (answer === null) throw new Error(`${this.#account}: ${id} was answered ${status} ${text}`);
    this.#world.book.acknowledge([this.#id(id)], answered);
    this.#world.claim(`credits/0/${answer.seq}`, this.#id(id));
    return answer;
  }

  #id(id: string): string {
    return `${this.#account} ${id}`;
  }

  #find(what: string): void {
    this.#world.findings.add(`${this.#account}: ${what}`);
  }
}

function outcomeOf(status: number, text: string): Outcome | null {
  const { value, code, detail, seq, duplicate } = JSON.parse(text) as {
    value?: { left: number };
    code?: string;
    detail?: { left: number };
    seq: number;
    duplicate: boolean;
  };
  if (status === 200) return { granted: true, left: value?.left ?? null, seq, duplicate };
  if (status !== 409 || code !== "insufficient_credits") return null;
  return { granted: false, left: detail?.left ?? null, seq, duplicate };
}
