/*
 * One run: an app with the wanted queries, all events sent to it, kills on the way, and the rows that it holds at the end.
 *
 * 1. Each request is sent until it is answered, so every event is acknowledged when `send` resolves.
 * 2. A kill is SIGKILL to all processes of the runtime while requests are under way. The next start has the same store.
 * 3. Rows are read over HTTP, with the project's client.
 */
import { join } from "node:path";
import { client } from "../../src/client/client.ts";
import { sendAll, splitInto, type BatchAnswer } from "../../src/local/client.ts";
import { CrashingApp } from "../../src/local/crashing-app.ts";
import type { NexmarkOptions } from "./options.ts";
import type { Query, Row } from "./query.ts";

/** The app has no operator for the events that its queries don't want. */
const IGNORE_UNROUTED = "?unrouted=ignore";
const CONFIG = join(import.meta.dirname, "wrangler.toml");

export interface RunProgress {
  acknowledged(events: number): void;
  killed(): void;
  /** The app is up again. */
  restarted(): void;
}

export class NexmarkRun {
  readonly #app: CrashingApp;
  readonly #options: NexmarkOptions;
  readonly #progress: RunProgress;
  /** Kills that were asked for. */
  #asked = 0;

  constructor(options: NexmarkOptions, progress: RunProgress) {
    const numbers = options.queries.map(({ number }) => number);
    this.#app = new CrashingApp({ configPath: CONFIG, vars: { QUERIES: numbers.join(",") } });
    this.#options = options;
    this.#progress = progress;
  }

  start(): Promise<void> {
    return this.#app.start();
  }

  /** Sends the events in this order. Requests that are under way together may overtake each other. */
  async send(lines: string[]): Promise<void> {
    const { batch, connections, kills } = this.#options;
    let acknowledged = 0;
    await sendAll({
      url: () => this.#app.url(),
      query: IGNORE_UNROUTED,
      chunks: splitInto(lines, batch),
      lanes: connections,
      onAnswer: async (answer, chunk) => {
        assertTaken(answer, chunk.length);
        acknowledged += chunk.length;
        this.#progress.acknowledged(acknowledged);
        // The kills part the stream into equal shares.
        const due = Math.floor((acknowledged / lines.length) * (kills + 1));
        if (this.#asked < Math.min(due, kills)) await this.#kill();
      },
      beforeRetry: () => this.#app.whenUp(),
    });
    if (this.#app.kills < kills) throw new Error(`only ${this.#app.kills} kills: the stream has too few requests`);
  }

  async #kill(): Promise<void> {
    this.#asked += 1;
    await this.#app.crash(() => this.#progress.killed());
    this.#progress.restarted();
  }

  async rows({ result, rows }: Query): Promise<Row[]> {
    const kf = client({ url: this.#app.url() });
    const found: Row[] = [];
    for await (const page of kf.operator(result).scan())
      for (const { key, value } of page) found.push(...rows(value, key));
    await kf.close();
    return found;
  }

  /** Ends all processes, and removes all files. */
  async end(): Promise<void> {
    await this.#app.remove();
  }
}

/** Every event was decided, and none was refused, rejected or quarantined. */
function assertTaken(answer: BatchAnswer, sent: number): void {
  const { accepted, duplicates, unrouted, quarantined } = answer;
  if (accepted + duplicates + unrouted !== sent || quarantined > 0)
    throw new Error(`of ${sent} events not all were taken: ${JSON.stringify(answer)}`);
}
