/**
 * The `console` blocks of a page: commands (`$`) with their output, where `…` stands for anything. A test runs them in
 * order, and compares.
 */
import { spawn } from "node:child_process";

export interface ConsoleStep {
  readonly command: string;
  readonly prints: string;
}

/** Returns the fenced blocks of a page, each with its kind. */
export const blocksOf = (page: string): { readonly kind: string; readonly text: string }[] =>
  [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, kind, text]) => ({ kind: kind!, text: text! }));

/** Returns the commands of a `console` block. A command continues to the end of its here-document. */
export function commandsOf(block: string): ConsoleStep[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [, here] = /^.*<<'END'\n([^]*?^END\n)/m.exec(part) ?? [];
      const end = here === undefined ? part.indexOf("\n") + 1 : part.indexOf(here) + here.length;
      return { command: part.slice(0, end).trimEnd(), prints: part.slice(end) };
    });
}

/** The whole output, to the letter but for what stands for anything. */
export function patternOf(prints: string): RegExp {
  const letters = prints.trimEnd().replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`^${letters.replaceAll("…", "[^]*?")}\\s*$`);
}

/** A reader's terminal: it has a folder, and knows the status of the command before. */
export class Terminal {
  readonly #folder: string;
  readonly #prelude: string;
  #status = 0;

  /** `prelude`: shell functions that stand for programs. */
  constructor(folder: string, prelude: string) {
    this.#folder = folder;
    this.#prelude = prelude;
  }

  /** Returns what the command printed. */
  async run(command: string, env: Readonly<Record<string, string | undefined>>): Promise<string> {
    const script = `exec 2>&1\n${this.#prelude}\n(exit ${this.#status})\n${command}`;
    const child = spawn("bash", ["-c", script], {
      cwd: this.#folder,
      env: { ...process.env, NO_COLOR: "1", NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (out += text));
    this.#status = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
    return out;
  }
}
