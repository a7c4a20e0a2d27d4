/** Talking to the Worker under test the way a client does, and looking at the answers. */
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import { expectDocumented } from "./documented.ts";

export const BASE = "http://localhost";

export const fetchApp = (path: string, init?: RequestInit): Promise<Response> =>
  exports.default.fetch(new Request(`${BASE}${path}`, init));

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** Fetches, and reads the JSON that comes; an error must be a problem document, and all of it as it is documented. */
export async function call(path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetchApp(path, init);
  expectDocumented(init?.method ?? "GET", path, response, await response.clone().text());
  const answer = await readAnswer(response);
  if (answer.status >= 400) expectProblem(answer);
  return answer;
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  // Lines, text, and a page for people, are all that isn't one JSON value.
  const none =
    text === "" ||
    type === "application/x-ndjson" ||
    type.startsWith("text/plain") ||
    text.startsWith("<!doctype html>");
  const body = none ? {} : (JSON.parse(text) as Record<string, unknown>);
  return { status: response.status, headers: response.headers, body };
}

export const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> => call(path, { headers });

type Headed = Record<string, string>;

export const postJson = (path: string, value: unknown, headers: Headed = {}): Promise<Answer> =>
  call(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(value),
  });

export const postLines = (events: readonly unknown[], headers: Headed = {}, query = ""): Promise<Answer> =>
  call(`/v1/events${query}`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson", ...headers },
    body: events.map((event) => JSON.stringify(event)).join("\n"),
  });

export const postEvents = (value: unknown, headers: Headed = {}, query = ""): Promise<Answer> =>
  postJson(`/v1/events${query}`, value, headers);

export const ask = (operator: string, event: unknown, headers: Headed = {}): Promise<Answer> =>
  postJson(`/v1/operators/${operator}/ask`, event, headers);

/** The state of a key, or undefined where there is none. */
export async function stateOf(operator: string, key: string): Promise<unknown> {
  const { status, body } = await get(`/v1/operators/${operator}/state?key=${encodeURIComponent(key)}`);
  if (status === 404) {
    expect(body["code"]).toBe("no_state");
    return undefined;
  }
  expect(status).toBe(200);
  return body["value"];
}

/** RFC 9457, with the members that every error of this app has. */
export function expectProblem({ status, headers, body }: Answer): void {
  expect(headers.get("content-type")).toBe("application/problem+json");
  expect(body).toMatchObject({
    type: `urn:keyframe:problem:${String(body["code"])}`,
    title: expect.stringMatching(/./),
    status,
    code: expect.stringMatching(/^[a-z0-9_]+$/),
  });
  expect(body).toHaveProperty("detail");
}

let made = 0;
/** A new event of `tally`, with what the test says on top. */
export const add = (key: string, n = 1, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  type: "tally.add",
  id: `made-${++made}`,
  key,
  data: { n },
  ...more,
});

export async function gzip(data: string | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([data as string]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Texts and bytes as one run of bytes. */
export function bytes(...parts: readonly (string | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  return Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...encoder.encode(part)] : [...part])));
}
