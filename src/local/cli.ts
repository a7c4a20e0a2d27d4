/* The command line of this project, run as a person runs it: in a process of its own, without a terminal. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { PROJECT_DIR } from "./config.ts";
import { projectNode } from "./wrangler.ts";

export interface Ran {
  readonly status: number | null;
  /** Lines of standard output and standard error. */
  readonly printed: string[];
  readonly said: string[];
}

/** `url`: the app. The signal ends the process. */
export async function runCommandLine(args: readonly string[], url: string, signal: AbortSignal): Promise<Ran> {
  const child = spawn(projectNode(), [join(PROJECT_DIR, "src", "cli", "main.ts"), ...args], {
    env: { ...process.env, KEYFRAME_URL: url, KEYFRAME_TOKEN: "", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    signal,
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [status, printed, said] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { status, printed: linesOf(printed), said: linesOf(said) };
}

const linesOf = (output: string): string[] => output.split("\n").filter((line) => line !== "");
