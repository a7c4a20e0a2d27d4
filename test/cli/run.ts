/** The command line, run inside the test: its arguments, and what it printed. */
import { Writable } from "node:stream";
import { runCli } from "../../src/cli/cli.ts";
import { Screen } from "../../src/cli/screen.ts";

export interface Ran {
  readonly status: number;
  readonly out: readonly string[];
  readonly err: string;
}

export async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  stdin = "",
  confirm: ((question: string) => Promise<boolean>) | null = null,
): Promise<Ran> {
  const [out, err] = [new Collected(), new Collected()];
  const cli = { screen: new Screen(out, err), env, stdin: () => Promise.resolve(stdin), confirm };
  const status = await runCli(args, cli);
  return { status, out: out.text.split("\n").slice(0, -1), err: err.text };
}

class Collected extends Writable {
  text = "";

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
