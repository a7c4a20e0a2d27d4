/*
 * Promotions of a round: a fork gets events of its own, becomes main, and is undone or rolled back later. Clients go on
 * sending to main, and the app is killed on the way.
 *
 * 1. After each promotion all of the former main is compared with the count: nothing that it acknowledged is missing,
 *    what the answer lists is readable there, and nothing else was given up.
 * 2. If a kill takes the answer, writes resume by themselves, on the former or on the new main. The same request then
 *    hears what was done, or does it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, readAllStates } from "../../src/local/client.ts";
import { drawEvent } from "./drawn-event.ts";
import { OPERATORS } from "./ledger.ts";
import { type Line, type LineReader, type Stretches, untilOk } from "./line-reader.ts";
import type { PromotionPlan, Turn } from "./plan.ts";
import type { Random } from "./random.ts";
import { ChaosRequest } from "./request.ts";
import type { World } from "./world.ts";

const ATTEMPTS = 600;
const PAUSE_MS = 100;
/** Answers that clients get after a promotion, before its list is read. */
const ANSWERS = 40;
/** A client of no number: its lines of text have keys of their own. */
const FORK = 100;
const FORK_REQUESTS = 4;
const FORK_EVENTS = 15;
const REPEATED_REQUESTS = 3;

interface Preview {
  readonly etag: string;
  /** The events that main gives up, or null if nobody has looked. */
  readonly list: Line | null;
}

const ANYTHING: Preview = { etag: "*", list: null };

interface Answer {
  readonly givesUp: Stretches;
  readonly takes: Stretches;
}

type Promoted = Answer & Pick<Preview, "list">;

export class Promotions {
  readonly #world: World;
  readonly #reader: LineReader;
  readonly #round: number;
  readonly #random: Random;
  #made = 0;

  constructor(world: World, reader: LineReader, round: number) {
    this.#world = world;
    this.#reader = reader;
    this.#round = round;
    this.#random = world.random.stream(`promotions ${round}`);
  }

  async run({ saved, goOnMs, turn, back, kind }: PromotionPlan): Promise<void> {
    const fork = `fork-${this.#round}`;
    if (saved) await this.#put(`savepoints/before-${this.#round}`, {});
    await this.#put(`timelines/${fork}`, { from: saved ? `before-${this.#round}` : "now", expires: null });
    const onFork = await this.#sendTo(fork, goOnMs);
    const former = await this.#promote(fork, turn, onFork);
    await this.#put(`savepoints/after-${this.#round}`, {});
    await sleep(goOnMs);
    const from = kind === "undo" ? "main~1@now" : `after-${this.#round}`;
    await this.#put(`timelines/back-${this.#round}`, { from, expires: null });
    await this.#promote(`back-${this.#round}`, back, kind === "undo" ? former : []);
    this.#world.tally[kind === "undo" ? "undone" : "rolledBack"] += 1;
    await sleep(goOnMs);
  }

  async #put(path: string, body: unknown): Promise<void> {
    await untilOk(`${this.#world.app.url()}/v1/${path}`, "PUT", body);
  }

  /** New events, and some that main has logged since the fork or before. Returns the ids of all. */
  async #sendTo(timeline: string, withinMs: number): Promise<string[]> {
    const fresh = Array.from({ length: FORK_REQUESTS }, () => this.#fresh(FORK_EVENTS));
    const ids: string[] = [];
    for (let i = 0; i < FORK_REQUESTS + REPEATED_REQUESTS; i++) {
      await sleep(withinMs / (FORK_REQUESTS + REPEATED_REQUESTS));
      const request = fresh[i] ?? this.#world.oldRequest(this.#random);
      if (request === undefined) continue;
      const init = { method: "POST", headers: request.headers, body: request.body };
      const { status, text } = await this.#world.ask(
        "fork",
        this.#random,
        `/v1/events?timeline=${timeline}`,
        () => init,
      );
      // A producer's older epoch is refused on this line, too.
      if (status === 403 && request.identity.tag === "producer") continue;
      const { accepted, duplicates } = JSON.parse(text) as { accepted: number; duplicates: number };
      if (status !== 200 || accepted + duplicates !== request.drawn.length)
        this.#world.findings.add(`${timeline}: ${request.name} was answered ${status} ${text}`);
      ids.push(...request.ids);
    }
    return ids;
  }

  #fresh(events: number): ChaosRequest {
    const name = `round ${this.#round} request ${(this.#made += 1)}`;
    const drawn = Array.from({ length: events }, () => drawEvent(this.#random, FORK));
    return this.#world.draw(new ChaosRequest(drawn, { tag: "ids", prefix: name }, true));
  }

  /** Returns the ids that main gave up. `expected`: what the timeline has instead, at least. */
  async #promote(name: string, turn: Turn, expected: readonly string[]): Promise<string[]> {
    const world = this.#world;
    if (turn.rest) await world.holdClients();
    const preview = turn.previewed ? await this.#previewed(name) : ANYTHING;
    world.book.begin();
    const striking = turn.killAfterMs === null ? null : this.#killAfter(turn.killAfterMs);
    striking?.catch(() => undefined); // Thrown below.
    const promoted = await this.#post(name, preview);
    await striking;
    world.releaseClients();
    world.tally.promotions += 1;
    await this.#acknowledgedAgain();
    // Events that are sent now would only make the lists longer.
    await world.holdClients();
    const givenUp = await this.#compare(promoted, expected);
    world.releaseClients();
    return givenUp;
  }

  async #previewed(name: string): Promise<Preview> {
    const url = `${this.#world.app.url()}/v1/timelines/${name}/promotion`;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const response = await fetch(url, { headers: { accept: "application/x-ndjson" } }).catch(() => null);
      const text = (await response?.text().catch(() => null)) ?? null;
      const etag = response?.headers.get("etag") ?? null;
      if (etag !== null && text !== null) return { etag, list: this.#reader.parsed(text, name) };
      await sleep(PAUSE_MS);
    }
    throw new Error(`no preview of ${name}`);
  }

  async #killAfter(ms: number): Promise<void> {
    await sleep(ms);
    await this.#world.crash("load", () => false);
  }

  async #post(name: string, preview: Preview): Promise<Promoted> {
    let accepted = preview;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const url = `${this.#world.app.url()}/v1/timelines/${name}/promotion`;
      const answer = await exchange(url, { method: "POST", headers: { "if-match": accepted.etag } });
      if (answer?.ok === true) return { ...(JSON.parse(answer.text) as Answer), list: accepted.list };
      if (answer === null) await this.#resumed(name);
      else if (answer.status === 412) {
        this.#world.tally.moved += 1;
        // Main is as before, and takes events. Under load the list moves for ever.
        accepted = ANYTHING;
      } else if (answer.status !== 503 && !answer.text.includes('"promotion_busy"'))
        throw new Error(`the promotion of ${name} was answered ${answer.status} ${answer.text}`);
      else await sleep(PAUSE_MS);
    }
    throw new Error(`${name} isn't main after ${ATTEMPTS} requests`);
  }

  /** Clients go on, whichever line they have heard of last. */
  async #acknowledgedAgain(): Promise<void> {
    const { answers } = this.#world;
    while (this.#world.answers < answers + ANSWERS) await sleep(PAUSE_MS);
  }

  /** After a kill took the answer: main takes events again, though nobody asks for the promotion. */
  async #resumed(name: string): Promise<void> {
    const { tally, app } = this.#world;
    await app.whenUp();
    this.#world.releaseClients();
    const probe = this.#fresh(1);
    const { status, text, answered } = await this.#world.ask("probe", this.#random, "/v1/events", () => ({
      method: "POST",
      headers: probe.headers,
      body: probe.body,
    }));
    if (status !== 200) throw new Error(`after a kill in a promotion an event was answered ${status} ${text}`);
    this.#world.book.acknowledge(probe.ids, answered);
    const timelines = JSON.parse(await untilOk(`${app.url()}/v1/timelines`, "GET")) as { name: string }[];
    tally.cut += 1;
    if (!timelines.some((one) => one.name === name)) tally.cutSwitched += 1;
  }

  /** The former main, its list, and the new main against the count. Returns the ids that were given up. */
  async #compare({ givesUp, takes, list: seen }: Promoted, expected: readonly string[]): Promise<string[]> {
    const { book, findings, tally } = this.#world;
    const find = (what: string): void => findings.add(`round ${this.#round}: ${what}`);
    const main = await this.#reader.main();
    const list = seen ?? (await this.#reader.history("main~1", givesUp));
    for (const { operator, partition, first, last } of givesUp.partitions) {
      const found = list.get(operator)?.length;
      if (partition !== 0 || found !== last - first + 1)
        find(`main~1 shows ${found} of the events ${first} to ${last} that ${operator} gave up`);
    }
    const ids = [...list.values()].flat();
    const former = this.#reader.ledgerOf(this.#reader.formerMain(main, givesUp, list), "main~1");
    for (const id of book.all) if (!former.has(id)) find(`${id} was acknowledged, and main~1 doesn't hold it`);
    for (const operator of OPERATORS)
      for (const difference of former.compare(operator, await readAllStates(this.#world.app.url(), operator, "main~1"))
        .differences)
        find(`main~1: ${difference}`);
    const now = this.#reader.ledgerOf(main, "main");
    const freed = new Set(ids);
    for (const id of book.all)
      if (!now.has(id) && !freed.has(id)) find(`${id} was acknowledged, and main gave it up unsaid`);
    for (const id of expected) if (!now.has(id)) find(`main lacks ${id}, which the promoted timeline had`);
    if (takes.events === 0 && expected.length > 0) find("the answer lists no event that main took");
    this.#world.promoted(freed, expected);
    tally.givenUp += ids.length;
    return ids;
  }
}
