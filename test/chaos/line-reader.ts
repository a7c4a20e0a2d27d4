/*
 * Reads which events a line of history holds, in the order of its log.
 *
 * 1. Main: the preview of a promotion lists what main would give up. So it lists all of main above the start of a
 *    timeline that was made early and is never promoted (ORIGIN).
 * 2. A former main: the histories of its keys list the events that a promotion gave up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, getUntilAnswered, readAllStates } from "../../src/local/client.ts";
import type { Book } from "./book.ts";
import { Ledger, OPERATORS, type OperatorName } from "./ledger.ts";
import type { World } from "./world.ts";

const ORIGIN = "origin";
const ATTEMPTS = 600;
const AT_ONCE = 8;

/** Seqs of one operator, which has one partition. */
export interface Stretch {
  readonly operator: OperatorName;
  readonly partition: number;
  readonly first: number;
  readonly last: number;
}

export interface Stretches {
  readonly events: number;
  readonly partitions: readonly Stretch[];
}

export type Line = ReadonlyMap<OperatorName, readonly string[]>;

export class LineReader {
  readonly #world: World;
  readonly #book: Book;
  /** The count of main when the present origin was made. */
  #base = new Ledger();

  constructor(world: World) {
    this.#world = world;
    this.#book = world.book;
  }

  /** Lets later reads begin here. Nothing is sent meanwhile, and `main` is all that main holds. */
  async begin(main: Ledger): Promise<void> {
    await untilOk(`${this.#world.app.url()}/v1/timelines/${ORIGIN}`, "DELETE");
    await untilOk(`${this.#world.app.url()}/v1/timelines/${ORIGIN}`, "PUT", { from: "now", expires: null });
    this.#base = main;
  }

  /** The events of main since `begin`, by operator, in the order of each log. */
  async main(): Promise<Line> {
    return this.parsed(await untilOk(`${this.#world.app.url()}/v1/timelines/${ORIGIN}/promotion`, "GET"), ORIGIN);
  }

  /** The list of the preview of a timeline. */
  parsed(text: string, timeline: string): Line {
    const line = new Map<OperatorName, string[]>(OPERATORS.map((name) => [name, []]));
    const lines = text.trimEnd().split("\n");
    const { complete } = JSON.parse(lines.pop()!) as { complete?: boolean };
    if (complete !== true) throw new Error(`the preview of ${timeline} broke off`);
    for (const one of lines) {
      const { id } = JSON.parse(one) as { id: string };
      const effect = this.#book.effects.get(id);
      if (effect === undefined) this.#world.findings.add(`the preview of ${timeline} lists ${id}, which nobody sent`);
      else line.get(effect.operator)!.push(id);
    }
    return line;
  }

  /** The count of a line. An event that is there twice is a finding. */
  ledgerOf(line: Line, called: string): Ledger {
    const ledger = new Ledger(this.#base);
    for (const id of [...line.values()].flat())
      if (!ledger.enter(id, this.#book.effects.get(id)!)) this.#world.findings.add(`${called} holds ${id} twice`);
    return ledger;
  }

  /** The former main: what it has in common with main, and then what it was given up with. */
  formerMain(main: Line, { partitions }: Stretches, givenUp: Line): Line {
    const above = (name: OperatorName): number | undefined =>
      partitions.find(({ operator }) => operator === name)?.first;
    return new Map(
      OPERATORS.map((name) => {
        const common = (above(name) ?? Number.POSITIVE_INFINITY) - 1 - (this.#base.events.get(name) ?? 0);
        return [name, [...(main.get(name) ?? []).slice(0, common), ...(givenUp.get(name) ?? [])]];
      }),
    );
  }

  /** The events of a former main in some stretches, read from the histories of all its keys. */
  async history(timeline: string, { partitions }: Stretches): Promise<Line> {
    const line = new Map<OperatorName, readonly string[]>();
    for (const stretch of partitions) {
      const states = await readAllStates(this.#world.app.url(), stretch.operator, timeline);
      const found: { readonly seq: number; readonly id: string }[] = [];
      const keys = states.keys();
      const lane = async (): Promise<void> => {
        for (const key of keys) found.push(...(await this.#ofKey(timeline, stretch, key)));
      };
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
      line.set(
        stretch.operator,
        found.sort((a, b) => a.seq - b.seq).map(({ id }) => id),
      );
    }
    return line;
  }

  async #ofKey(timeline: string, { operator, first, last }: Stretch, key: string) {
    const found: { readonly seq: number; readonly id: string }[] = [];
    for (let before = last + 1; before > first;) {
      const query = new URLSearchParams({ key, timeline, before: String(before), limit: "1000" });
      const page = (await getUntilAnswered(
        `${this.#world.app.url()}/v1/operators/${operator}/history?${query.toString()}`,
      )) as { items: { seq: number; event: { id: string } }[]; before?: number };
      found.push(...page.items.map(({ seq, event }) => ({ seq, id: event.id })).filter(({ seq }) => seq >= first));
      before = page.before ?? 0;
    }
    return found;
  }
}

/** Sends until there is an answer other than 503. @throws if that is an error */
export async function untilOk(url: string, method: "GET" | "PUT" | "DELETE", body?: unknown): Promise<string> {
  const accept = { accept: "application/x-ndjson, application/json" };
  const init =
    body === undefined
      ? { method, headers: accept }
      : { method, headers: { ...accept, "content-type": "application/json" }, body: JSON.stringify(body) };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const answer = await exchange(url, init);
    if (answer !== null && answer.ok && answer.status !== 202) return answer.text;
    if (answer !== null && answer.status !== 503 && answer.status !== 202)
      throw new Error(`${method} ${url} answered ${answer.status}: ${answer.text}`);
    await sleep(100);
  }
  throw new Error(`no answer from ${url}`);
}
