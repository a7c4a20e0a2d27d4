/**
 * The running app, as the commands see it: one request, its answer, and what to say when there is none.
 *
 * A1. What may be sent twice is sent again after a 503, a few times, as the answer's Retry-After says.
 * A2. The token is in a header only, and in no message.
 */
import type { Command } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import { isObject } from "../engine/json.ts";
import { messageOf } from "../engine/errors.ts";
import { Trouble, type Cli } from "./command.ts";

export interface Options {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  /** From the request to the end of the answer. */
  readonly ms: number;
}

const DEFAULT_URL = "http://127.0.0.1:8787";
/** The app answers within 30 s, whatever its stores do; a drill and a recovery may take longer. */
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 5;
const LONGEST_PAUSE_MS = 5_000;

/** The options of every command that asks the app. */
export const online = (command: Command): Command =>
  command
    .option("--url <url>", `where the app is; else KEYFRAME_URL, else ${DEFAULT_URL}`)
    .option("--token <token>", "else KEYFRAME_TOKEN, which no list of processes shows")
    .option("--json", "one JSON object a line");

export class App {
  readonly url: string;
  readonly #token: string | null;

  constructor({ url, token }: Options, { env }: Cli) {
    this.url = baseUrl(url ?? (env["KEYFRAME_URL"] || DEFAULT_URL));
    this.#token = token ?? (env["KEYFRAME_TOKEN"] || null);
    if (this.#token !== null && !/^[\x21-\x7e]+$/.test(this.#token))
      throw new Trouble(
        "a token has no spaces, line ends or characters beyond ASCII; look at --token or KEYFRAME_TOKEN",
      );
  }

  get token(): string | null {
    return this.#token;
  }

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** What the app says, whatever that is. @throws Trouble where it says nothing */
  async ask(path: string, init: RequestInit = {}): Promise<Answer> {
    return (await this.#exchange(path, init)).answer;
  }

  /** The same, sent again while the answer is 503: for what may be sent twice. */
  async askAgain(path: string, init: RequestInit = {}): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const { answer, pauseMs } = await this.#exchange(path, init);
      if (answer.status !== 503 || attempt === ATTEMPTS) return answer;
      await sleep(pauseMs);
    }
  }

  /**
   * The lines of an answer as they come, however long that takes, as long as some come.
   *
   * @throws Trouble with what the app says instead, and where it breaks off
   */
  async *lines(path: string): AsyncGenerator<string> {
    const silence = new AbortController();
    const hush = (): NodeJS.Timeout =>
      setTimeout(() => silence.abort(new Error("nothing came for a minute")), TIMEOUT_MS);
    let timer = hush();
    try {
      const response = await fetch(`${this.url}${path}`, { headers: this.#headers(), signal: silence.signal });
      if (!response.ok || response.body === null)
        throw failedWith({ status: response.status, body: parsed(await response.text()), ms: 0 });
      let rest = "";
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        clearTimeout(timer);
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        yield* lines;
        timer = hush();
      }
      if (rest !== "") yield rest;
    } catch (error) {
      throw error instanceof Trouble ? error : noAnswer(this.url, error);
    } finally {
      clearTimeout(timer);
      // Who stopped early doesn't want the rest.
      silence.abort();
    }
  }

  #headers(init?: RequestInit["headers"]): Headers {
    const headers = new Headers(init);
    if (this.#token !== null) headers.set("authorization", `Bearer ${this.#token}`);
    return headers;
  }

  /** What a read answers when all is well. @throws Trouble with what the app says instead */
  async get(path: string): Promise<unknown> {
    return fine(await this.askAgain(path));
  }

  async #exchange(path: string, init: RequestInit): Promise<{ readonly answer: Answer; readonly pauseMs: number }> {
    const begun = performance.now();
    const headers = this.#headers(init.headers);
    try {
      const response = await fetch(`${this.url}${path}`, { ...init, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await response.text();
      const after = Number(response.headers.get("retry-after") ?? 1) * 1_000;
      const answer = { status: response.status, body: parsed(text), ms: performance.now() - begun };
      return { answer, pauseMs: Math.min(Number.isFinite(after) ? after : 1_000, LONGEST_PAUSE_MS) };
    } catch (error) {
      throw noAnswer(this.url, error);
    }
  }
}

function noAnswer(url: string, error: unknown): Trouble {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new Trouble(
    `no answer from ${url}: ${messageOf(cause)}. Is the app up (npx wrangler dev), and is --url or KEYFRAME_URL its address?`,
  );
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "")
    throw new Trouble(`${JSON.stringify(text)} is no address of an app, such as ${DEFAULT_URL}`);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** What isn't JSON comes from somebody else, such as a proxy. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text.slice(0, 200);
  }
}

/** The body of an answer that says yes. @throws Trouble with what it says instead */
export function fine(answer: Answer): unknown {
  if (answer.status >= 200 && answer.status < 300) return answer.body;
  throw failedWith(answer);
}

const failedWith = (answer: Answer): Trouble =>
  new Trouble(`the app answers ${answer.status} ${saidBy(answer)}${HINTS[answer.status] ?? ""}`);

const HINTS: Readonly<Record<number, string>> = {
  401: " (give a token with --token or KEYFRAME_TOKEN)",
  403: " (give another token with --token or KEYFRAME_TOKEN)",
};

/** The code of a problem document; "" where the answer is none. */
export const codeOf = ({ body }: Answer): string =>
  isObject(body) && typeof body["code"] === "string" ? body["code"] : "";

/** What a problem document says, in a line. */
export function saidBy(answer: Answer): string {
  const { body } = answer;
  if (!isObject(body) || codeOf(answer) === "") return typeof body === "string" ? body : JSON.stringify(body);
  const { detail } = body;
  return `${codeOf(answer)}: ${typeof detail === "string" ? detail : JSON.stringify(detail ?? null)}`;
}

export const operatorPath = (operator: string): string => `/v1/operators/${encodeURIComponent(operator)}`;

export function partitionPath(operator: string, partition: string): string {
  if (!/^\d{1,9}$/.test(partition)) throw new Trouble(`a partition is a number, not ${JSON.stringify(partition)}`);
  return `${operatorPath(operator)}/partitions/${partition}`;
}

export const POST: RequestInit = { method: "POST" };

export const postJson = (text: string, headers: Readonly<Record<string, string>> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: text,
});
