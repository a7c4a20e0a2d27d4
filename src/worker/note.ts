/**
 * Writes one JSON line for each noteworthy fact (engine/base/log-lines.ts).
 *
 * NOTE1. A line never holds event data or a key. Callers give names, numbers and messages of a store or the engine. An
 *     unforeseen error is noted by its class and its stack frames alone.
 * NOTE2. Unwanted text is cut: quotes in messages of JSON.parse, the app's own tokens, and text longer than TEXT.
 */
import { env } from "cloudflare:workers";
import { Damage, Failure, messageOf } from "../engine/base/errors.ts";
import { NOTES, type LogLine, type NoteFacts } from "../engine/base/log-lines.ts";
import { codeId, type Env } from "./env.ts";

/** Characters of one fact. */
const TEXT = 2_000;

export function note(what: LogLine, facts: NoteFacts): void {
  const app = env as unknown as Env;
  const shown = Object.entries(facts).map(([name, fact]) => [name, typeof fact === "string" ? safe(fact, app) : fact]);
  const line = { time: new Date().toISOString(), level: NOTES[what], note: what, app: codeId(app) };
  // oxlint-disable-next-line no-console -- the one place that writes to the platform's log
  console.log(JSON.stringify({ ...line, ...Object.fromEntries(shown) }));
}

/** Describes any error: by its message if the engine made it, else by its class and its frames (NOTE1). */
export function errorFacts(error: unknown): { readonly error: string; readonly stack: string | null } {
  if (error instanceof Failure || error instanceof Damage) return { error: messageOf(error), stack: null };
  if (!(error instanceof Error)) return { error: `a thrown ${typeof error}`, stack: null };
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return { error: error.name, stack: frames.map((frame) => frame.trim()).join("\n") };
}

/** `Unexpected token 'x', ..."some data"... is not valid JSON`. */
const SNIPPET = /(Unexpected (?:non-whitespace )?(?:token|character|string|number))[^]*? (is not valid JSON|in JSON)/g;

function safe(text: string, { INGEST_TOKEN, READ_TOKEN, ADMIN_TOKEN, METRICS_TOKEN }: Env): string {
  let cut = text.replaceAll(SNIPPET, "$1 … $2");
  for (const token of [INGEST_TOKEN, READ_TOKEN, ADMIN_TOKEN, METRICS_TOKEN])
    if (token) cut = cut.replaceAll(token, "[token]");
  return cut.length > TEXT ? `${cut.slice(0, TEXT)}…` : cut;
}
