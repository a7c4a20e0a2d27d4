/**
 * Judges a response: is it Keyframe's, and does it hold the members that an answer of its route must hold?
 * The client, the command line and the dashboard use it, so that none of them believes a login page, a captive portal
 * or a proxy.
 *
 * ANSWER1. A good answer holds the members that `HOLDS` lists for its route. It may hold more: the app may be newer.
 * ANSWER2. A problem is a document whose `type` names its `code` as the app's documents do. Any other answer is
 *     foreign, whatever its status.
 * ANSWER3. Only a GET follows redirects. A redirect of any other request counts as no answer of the app.
 */
import { HOLDS, type Shape } from "./holds.ts";
import { KeyframeError, type Problem } from "./keyframe-error.ts";

/** A Uint8Array whose bytes fetch takes. The compiler infers the type parameter, which TypeScript below 5.7 lacks. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** The path, from `/v1` on. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Bytes;
}

interface Told {
  readonly status: number;
  /** The pause that the server asks for before the next attempt. */
  readonly retryAfterMs: number | null;
}

export interface GoodAnswer extends Told {
  readonly tag: "good";
  readonly body: unknown;
  readonly etag: string | null;
}

export interface ProblemAnswer extends Told {
  readonly tag: "problem";
  readonly code: string;
  readonly body: Problem;
}

/** An answer that isn't the app's, or that lacks a member. */
export interface ForeignAnswer extends Told {
  readonly tag: "foreign";
  /** The reason, with the address and the media type of the answer. */
  readonly why: string;
  readonly body: null;
}

export type Answer = GoodAnswer | ProblemAnswer | ForeignAnswer;

/** The head of a response, as far as it says who answered. */
export interface Head {
  readonly status: number;
  /** The address of the response, after redirects. */
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  readonly headers: { get(name: string): string | null };
}

/** Follows redirects of a GET only. Any other redirect is judged as an answer (ANSWER3). */
export const redirectOf = ({ method }: Pick<Call, "method">): "follow" | "manual" =>
  method === "GET" ? "follow" : "manual";

export function judge(call: Call, head: Head, text: string, retryAfterMs: number | null = null): Answer {
  const { status } = head;
  const foreign = (why: string): ForeignAnswer => ({
    tag: "foreign",
    status,
    retryAfterMs,
    why: whereFrom(call, head, why),
    body: null,
  });
  const led = ledTo(head);
  if (led !== null) return foreign(led);
  const body = parsed(text);
  if (status >= 200 && status < 300) {
    const flaw = body === undefined ? "it isn't JSON" : flawOf(call, body);
    return flaw === null ? { tag: "good", status, retryAfterMs, body, etag: head.headers.get("etag") } : foreign(flaw);
  }
  if (!isProblem(body)) return foreign(`it isn't a problem document of Keyframe's: ${begin(text)}`);
  return { tag: "problem", status, retryAfterMs, code: body.code, body };
}

/** Judges the head of a stream before the stream is read. Returns null if it is a stream of that media type. */
export function judgeStream(call: Call, head: Head, mediaType: string): ForeignAnswer | null {
  const { status } = head;
  const type = head.headers.get("content-type") ?? "";
  if (status === 200 && type.toLowerCase().split(";")[0]!.trim() === mediaType) return null;
  return {
    tag: "foreign",
    status,
    retryAfterMs: null,
    why: whereFrom(call, head, `it isn't ${mediaType}`),
    body: null,
  };
}

/** Returns the target of a redirect that wasn't followed, or null if the response is no redirect. */
function ledTo({ status, type, headers }: Head): string | null {
  // Browsers hide everything about a redirect except that it was one.
  if (type === "opaqueredirect") return "it redirects, and only a GET is sent elsewhere: use the app's own address";
  if (status < 300 || status >= 400 || status === 304) return null;
  const to = headers.get("location");
  return `it redirects to ${to === null ? "nowhere" : shortened(to)}, and only a GET is sent elsewhere: use the app's own address`;
}

function whereFrom({ method, path }: Call, { status, url, redirected, headers }: Head, why: string): string {
  const type = headers.get("content-type") ?? "no content type";
  // A response that was made by hand has no address.
  const from = url === "" ? path : url;
  const way = redirected ? `, where ${method} ${shortened(path)} was redirected` : "";
  return `the answer isn't Keyframe's: status ${status}, ${shortened(type)}, from ${shortened(from)}${way}: ${why}`;
}

const MOST_SHOWN = 300;
const shortened = (text: string): string => (text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN)}…`);
const begin = (text: string): string =>
  text.trim() === "" ? "it is empty" : JSON.stringify(text.trim().slice(0, 80).replaceAll(/\s+/g, " "));

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export const membersOf = (body: unknown): Readonly<Record<string, unknown>> =>
  typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};

function isProblem(body: unknown): body is Problem {
  const { type, code } = membersOf(body);
  return typeof code === "string" && type === `urn:keyframe:problem:${code}`;
}

/** Returns the flaw of an answer to the call, or null if the answer is good. */
export function flawOf({ method, path }: Pick<Call, "method" | "path">, body: unknown): string | null {
  const found = HOLDS.find(([verb, template]) => verb === method && fits(template, path));
  return found === undefined ? "nothing is known of this route" : lacking(found[2], body, "");
}

function fits(template: string, path: string): boolean {
  const [wanted = "", parameters] = template.split("?");
  const [given = "", query = ""] = path.split("?");
  const asked = new URLSearchParams(query);
  if (parameters !== undefined && !parameters.split("&").every((name) => asked.has(name))) return false;
  const [mine, parts] = [wanted.split("/"), given.split("/")];
  return (
    mine.length === parts.length &&
    mine.every((part, i) => (part.startsWith(":") ? parts[i] !== "" : part === parts[i]))
  );
}

export const isWholeNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Returns the first member that a value lacks to fit the shape, or null if it fits. */
export function lacking(shape: Shape, value: unknown, at: string): string | null {
  const named = at === "" ? "it" : `\`${at}\``;
  if (typeof shape === "string") return fitsWord(shape, value) ? null : `${named} is not ${shape}`;
  if (typeof shape === "function") return lacking(shape(membersOf(value), value), value, at);
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return `${named} is not a list`;
    for (const [i, item] of value.entries()) {
      const flaw = lacking(shape[0] as Shape, item, `${at}[${i}]`);
      if (flaw !== null) return flaw;
    }
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return `${named} is not an object`;
  for (const [name, member] of Object.entries(shape)) {
    const bare = name.replace(/\?$/, "");
    const there = Object.hasOwn(value, bare);
    if (!there && bare !== name) continue;
    const place = at === "" ? bare : `${at}.${bare}`;
    if (!there) return `it lacks \`${place}\``;
    const flaw = lacking(member, (value as Record<string, unknown>)[bare], place);
    if (flaw !== null) return flaw;
  }
  return null;
}

function fitsWord(word: Extract<Shape, string>, value: unknown): boolean {
  switch (word) {
    case "anything":
      return true;
    case "true":
      return value === true;
    case "false":
      return value === false;
    case "a number or null":
      return value === null || typeof value === "number";
    case "a text or null":
      return value === null || typeof value === "string";
    case "a number":
      return typeof value === "number";
    case "a whole number":
      return isWholeNumber(value);
    case "a text":
      return typeof value === "string";
    case "a boolean":
      return typeof value === "boolean";
  }
}

/** Codes for which a retry doesn't help, though their status usually passes. */
const LASTING = new Set(["internal_error", "too_many_producers"]);

/** Can another attempt get a better answer? */
export function passes(answer: Answer | NoAnswer): boolean {
  if (answer.tag === "none") return true;
  if (answer.tag === "good") return false;
  if (answer.tag === "problem") {
    if (LASTING.has(answer.code)) return false;
    // A body that broke off on its way doesn't make the request wrong.
    if (answer.code === "body_interrupted") return true;
  }
  const { status } = answer;
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501);
}

/** Codes that say that the app took nothing, though their status usually leaves that open. */
const NOT_LOOKED_AT = new Set(["rate_limited", "log_not_migrated"]);

/**
 * May the events count, although this answer doesn't accept them? Only the app can say that it took nothing.
 * A proxy's answer may follow the app's decision, and a 503 says that part of the outcome is unknown.
 */
export function mayCount(answer: Answer | NoAnswer): boolean {
  switch (answer.tag) {
    case "none":
      return !answer.unsent;
    case "foreign":
      return true;
    case "good":
      return false;
    case "problem":
      if (Number(answer.body["accepted"] ?? 0) > 0) return true;
      return !NOT_LOOKED_AT.has(answer.code) && (passes(answer) || answer.status >= 500);
  }
}

export interface NoAnswer {
  readonly tag: "none";
  readonly why: string;
  /** No connection was made, so nothing was sent. */
  readonly unsent: boolean;
}

/** Makes an error of an answer that isn't good. `ids` names the events that may count. */
export function keyframeErrorOf(answer: ProblemAnswer | ForeignAnswer, ids: readonly string[] = []): KeyframeError {
  if (answer.tag === "foreign")
    return new KeyframeError("unexpected_answer", answer.why, { status: answer.status, ids });
  const { status, code, body: problem } = answer;
  const { detail } = problem;
  const text = typeof detail === "string" ? detail : JSON.stringify(detail ?? null);
  return new KeyframeError(code, text, { status, problem, ids });
}
