import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, chunksOf, readAllStates, sendUntilAnswered } from "../../src/local/client.ts";
import { type AirportCount, compareCounts, countByAirport, type Flight, readFlights } from "../../src/local/flights.ts";
import { CrashingApp } from "./crashing-app.ts";
import { seededRandom } from "./random.ts";

const FLIGHTS = 6_000;
const CLIENTS = 4;
const CHUNK = 50;
const KILLS = 6;
/** How often a client sends something a second time that was acknowledged long ago. */
const REPEAT_SHARE = 0.2;
/** After the answer that triggers a kill, so that it falls into any stage of the next requests. */
const MAX_KILL_DELAY_MS = 30;

const app = new CrashingApp();
const flights = readFlights(FLIGHTS);

beforeAll(() => app.start());
afterAll(async () => expect(await app.remove()).toEqual([]));

test("every acknowledged event counts exactly once, through kills at random moments", async () => {
  const load = new Load();
  const shares = Array.from({ length: CLIENTS }, (_, client) => flights.filter((_, i) => i % CLIENTS === client));
  await Promise.all(shares.map((share) => load.client(share)));
  await app.whenUp();

  expect(app.kills).toBe(KILLS);
  expect(load.acknowledged.length).toBe(FLIGHTS);
  // What was taken while the answer got lost shows up as a duplicate of the retry instead.
  expect(load.accepted + load.foundOnRetry).toBe(FLIGHTS);

  const states = await readAllStates(app.url(), "airport-delays");
  const result = compareCounts(countByAirport(flights), states);
  expect(result.differences).toEqual([]);
  expect(result).toMatchObject({ lost: 0, doubled: 0, equal: result.airports });
  expect(sumOfFlights(states)).toBe(FLIGHTS);
});

class Load {
  readonly acknowledged: Flight[] = [];
  accepted = 0;
  foundOnRetry = 0;
  readonly #random = seededRandom("crash");
  readonly #killAfter = this.#killMoments();
  #answers = 0;

  /** One sender: in order, each chunk until it is answered, and now and then an old one again. */
  async client(share: Flight[]): Promise<void> {
    const sent: Flight[][] = [];
    for (const chunk of chunksOf(share, CHUNK)) {
      await this.#first(chunk);
      sent.push(chunk);
      const old = sent[this.#random.below(sent.length)];
      if (old !== undefined && this.#random.next() < REPEAT_SHARE) await this.#again(old);
    }
  }

  async #first(chunk: Flight[]): Promise<void> {
    const { answer, attempts } = await this.#send(chunk);
    expect(answer).toMatchObject({ received: chunk.length, through: chunk.length });
    expect(answer.accepted + answer.duplicates).toBe(chunk.length);
    if (attempts === 1) expect(answer.duplicates).toBe(0);
    this.accepted += answer.accepted;
    this.foundOnRetry += answer.duplicates;
    this.acknowledged.push(...chunk);
  }

  async #again(chunk: Flight[]): Promise<void> {
    const { answer } = await this.#send(chunk);
    expect(answer).toMatchObject({ received: chunk.length, accepted: 0, duplicates: chunk.length });
  }

  async #send(chunk: Flight[]): Promise<{ answer: Answer; attempts: number }> {
    const lines = chunk.map((flight) => flight.line);
    const sent = await sendUntilAnswered(
      () => app.url(),
      lines,
      () => app.whenUp(),
    );
    this.#answers += 1;
    if (this.#answers === this.#killAfter[0]) {
      this.#killAfter.shift();
      this.#crash();
    }
    return sent;
  }

  /** Not awaited: the clients go on sending while the app is killed, and hear of a failure through whenUp. */
  #crash(): void {
    const acknowledged = [...this.acknowledged];
    const delayMs = this.#random.below(MAX_KILL_DELAY_MS);
    app.crash(delayMs, () => expectAtLeast(acknowledged)).catch(() => undefined);
  }

  /** One in each of as many equal parts of the run, so that there is load before and after each. */
  #killMoments(): number[] {
    const part = Math.floor(FLIGHTS / CHUNK / (KILLS + 1));
    return Array.from({ length: KILLS }, (_, i) => (i + 1) * part + this.#random.below(part));
  }
}

/** Right after a restart nothing that had been acknowledged is missing. */
async function expectAtLeast(acknowledged: Flight[]): Promise<void> {
  const states = await readAllStates(app.url(), "airport-delays");
  for (const [airport, { flights }] of countByAirport(acknowledged)) {
    const found = (states.get(airport) as AirportCount | undefined)?.flights ?? 0;
    expect(found, `flights from ${airport} after a restart`).toBeGreaterThanOrEqual(flights);
  }
}

function sumOfFlights(states: Map<string, unknown>): number {
  return [...states.values()].reduce<number>((sum, state) => sum + (state as AirportCount).flights, 0);
}
