/**
 * `GET /v1/operators/{op}/export`: every key of an operator as NDJSON, streamed.
 *
 * EXPORTROUTE1. All partitions are captured before the first byte is sent, each at one seq (engine/snapshot/reads.ts).
 *     Then they are read one after the other, at the client's pace.
 * EXPORTROUTE2. The status is sent long before the end, so the last line says whether the export is complete. An export
 *     without that line broke off.
 */
import type { Address, Route } from "../../engine/operator/routing.ts";
import { END_CHARS, keysOfEnd } from "../../engine/snapshot/reads.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import type { Env } from "../env.ts";
import type { ExportPage } from "../rpc.ts";
import { notAllowed } from "../problem.ts";
import { unavailable } from "../http/answers.ts";
import { momentGone } from "./moments.ts";
import { sourceOf } from "./state-source.ts";
import { atOf } from "./state-routes.ts";
import { note } from "../note.ts";

const FORMAT = "keyframe.export";
const VERSION = 1;

type Captured = ExportPage & { readonly address: Address };

export async function exportOperator(
  request: Request,
  env: Env,
  route: Route,
  query: URLSearchParams,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const { operator, addresses } = route;
  // HEAD would capture every partition for nothing.
  if (request.method !== "GET") return notAllowed(["GET"], "an export is read with GET");
  const asking = query.get("prefix") ?? "";
  // Narrow the requested prefix to the keys that the caller may see.
  const prefix = keyPrefix.startsWith(asking) ? keyPrefix : asking;
  if (!prefix.startsWith(keyPrefix)) return keyNotAllowed(asking);
  const source = await sourceOf(env, route, query.get("at") ?? undefined);
  if (source instanceof Response) return source;
  const answers = await Promise.all(addresses.map((address) => source.capture(address, prefix)));
  const captured = answers.flatMap((answer, i) =>
    answer.tag === "ok" ? [{ ...answer.value, address: addresses[i]! }] : [],
  );
  const none = answers.find((answer) => answer.tag !== "ok");
  if (none !== undefined) {
    await Promise.all(captured.map(({ lines }) => lines.cancel().catch(() => undefined)));
    return none.tag === "gone" ? momentGone(none) : unavailable(none);
  }
  const partitions = captured.map(({ address: { partition }, seq, time }) => ({ partition, seq, time }));
  const head = {
    format: FORMAT,
    v: VERSION,
    operator: operator.name,
    operatorVersion: operator.version,
    prefix,
    ...atOf(source),
    partitions,
  };
  return new Response(
    streamOf(bytesOf(head, captured), () => cancelAll(captured)),
    {
      headers: { "content-type": "application/x-ndjson" },
    },
  );
}

const encoder = new TextEncoder();
const line = (value: object): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);

async function* bytesOf(head: object, captured: readonly Captured[]): AsyncGenerator<Uint8Array> {
  yield line(head);
  let keys = 0;
  for (const one of captured) {
    const end = new Tail();
    try {
      for await (const bytes of piecesOf(one.lines)) {
        end.push(bytes);
        yield bytes;
      }
      const count = keysOfEnd(end.text());
      if (count === null) throw new Error("it broke off");
      keys += count;
    } catch (error) {
      const { partition } = one.address;
      note("export broke off", { operator: one.address.operator, partition, error: messageOf(error) });
      await cancelAll(captured);
      const why = `partition ${partition} could not be read to its end; export again`;
      // The bytes before may have ended within a line.
      yield encoder.encode("\n");
      return yield line({ end: true, complete: false, code: "export_interrupted", detail: why });
    }
  }
  yield line({ end: true, complete: true, keys });
}

async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // If the client stops early, the partition must not keep the captured keys in memory.
    await reader.cancel().catch(() => undefined);
  }
}

const cancelAll = async (captured: readonly Captured[]): Promise<void> => {
  const open = captured.filter(({ lines }) => !lines.locked);
  await Promise.all(open.map(({ lines }) => lines.cancel().catch(() => undefined)));
};

/** Keeps the last bytes of a stream. */
class Tail {
  #bytes = new Uint8Array(0);

  push(bytes: Uint8Array): void {
    if (bytes.length >= END_CHARS) this.#bytes = bytes.slice(-END_CHARS);
    else {
      const both = new Uint8Array(this.#bytes.length + bytes.length);
      both.set(this.#bytes);
      both.set(bytes, this.#bytes.length);
      this.#bytes = both.slice(-END_CHARS);
    }
  }

  /** The bytes are cut anywhere, so the first character may be incomplete. */
  text(): string {
    return new TextDecoder().decode(this.#bytes);
  }
}

/** Returns a stream that makes its next piece only when it is read. */
function streamOf(pieces: AsyncGenerator<Uint8Array>, cancelled: () => Promise<void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return(undefined);
      await cancelled();
    },
  });
}
