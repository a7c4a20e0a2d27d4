/** A page, or a script in Node, that has nothing of the package but its client, and the types of an operator. */
import { client, KeyframeError } from "keyframe-streams/client";
import type { clicks } from "./clicks.ts";

const streams = client({ url: "https://streams.example" });

export async function click(button: string): Promise<number | string> {
  try {
    const answer = await streams.operator<typeof clicks>("clicks").ask("button.clicked", { button });
    return answer.tag === "applied" ? (answer.value?.clicks ?? 0) : answer.tag;
  } catch (error) {
    return error instanceof KeyframeError ? error.code : "unknown";
  }
}
