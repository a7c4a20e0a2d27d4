/** A question of yes or no to the person at the terminal. Everything but a yes is a no, the end of the input too. */
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export async function confirmed(question: string, input: Readable, output: Writable): Promise<boolean> {
  output.write(question);
  const lines = createInterface({ input });
  const answer = await new Promise<string>((resolve) => lines.once("line", resolve).once("close", () => resolve("")));
  // An input that isn't paused keeps the process alive.
  lines.close();
  return /^\s*y(es)?\s*$/i.test(answer);
}
