/**
 * The running app, as the commands see it: one request, its answer (client/answer.ts judges it), and the message if
 * there is none.
 *
 * APP1. Safe requests are retried a few times after no answer and after a 503, as the answer's Retry-After says. If
 *     nothing listens at the address, there is no retry: a person at a terminal wants to know.
 * APP2. The token is in a header only, and in no message.
 * APP3. An answer that isn't Keyframe's means neither yes nor no: exit status 2.
 */
import type { Command } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import {
  keyframeErrorOf,
  judgeStream,
  mayCount,
  passes,
  type Answer as Judged,
  type Call,
  type NoAnswer,
  type ProblemAnswer,
} from "../client/answer.ts";
import { systemClock } from "../client/clock.ts";
import { Http, whyOf } from "../client/http.ts";
import { partitionPath } from "../client/paths.ts";
import { timelineIn } from "../engine/history/moment.ts";
import { No, CommandError, type Cli } from "./command.ts";

/** `ms` is the time from the request to the end of the answer. */
export type TimedAnswer = Judged & { readonly ms: number };

/** The request, without its path. */
type AppRequest = Partial<Omit<Call, "path">>;

export interface AppOptions {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
  /** Main if none is named, by this option or in the moment. */
  readonly timeline?: string;
  readonly after?: string;
}

const DEFAULT_URL = "http://127.0.0.1:8787";
/** The app answers within 30 s, whatever its stores do. A verification or a recovery may take longer. */
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 5;
const LONGEST_PAUSE_MS = 5_000;

/** The options of every command that asks the app. */
export const online = (command: Command): Command =>
  command
    .option("--url <url>", `address of the app; default KEYFRAME_URL, else ${DEFAULT_URL}`)
    .option("--token <token>", "token of the app; default KEYFRAME_TOKEN, which no list of processes shows")
    .option("--json", "one JSON object per line");

export const timelineOption = (command: Command): Command =>
  command.option("--timeline <name>", "the timeline; without it, main");

/** The stamp goes from one command to the next, as `kf.stamp` does in a program (TIME1). */
export const afterOption = (command: Command): Command =>
  command.option("--after <stamp>", "stamp events above the one that a command has said; 0 to be told the first one");

/** Returns the remark with the stamp that the next command takes, or null if this command has none. */
export const stampToTell = (after: number | null | undefined, stamp: number): string | null =>
  after == null || stamp === 0 ? null : `for the next command: --after ${stamp}`;

/** @throws CommandError */
function stampIn(text: string): number {
  const stamp = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(stamp)) return stamp;
  throw new CommandError(`--after must be a stamp that a command has said, or 0, not ${JSON.stringify(text)}`);
}

export class AppClient {
  readonly url: string;
  readonly token: string | null;
  readonly timeline: string | null;
  readonly after: number | null;
  readonly #http: Http;

  constructor({ url, token, timeline, after, at }: AppOptions & { readonly at?: string }, { env }: Cli) {
    this.url = baseUrl(url ?? (env["KEYFRAME_URL"] || DEFAULT_URL));
    this.token = token ?? (env["KEYFRAME_TOKEN"] || null);
    if (this.token !== null && !/^[\x21-\x7e]+$/.test(this.token))
      throw new CommandError(
        "a token has no spaces, line ends or characters beyond ASCII; look at --token or KEYFRAME_TOKEN",
      );
    // Later requests name the moment by its stamp alone.
    this.timeline = timeline ?? (at === undefined ? null : timelineIn(at));
    this.after = after === undefined ? null : stampIn(after);
    this.#http = new Http({
      url: this.url,
      token: this.token,
      timeline: this.timeline,
      after: this.after,
      fetch: (to, init) => fetch(to, init),
      clock: systemClock,
      attemptMs: TIMEOUT_MS,
    });
  }

  /** The highest stamp that an answer has named. */
  get heard(): number {
    return this.#http.heard;
  }

  get hasToken(): boolean {
    return this.token !== null;
  }

  /**
   * Returns the app's answer, good or not.
   * @throws Trouble if nobody answers
   */
  async ask(path: string, asked: AppRequest = {}): Promise<TimedAnswer> {
    const begun = performance.now();
    const answer = await this.#http.exchange({ method: "GET", path, ...asked });
    if (answer.tag === "none") throw noAnswer(this.url, answer, changes(asked) && mayCount(answer));
    return { ...answer, ms: performance.now() - begun };
  }

  /**
   * Like `ask`, with retries while another attempt may get a better answer. For requests that are safe to send twice.
   */
  async askAgain(path: string, asked: AppRequest = {}): Promise<TimedAnswer> {
    return (await this.askUntilKnown(path, asked)).answer;
  }

  /**
   * `unknown`: an attempt before the answer may have changed something.
   * @throws Trouble if nobody answers
   */
  async askUntilKnown(
    path: string,
    asked: AppRequest,
  ): Promise<{ readonly answer: TimedAnswer; readonly unknown: boolean }> {
    let unknown = false;
    for (let attempt = 1; ; attempt++) {
      const begun = performance.now();
      const answer = await this.#http.exchange({ method: "GET", path, ...asked });
      unknown ||= changes(asked) && mayCount(answer);
      const hopeless = answer.tag === "none" ? answer.unsent : problemCode(answer) === "log_not_migrated";
      const last = attempt === ATTEMPTS || !passes(answer) || hopeless;
      if (!last)
        await sleep(Math.min(answer.tag === "none" ? 1_000 : (answer.retryAfterMs ?? 1_000), LONGEST_PAUSE_MS));
      else if (answer.tag === "none") throw noAnswer(this.url, answer, unknown);
      else return { answer: { ...answer, ms: performance.now() - begun }, unknown };
    }
  }

  /**
   * Yields the lines of an answer as they come, for as long as lines keep coming.
   *
   * @throws Trouble with the app's message if the answer isn't good, or if it breaks off
   */
  async *lines(path: string, mediaType: string): AsyncGenerator<string> {
    const silence = new AbortController();
    const hush = (): NodeJS.Timeout =>
      setTimeout(() => silence.abort(new Error("no data arrived for a minute")), TIMEOUT_MS);
    let timer = hush();
    const call: Call = { method: "GET", path, headers: { accept: mediaType } };
    try {
      const response = await this.#http.open(call, silence.signal);
      if (response.status >= 300) throw failedWith(await this.#http.read(call, response));
      const foreign = judgeStream(call, response, mediaType);
      if (foreign !== null || response.body === null) throw failedWith(foreign);
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
      if (error instanceof CommandError) throw error;
      throw noAnswer(this.url, { tag: "none", why: whyOf(error), unsent: false });
    } finally {
      clearTimeout(timer);
      // A reader that stops early doesn't want the rest.
      silence.abort();
    }
  }

  /**
   * Returns the body of the good answer to a read.
   * @throws Trouble with the app's message if the answer isn't good
   */
  async get(path: string): Promise<unknown> {
    return fine(await this.askAgain(path));
  }
}

const changes = ({ method = "GET" }: AppRequest): boolean => method !== "GET";

/** Nobody answered. */
export class NoAnswerError extends CommandError {
  /** The request may have taken effect. */
  readonly unknown: boolean;

  constructor(message: string, unknown: boolean) {
    super(message);
    this.unknown = unknown;
  }
}

const noAnswer = (url: string, { why }: NoAnswer, unknown = false): NoAnswerError =>
  new NoAnswerError(
    `no answer from ${url}: ${why}. Is the app up (npx wrangler dev), and is --url or KEYFRAME_URL its address?`,
    unknown,
  );

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "")
    throw new CommandError(`${JSON.stringify(text)} isn't the address of an app, such as ${DEFAULT_URL}`);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/**
 * Returns the body of a good answer.
 * @throws Trouble with the app's message if the answer isn't good
 */
export function fine(answer: Judged): unknown {
  if (answer.tag === "good") return answer.body;
  throw failedWith(answer);
}

/** The app answered, and there is no such moment (AT2). */
const NO_MOMENT = new Set(["409 not_settled", "410 moment_gone"]);

function failedWith(answer: Judged | null): CommandError {
  if (answer === null || answer.tag === "good") return new CommandError("the answer has no body");
  if (answer.tag === "foreign") return new CommandError(answer.why);
  const text = `the app answers ${answer.status} ${saidBy(answer)}${hintFor(answer)}`;
  return NO_MOMENT.has(`${answer.status} ${answer.code}`) ? new No(text) : new CommandError(text);
}

export const MIGRATE = "npx wrangler d1 migrations apply LOG_0, for each database of the log";
const HINTS: Readonly<Record<number, string>> = {
  401: " (give a token with --token or KEYFRAME_TOKEN)",
  403: " (give another token with --token or KEYFRAME_TOKEN)",
};

/** The advice that follows an error. */
export const hintFor = ({ status, code }: Pick<ProblemAnswer, "status" | "code">): string =>
  code === "log_not_migrated" ? ` (run the migrations: ${MIGRATE})` : (HINTS[status] ?? "");

/** The code of a problem document, or "" if the answer is none. */
export const problemCode = (answer: Judged): string => (answer.tag === "problem" ? answer.code : "");

/** The message of an answer that isn't good, in a line. */
export function saidBy(answer: Judged): string {
  if (answer.tag === "good") return JSON.stringify(answer.body);
  const { code, detail } = keyframeErrorOf(answer);
  return answer.tag === "foreign" ? detail : `${code}: ${detail}`;
}

/** A path with parameters, or as it is if there are none. */
export function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}?${text}`;
}

/** @throws CommandError if the partition is no number */
export function pathOfPartition(operator: string, partition: string): string {
  if (!/^\d{1,9}$/.test(partition)) throw new CommandError(`a partition is a number, not ${JSON.stringify(partition)}`);
  return partitionPath(operator, Number(partition));
}

export const POST_REQUEST = { method: "POST" } as const satisfies AppRequest;
export const DELETE_REQUEST = { method: "DELETE" } as const satisfies AppRequest;

export const postJson = (text: string): AppRequest => withJson("POST", text);
export const putJson = (text: string): AppRequest => withJson("PUT", text);

const withJson = (method: "POST" | "PUT", text: string): AppRequest => ({
  method,
  headers: { "content-type": "application/json" },
  body: text,
});
