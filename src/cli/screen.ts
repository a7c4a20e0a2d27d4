/**
 * Where output goes: results to standard output, everything else to standard error.
 *
 * O1. Colours only where the stream is a terminal that has them, and NO_COLOR isn't set.
 * O2. `print` resolves when the stream takes more, so that a scan of millions of keys is never held in memory.
 * O3. A reader that has read enough (`| head`) ends the command without a word.
 */
import { once } from "node:events";
import type { Writable } from "node:stream";
import { styleText } from "node:util";

type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";
export type Paint = (colour: Colour, text: string) => string;

export const plain: Paint = (_, text) => text;
const coloured: Paint = (colour, text) => styleText(colour, text, { validateStream: false });

/** The part of a terminal that says whether it has colours; it looks at NO_COLOR and TERM by itself. */
type Stream = Writable & { readonly isTTY?: boolean; hasColors?(): boolean };

export class Screen {
  readonly paint: Paint;
  readonly paintError: Paint;
  readonly #out: Stream;
  readonly #err: Stream;
  #closed = false;

  constructor(out: Stream, err: Stream) {
    this.#out = out;
    this.#err = err;
    this.paint = paintOf(out);
    this.paintError = paintOf(err);
    out.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      this.#closed = true;
    });
  }

  /** Nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get colourful(): boolean {
    return this.paint !== plain;
  }

  /** A line of the result. */
  async print(line: string): Promise<void> {
    if (this.#closed || this.#out.write(`${line}\n`)) return;
    await Promise.race([once(this.#out, "drain"), once(this.#out, "close")]).catch(() => undefined);
  }

  /** A line for whoever is watching. */
  say(line: string): void {
    this.#err.write(`${line}\n`);
  }
}

const paintOf = (stream: Stream): Paint =>
  stream.isTTY === true && stream.hasColors?.() === true && !process.env["NO_COLOR"] ? coloured : plain;
