/**
 * One exchange with the app, and what its answer means for a sender.
 *
 * H1. No answer, a broken one and a passing failure mean the same: perhaps it counted, perhaps not; the same may be sent again.
 * H2. Nothing here waits or repeats; that is for whoever has the patience (patience.ts).
 */
import type { Clock } from "./clock.ts";
import { KeyframeError, type Problem } from "./keyframe-error.ts";

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}
export type Fetch = (url: string, init: FetchInit) => Promise<Response>;

export interface Call {
  readonly method: "GET" | "POST";
  /** From `/v1` on. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

export interface Answer {
  readonly tag: "answer";
  readonly status: number;
  /** What the server asks for before the next attempt. */
  readonly retryAfterMs: number | null;
  /** Null: it isn't JSON. */
  readonly body: unknown;
}

export interface NoAnswer {
  readonly tag: "none";
  readonly why: string;
}

export interface HttpOptions {
  readonly url: string;
  readonly token: string | null;
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** One attempt, its answer included. */
  readonly attemptMs: number;
}

export class Http {
  readonly #options: HttpOptions;
  readonly #base: string;

  /** @throws KeyframeError where the URL is none */
  constructor(options: HttpOptions) {
    this.#options = options;
    this.#base = baseOf(options.url);
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  async exchange(call: Call): Promise<Answer | NoAnswer> {
    const { clock, attemptMs } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(attemptMs, () => late.abort());
    try {
      return await this.read(await this.open(call, late.signal));
    } catch (error) {
      return { tag: "none", why: late.signal.aborted ? `no answer within ${attemptMs} ms` : whyOf(error) };
    } finally {
      cancel();
    }
  }

  async read(response: Response): Promise<Answer> {
    const text = await response.text();
    const retryAfterMs = retryAfter(response.headers.get("retry-after"), this.#options.clock.now());
    return { tag: "answer", status: response.status, retryAfterMs, body: parsed(text) };
  }

  /** The response as soon as its head is there. @throws what fetch throws */
  open({ method, path, headers, body }: Call, signal: AbortSignal): Promise<Response> {
    const { token, fetch } = this.#options;
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    const init = { method, headers: { ...headers, ...authorization }, signal };
    return fetch(`${this.#base}${path}`, body === undefined ? init : { ...init, body });
  }
}

function baseOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new KeyframeError("invalid_options", "url is no URL");
  }
  // Messages don't repeat it: it may hold what is secret.
  if (parsed.username !== "" || parsed.password !== "")
    throw new KeyframeError("invalid_options", "url must have no user and no password; a token is given as `token`");
  if (parsed.search !== "" || parsed.hash !== "" || !/^https?:$/.test(parsed.protocol))
    throw new KeyframeError(
      "invalid_options",
      `url must be http(s), without ? and #, not ${parsed.origin}${parsed.pathname}`,
    );
  return parsed.href.replace(/\/+$/, "");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** What fetch throws says little; its cause says more. */
export function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  return cause instanceof Error && cause.message !== "" ? `${message}: ${cause.message}` : message;
}

/** Seconds, or an HTTP date. Null: there is none that can be read. */
export function retryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse takes many things for a date; an HTTP date begins with the day of the week.
  const at = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** Codes of a status that else passes, though waiting doesn't help. */
const LASTING = new Set(["internal_error", "too_many_producers"]);

/** Can another attempt get a better answer? */
export function passes(answer: Answer | NoAnswer): boolean {
  if (answer.tag === "none") return true;
  const code = codeOf(answer);
  if (code !== null && LASTING.has(code)) return false;
  const { status } = answer;
  // A body that broke off on its way is no fault of what was sent.
  return (
    status === 408 ||
    status === 425 ||
    status === 429 ||
    (status >= 500 && status !== 501) ||
    code === "body_interrupted"
  );
}

export const membersOf = (body: unknown): Readonly<Record<string, unknown>> =>
  typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};

export function codeOf({ body }: Answer): string | null {
  const { code } = membersOf(body);
  return typeof code === "string" ? code : null;
}

/** An answer that is no success, as an error. */
export function errorOf(answer: Answer): KeyframeError {
  const { status, body } = answer;
  const code = codeOf(answer);
  if (status < 400 || code === null)
    return new KeyframeError("unexpected_answer", `an answer that isn't of this interface, status ${status}`, status);
  const problem = body as Problem;
  const detail = typeof problem.detail === "string" ? problem.detail : JSON.stringify(problem.detail ?? null);
  return new KeyframeError(code, detail, status, problem);
}
