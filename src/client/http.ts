/**
 * One exchange with the app.
 *
 * HTTP1. A missing answer, a broken one and a passing failure mean the same: the events may count, and the same request
 *     may be sent again.
 * HTTP2. This file neither waits nor retries. The caller does, by patience.ts.
 * HTTP3. On a timeline, every request names it. Routes that are about the whole app take none, so their callers use
 *     `on(null)`.
 * HTTP4. With `after`, each POST carries the highest stamp that an answer has named, so that its events are stamped above
 *     it (TIME1). Only an answer of the app counts.
 */
import { isWholeNumber, judge, redirectOf, type Answer, type Bytes, type Call, type NoAnswer } from "./answer.ts";
import type { ClientClock } from "./clock.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { withParam } from "./paths.ts";

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Bytes;
  readonly redirect: "follow" | "manual";
  readonly signal: AbortSignal;
}
export type Fetch = (url: string, init: FetchInit) => Promise<Response>;

export interface HttpOptions {
  readonly url: string;
  readonly token: string | null;
  readonly fetch: Fetch;
  readonly clock: ClientClock;
  /** Milliseconds for one attempt, its answer included. */
  readonly attemptMs: number;
  /** Default: none is named, so the app takes main. */
  readonly timeline?: string | null;
  /** The stamp above which events are stamped. Default: none is named, so the partitions' clocks decide. */
  readonly after?: number | null;
}

const STAMP = "keyframe-stamp";

export class Http {
  readonly #options: HttpOptions;
  readonly #base: string;
  #heard: number;

  /** @throws KeyframeError if the URL is invalid */
  constructor(options: HttpOptions) {
    this.#heard = options.after ?? 0;
    this.#options = options;
    this.#base = baseOf(options.url);
  }

  get clock(): ClientClock {
    return this.#options.clock;
  }

  /** The highest stamp that an answer has named, or `after` if that is higher. */
  get heard(): number {
    return this.#heard;
  }

  /** The same, on a timeline. */
  on(timeline: string | null): Http {
    return new Http({ ...this.#options, timeline });
  }

  async exchange(call: Call): Promise<Answer | NoAnswer> {
    const { clock, attemptMs } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(attemptMs, () => late.abort());
    try {
      return await this.read(call, await this.open(call, late.signal));
    } catch (error) {
      if (late.signal.aborted) return { tag: "none", why: `no answer within ${attemptMs} ms`, unsent: false };
      return { tag: "none", why: whyOf(error), unsent: neverSent(error) };
    } finally {
      cancel();
    }
  }

  async read(call: Call, response: Response): Promise<Answer> {
    const text = await response.text();
    const { headers } = response;
    const answer = judge(call, response, text, retryAfter(headers.get("retry-after"), this.#options.clock.now()));
    const stamp = Number(headers.get(STAMP) ?? 0);
    if (answer.tag !== "foreign" && isWholeNumber(stamp)) this.#heard = Math.max(this.#heard, stamp);
    return answer;
  }

  /**
   * Returns the response as soon as its head has arrived.
   * @throws the errors of fetch
   */
  open(call: Call, signal: AbortSignal): Promise<Response> {
    const { method, path, headers, body } = call;
    const { token, fetch, timeline = null, after = null } = this.#options;
    const stamp = method === "POST" && after !== null && this.#heard > 0 ? { [STAMP]: String(this.#heard) } : {};
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    const init = { method, headers: { ...headers, ...stamp, ...authorization }, redirect: redirectOf(call), signal };
    const asked = timeline === null ? path : withParam(path, "timeline", timeline);
    return fetch(`${this.#base}${asked}`, body === undefined ? init : { ...init, body });
  }
}

function baseOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new KeyframeError("invalid_options", "url is no URL");
  }
  // Messages omit the URL, which may hold a secret.
  if (parsed.username !== "" || parsed.password !== "")
    throw new KeyframeError("invalid_options", "url must have no user and no password; a token is given as `token`");
  if (parsed.search !== "" || parsed.hash !== "" || !/^https?:$/.test(parsed.protocol))
    throw new KeyframeError(
      "invalid_options",
      `url must be http(s), without ? and #, not ${parsed.origin}${parsed.pathname}`,
    );
  return parsed.href.replace(/\/+$/, "");
}

/** Prefers the cause of a fetch error, since the error itself says little. */
export function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  if (!(cause instanceof Error)) return message;
  // If several addresses were tried, the message has the code only.
  const said = cause.message !== "" ? cause.message : codeOfCause(cause);
  return said === "" ? message : `${message}: ${said}`;
}

const codeOfCause = (cause: unknown): string => {
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
};

/**
 * Codes by which Node says that no connection was made. Other runtimes say nothing, so the request may have been sent.
 */
const UNSENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|EPROTO|(ERR_SSL|ERR_TLS|CERT|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)_\w+)$/;

function neverSent(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { cause } = error;
  // fetch refuses some ports by itself.
  return UNSENT.test(codeOfCause(cause)) || (cause instanceof Error && cause.message === "bad port");
}

/** Reads seconds, or an HTTP date. Returns null if the header is missing or unreadable. */
export function retryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse reads many texts as a date. An HTTP date begins with the day of the week.
  const at = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
