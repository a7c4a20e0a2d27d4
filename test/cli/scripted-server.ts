/** An app for tests of the command line, which gives the answers that it is told, one after the other. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach } from "vitest";
import { asProblem } from "../client/problem.ts";
import { run, type Ran } from "./run.ts";

export interface Given {
  readonly status?: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type RanAgainst = Ran & { readonly requests: string[]; readonly heard: Heard[] };

/** Runs a command against an app that gives these answers, one after the other. Nobody is there to be asked. */
export const against = (answers: readonly Given[], ...args: string[]): Promise<RanAgainst> =>
  answered(answers, args, null);

/** The same, with a person who answers questions. */
export async function answered(
  answers: readonly Given[],
  args: readonly string[],
  confirm: ((question: string) => Promise<boolean>) | null,
): Promise<RanAgainst> {
  const heard: Heard[] = [];
  const left = [...answers];
  server = createServer((request, response) => {
    void text(request).then((body) => {
      heard.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
      const { status = 200, body: answer, headers = {} } = left.shift() ?? { status: 500, body: "unexpected" };
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof answer === "string" ? answer : JSON.stringify(asProblem(status, answer)));
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ran = await run(args, { KEYFRAME_URL: url, KEYFRAME_TOKEN: "secret-token" }, "", confirm);
  return { ...ran, heard, requests: heard.map(({ line }) => line) };
}

interface Heard {
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}
