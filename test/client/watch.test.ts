/** Watching a key, against a real server of server-sent events on this machine that is written from docs/reference/api.md. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { client } from "../../src/client/client.ts";
import { systemClock, type ClientClock } from "../../src/client/clock.ts";
import { EventStream } from "../../src/client/event-stream.ts";
import { Http } from "../../src/client/http.ts";
import { asProblem } from "./problem.ts";
import { Patience } from "../../src/client/patience.ts";
import { watchStates } from "../../src/client/watch.ts";
import type { credits } from "../../src/operators/credits.ts";

type Connection = (response: ServerResponse, request: IncomingMessage) => void;

let server: Server | null = null;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
  server = null;
});

/** Each connection is served by the next of these; the last serves the rest. */
async function serve(...connections: Connection[]): Promise<{ url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  server = createServer((request, response) => {
    const serving = connections[Math.min(requests.push(request), connections.length) - 1]!;
    serving(response, request);
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

const stream = (response: ServerResponse, ...lefts: number[]): void => {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.write(": hello\n\nretry: 1\n\n");
  for (const left of lefts) response.write(message(left));
};
const message = (left: number): string =>
  `id: ${left}\ndata: ${JSON.stringify({ key: "a b", value: { left, taken: 0 }, seq: left })}\n\n`;

const watching = (url: string) =>
  client({ url, token: "secret", retry: { firstMs: 1, mostMs: 20, overallMs: 2_000 } }).operator<typeof credits>(
    "credits",
  );

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("watch", () => {
  it("gives the value now, then each change, and continues after a broken connection with what is new", async () => {
    const { url, requests } = await serve(
      (response) => {
        stream(response, 1, 2);
        // Once it has arrived: what a killed server had in its buffers is lost.
        setTimeout(() => response.destroy(), 30);
      },
      (response) => void response.writeHead(503, { "retry-after": "0" }).end("{}"),
      (response) => {
        stream(response, 2, 3);
        response.end();
      },
      (response) => stream(response, 3, 4),
    );
    const lefts: (number | undefined)[] = [];
    for await (const { value } of watching(url).watch("a b")) {
      lefts.push(value?.left);
      if (lefts.length === 4) break;
    }
    expect(lefts).toEqual([1, 2, 3, 4]);
    expect(requests.map((request) => [request.url, request.headers["last-event-id"]])).toEqual([
      ["/v1/operators/credits/watch?key=a%20b", undefined],
      ["/v1/operators/credits/watch?key=a%20b", "2"],
      ["/v1/operators/credits/watch?key=a%20b", "2"],
      ["/v1/operators/credits/watch?key=a%20b", "3"],
    ]);
    expect(requests[0]!.headers.authorization).toBe("Bearer secret");
  });

  it("ends with its signal, and closes the connection", async () => {
    let closed: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const { url } = await serve((response) => {
      response.on("close", closed);
      stream(response, 1);
    });
    const stop = new AbortController();
    const seen: (number | null)[] = [];
    for await (const { seq } of watching(url).watch("a", { signal: stop.signal })) {
      seen.push(seq);
      stop.abort();
    }
    await gone;
    expect(seen).toEqual([1]);
    expect(await all(watching(url).watch("a", { signal: stop.signal }))).toEqual([]);
  });

  it("ends while it waits for the next attempt", async () => {
    const { url, requests } = await serve((response) => void response.writeHead(503, { "retry-after": "1" }).end("{}"));
    const stop = new AbortController();
    const values = all(watching(url).watch("a", { signal: stop.signal }));
    while (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    setTimeout(() => stop.abort(), 20);
    expect(await values).toEqual([]);
    expect(requests).toHaveLength(1);
  });

  it("continues after a connection that was quiet for longer than it would wait for one", async () => {
    const { url } = await serve(
      (response) => {
        stream(response, 1);
        setTimeout(() => response.destroy(), 300);
      },
      // Its key doesn't change, so it says nothing but that it is there.
      (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(": here\n\n");
        setTimeout(() => response.destroy(), 300);
      },
      (response) => stream(response, 2),
    );
    const of = client({ url, retry: { firstMs: 1, mostMs: 1, overallMs: 200 } }).operator<typeof credits>("credits");
    const seqs: (number | null)[] = [];
    for await (const { seq } of of.watch("a")) {
      seqs.push(seq);
      if (seqs.length === 2) break;
    }
    expect(seqs).toEqual([1, 2]);
  });

  it("a connection that is silent for longer than the server ever is, is made anew", async () => {
    const { url, requests } = await serve(
      (response) => stream(response, 1),
      (response) => stream(response, 2),
    );
    const clock: ClientClock = {
      ...systemClock,
      // A minute passes at once, but for the time to connect.
      after: (ms, then) => systemClock.after(ms > 60_000 ? 200 : ms, then),
    };
    const http = new Http({ url, token: null, fetch: (to, init) => fetch(to, init), clock, attemptMs: 1_000 });
    const patience = (): Patience => new Patience(clock, Math.random, { firstMs: 1, mostMs: 1, overallMs: 5_000 });
    const seqs: (number | null)[] = [];
    for await (const { seq } of watchStates({ http, patience, path: "/watch" }, {})) {
      seqs.push(seq);
      if (seqs.length === 2) break;
    }
    expect([seqs, requests.length]).toEqual([[1, 2], 2]);
  });

  it("throws what no attempt betters, and gives up where none succeeds", async () => {
    const body = JSON.stringify(asProblem(404, { code: "no_operator", detail: "there is none" }));
    const { url } = await serve(
      (response) => void response.writeHead(404).end(body),
      (response) => void response.destroy(),
    );
    const of = watching(url);
    await expect(of.watch("a").next()).rejects.toMatchObject({ code: "no_operator", status: 404 });
    await expect(of.watch("a").next()).rejects.toMatchObject({ code: "gave_up", status: null });
  });
});

describe("an event stream", () => {
  const messages = (text: string, size: number) => {
    const stream = new EventStream();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...stream.push(text.slice(at, at + size)));
    return { found, id: stream.lastId, retry: stream.retryMs };
  };

  it.each([1, 2, 3, 7, 1_000])("is read alike however it is cut: %i", (size) => {
    const text =
      "\uFEFF:comment\rdata:1\r\ndata: 2\n\r\nevent: change\ndata\nid: 7\nretry: 250\n\nevent: empty\n\nid\nretry: x\ndata:  two blanks\r\rdata: unfinished";
    expect(messages(text, size)).toEqual({
      found: [
        { event: "message", data: "1\n2" },
        { event: "change", data: "" },
        { event: "message", data: " two blanks" },
      ],
      id: "",
      retry: 250,
    });
  });

  it("is no place for a message without end", () => {
    const stream = new EventStream();
    const push = (): void => {
      for (let i = 0; i < 9; i++) stream.push(`data: ${"x".repeat(1_000_000)}\n`);
    };
    expect(push).toThrow(RangeError);
  });
});
