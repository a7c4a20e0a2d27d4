/**
 * What came back, judged: is it Keyframe's, and does it hold what an answer of its route must hold? For the client, the command
 * line and pages alike, so that nobody believes a login page, a captive portal or a proxy.
 *
 * ANSWER1. A good answer is one that holds what `HOLDS` says of its route. It may hold more: the app may be newer.
 * ANSWER2. A problem is a document whose `type` names its `code` as the app's do. Any other answer is foreign, whatever its status.
 * ANSWER3. Only a GET is led elsewhere. Any other request that is redirected is answered by nobody that may answer it.
 */
import { HOLDS, type Shape } from "./holds.ts";
import { KeyframeError, type Problem } from "./keyframe-error.ts";

/** A Uint8Array whose bytes fetch takes. Its parameter is left to the compiler: before TypeScript 5.7 it had none. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** From `/v1` on. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Bytes;
}

interface Told {
  readonly status: number;
  /** What the server asks for before the next attempt. */
  readonly retryAfterMs: number | null;
}

export interface Good extends Told {
  readonly tag: "good";
  readonly body: unknown;
}

export interface Refusal extends Told {
  readonly tag: "problem";
  readonly code: string;
  readonly body: Problem;
}

/** Somebody else's answer, or one that lacks what it must hold. */
export interface Foreign extends Told {
  readonly tag: "foreign";
  /** With the address and the type of what came. */
  readonly why: string;
  readonly body: null;
}

export type Answer = Good | Refusal | Foreign;

/** The head of a response, as far as it says who answered. */
export interface Head {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  readonly headers: { get(name: string): string | null };
}

/** Redirects of a GET are followed; of anything else they are an answer by themselves (ANSWER3). */
export const redirectOf = ({ method }: Pick<Call, "method">): "follow" | "manual" =>
  method === "GET" ? "follow" : "manual";

export function judge(call: Call, head: Head, text: string, retryAfterMs: number | null = null): Answer {
  const { status } = head;
  const foreign = (why: string): Foreign => ({
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
    return flaw === null ? { tag: "good", status, retryAfterMs, body } : foreign(flaw);
  }
  if (!isProblem(body)) return foreign(`it isn't a problem document of Keyframe's: ${begin(text)}`);
  return { tag: "problem", status, retryAfterMs, code: body.code, body };
}

/** What a stream must be before it is read. Null: it is that. */
export function judgeStream(call: Call, head: Head, mediaType: string): Foreign | null {
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

/** Where a redirect leads that wasn't followed; null: it is none. */
function ledTo({ status, type, headers }: Head): string | null {
  // Browsers tell nothing of it but that it was one.
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

/** What a good answer to the call lacks; null: nothing. */
export function flawOf({ method, path }: Pick<Call, "method" | "path">, body: unknown): string | null {
  const found = HOLDS.find(([verb, template]) => verb === method && fits(template, path));
  return found === undefined ? "nothing is known of this route" : lacking(found[2], body, "");
}

function fits(template: string, path: string): boolean {
  const [wanted = "", parameter] = template.split("?");
  const [given = "", query = ""] = path.split("?");
  if (parameter !== undefined && !new URLSearchParams(query).has(parameter)) return false;
  const [mine, parts] = [wanted.split("/"), given.split("/")];
  return (
    mine.length === parts.length &&
    mine.every((part, i) => (part.startsWith(":") ? parts[i] !== "" : part === parts[i]))
  );
}

/** What a value lacks to be of the shape; null: nothing. */
export function lacking(shape: Shape, value: unknown, at: string): string | null {
  const named = at === "" ? "it" : `\`${at}\``;
  if (typeof shape === "string") return fitsWord(shape, value) ? null : `${named} is not ${shape}`;
  if (typeof shape === "function") return lacking(shape(membersOf(value)), value, at);
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
    case "a text":
      return typeof value === "string";
    case "a boolean":
      return typeof value === "boolean";
  }
}

/** Codes of a status that else passes, though waiting doesn't help. */
const LASTING = new Set(["internal_error", "too_many_producers"]);

/** Can another attempt get a better answer? */
export function passes(answer: Answer | NoAnswer): boolean {
  if (answer.tag === "none") return true;
  if (answer.tag === "good") return false;
  if (answer.tag === "problem") {
    if (LASTING.has(answer.code)) return false;
    // A body that broke off on its way is no fault of what was sent.
    if (answer.code === "body_interrupted") return true;
  }
  const { status } = answer;
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501);
}

/** Codes of a status that else leaves it open. */
const NOT_LOOKED_AT = new Set(["rate_limited", "log_not_migrated"]);

/**
 * May what was sent count, though this isn't the answer to it? Only the app's own word that it took nothing says no: a proxy's
 * may come after the app has decided, and a 503 says that a part isn't known.
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

/** An answer that isn't good, as an error. `ids`: of the events of which it isn't known whether they count. */
export function errorOf(answer: Refusal | Foreign, ids: readonly string[] = []): KeyframeError {
  if (answer.tag === "foreign")
    return new KeyframeError("unexpected_answer", answer.why, { status: answer.status, ids });
  const { status, code, body: problem } = answer;
  const { detail } = problem;
  const text = typeof detail === "string" ? detail : JSON.stringify(detail ?? null);
  return new KeyframeError(code, text, { status, problem, ids });
}
