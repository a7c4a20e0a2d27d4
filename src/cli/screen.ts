/**
 * Where output goes: results to standard output, everything else to standard error.
 *
 * O1. Colours only where the stream is a terminal that has them, and NO_COLOR isn't set.
 * O2. `print` resolves when the stream takes more, so that a scan of millions of keys is never held in memory.
 * O3. A reader that has read enough (`| head`) ends the command without a word.
 * O4. Lines are written together as far as they come in one turn of the event loop: a system call for each would take ten times
 *     as long as making it.
 */
import type { Writable } from "node:stream";
import { styleText } from "node:util";

type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";
export type Paint = (colour: Colour, text: string) => string;

export const plain: Paint = (_, text) => text;
const coloured: Paint = (colour, text) => styleText(colour, text, { validateStream: false });

/** The part of a terminal that says whether it has colours; it looks at NO_COLOR and TERM by itself. */
type Stream = Writable & { readonly isTTY?: boolean; hasColors?(): boolean };

/** Characters that are written at a time. */
const HELD_CHARS = 64 * 1024;

export class Screen {
  readonly paint: Paint;
  readonly paintError: Paint;
  readonly #out: Stream;
  readonly #err: Stream;
  #held = "";
  #closed = false;
  /** Of whoever waits for the stream to take more. */
  #wake: (() => void)[] = [];

  constructor(out: Stream, err: Stream) {
    this.paint = paintOf(out);
    this.paintError = paintOf(err);
    this.#out = out;
    this.#err = err;
    out.on("drain", () => this.#awake());
    out.on("close", () => this.#awake());
    out.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      this.#closed = true;
      this.#awake();
    });
  }

  /** Nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** A line of the result. */
  async print(line: string): Promise<void> {
    if (this.#held === "") setImmediate(() => void this.flush());
    this.#held += `${line}\n`;
    if (this.#held.length >= HELD_CHARS) await this.flush();
  }

  /** Resolves when what was printed is on its way, and the stream takes more. */
  async flush(): Promise<void> {
    const text = this.#held;
    this.#held = "";
    if (text === "" || this.#closed || this.#out.write(text)) return;
    await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #awake(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** A line for whoever is watching, after what was printed before it. */
  say(line: string): void {
    void this.flush();
    this.#err.write(`${line}\n`);
  }
}

const paintOf = (stream: Stream): Paint =>
  stream.isTTY === true && stream.hasColors?.() === true && !process.env["NO_COLOR"] ? coloured : plain;
