import { CURSOR_FLAW } from "../api/common.ts";
import { installedApp } from "../app.ts";
import { problem } from "../problem.ts";
import type { PartitionAnswer } from "../rpc.ts";

/** Calls a partition, and retries a few times with a new stub while its instance is being replaced. */
export async function askPartition<T>(call: () => Promise<PartitionAnswer<T>>): Promise<PartitionAnswer<T>> {
  for (let attempt = 0; ; attempt++) {
    let answer: PartitionAnswer<T>;
    try {
      answer = await call();
    } catch {
      answer = { tag: "busy", code: "partition_gone", message: "the partition's object went away during the call" };
    }
    // Main may be another line by now.
    if (answer.tag === "busy" && answer.code === "line_sealed") installedApp().forget();
    const passing = answer.tag === "busy" && (answer.code === "partition_gone" || answer.code === "fenced");
    if (!passing || attempt >= 4) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10 * 2 ** attempt));
  }
}

export const unavailable = ({ code, message }: { readonly code: string; readonly message: string }): Response =>
  problem({ status: 503, code, detail: message });

/** Builds a JSON answer from texts, so that states are spliced in without parsing. */
export const json = (text: string, headers: Record<string, string> = {}): Response =>
  new Response(text, { headers: { "content-type": "application/json", ...headers } });

export const badCursor = (): Response => problem(CURSOR_FLAW);
