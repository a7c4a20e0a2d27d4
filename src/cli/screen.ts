/**
 * Writes results to standard output, and everything else to standard error.
 *
 * SCREEN1. Colours only if the stream is a terminal that has them, and NO_COLOR isn't set.
 * SCREEN2. `print` resolves when the stream takes more, so that a scan of millions of keys is never held in memory.
 * SCREEN3. Output that can't be written ends the command with status 2: without a message if the reader has gone (`|
 *     head`), else with the reason. No stack is printed.
 * SCREEN4. Lines of one turn of the event loop are written together: a system call for each would take ten times as
 *     long as making it.
 * SCREEN5. A terminal gets no character that it would obey, or that would show a text in another order (text.ts). Any
 *     other output gets the text as it is.
 */
import type { Writable } from "node:stream";
import { styleText } from "node:util";
import { forTerminal, type Paint } from "./text.ts";

export const plain: Paint = (_, text) => text;

const coloured: Paint = (colour, text) => styleText(colour, text, { validateStream: false });

/** The part of a terminal that says whether it has colours. The terminal checks NO_COLOR and TERM by itself. */
type Stream = Writable & { readonly isTTY?: boolean; hasColors?(): boolean };

/** Characters that are written at a time. */
const HELD_CHARS = 64 * 1024;

export class Screen {
  readonly paint: Paint;
  readonly paintError: Paint;
  readonly #out: Stream;
  readonly #err: Stream;
  #held = "";
  #failure: NodeJS.ErrnoException | null = null;
  /** Writes under way. */
  #writing = 0;
  /** Callbacks of the callers that wait until the stream takes more. */
  #wake: (() => void)[] = [];

  constructor(out: Stream, err: Stream) {
    this.paint = paintOf(out);
    this.paintError = paintOf(err);
    this.#out = out;
    this.#err = err;
    out.on("drain", () => this.#awake());
    out.on("close", () => this.#awake());
    out.on("error", (error: NodeJS.ErrnoException) => {
      this.#failure ??= error;
      this.#awake();
    });
    // No stream is left for the message.
    err.on("error", () => undefined);
  }

  /** True if nothing more can be written. */
  get closed(): boolean {
    return this.#failure !== null;
  }

  /** Resolves when all output is written, with null, or with the reason why it isn't. */
  async end(): Promise<NodeJS.ErrnoException | null> {
    await this.flush();
    while (this.#writing > 0 && this.#failure === null) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#failure;
  }

  /** Prints a line of the result. */
  async print(line: string): Promise<void> {
    if (this.#held === "") setImmediate(() => void this.flush());
    this.#held += `${line}\n`;
    if (this.#held.length >= HELD_CHARS) await this.flush();
  }

  /** Resolves when the printed lines are on their way, and the stream takes more. */
  async flush(): Promise<void> {
    const text = this.#held;
    this.#held = "";
    if (text === "" || this.#failure !== null) return;
    this.#writing += 1;
    const written = (error?: Error | null): void => {
      this.#writing -= 1;
      // The stream may report the error here first.
      if (error) this.#failure ??= error;
      if (this.#writing === 0) this.#awake();
    };
    if (this.#out.write(this.#out.isTTY === true ? forTerminal(text) : text, written)) return;
    await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #awake(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** Prints a line for the user, after all lines printed before it. */
  say(line: string): void {
    void this.flush();
    this.#err.write(`${this.#err.isTTY === true ? forTerminal(line) : line}\n`);
  }
}

const paintOf = (stream: Stream): Paint =>
  stream.isTTY === true && stream.hasColors?.() === true && !process.env["NO_COLOR"] ? coloured : plain;
