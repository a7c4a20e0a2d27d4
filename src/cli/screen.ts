/**
 * Where output goes: results to standard output, everything else to standard error.
 *
 * SCREEN1. Colours only where the stream is a terminal that has them, and NO_COLOR isn't set.
 * SCREEN2. `print` resolves when the stream takes more, so that a scan of millions of keys is never held in memory.
 * SCREEN3. What can't be written ends the command with status 2: without a word where the reader has gone (`| head`), else with the
 *     reason. Never with a stack.
 * SCREEN4. Lines are written together as far as they come in one turn of the event loop: a system call for each would take ten times
 *     as long as making it.
 * SCREEN5. A terminal gets no character that it would obey, or that would show a text in another order (text.ts). Everything else
 *     gets the text as it is.
 */
import type { Writable } from "node:stream";
import { styleText } from "node:util";
import { forTerminal, type Paint } from "./text.ts";

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
  #failure: NodeJS.ErrnoException | null = null;
  /** Writes under way. */
  #writing = 0;
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
      this.#failure ??= error;
      this.#awake();
    });
    // There is nowhere to say it.
    err.on("error", () => undefined);
  }

  /** Nothing more can be written. */
  get closed(): boolean {
    return this.#failure !== null;
  }

  /** Resolves when all that was printed is written: null, or why it isn't. */
  async end(): Promise<NodeJS.ErrnoException | null> {
    await this.flush();
    while (this.#writing > 0 && this.#failure === null) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#failure;
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
    if (text === "" || this.#failure !== null) return;
    this.#writing += 1;
    const written = (error?: Error | null): void => {
      this.#writing -= 1;
      // The stream may tell it here first.
      if (error) this.#failure ??= error;
      if (this.#writing === 0) this.#awake();
    };
    if (this.#out.write(this.#out.isTTY === true ? forTerminal(text) : text, written)) return;
    await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #awake(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** A line for whoever is watching, after what was printed before it. */
  say(line: string): void {
    void this.flush();
    this.#err.write(`${this.#err.isTTY === true ? forTerminal(line) : line}\n`);
  }
}

const paintOf = (stream: Stream): Paint =>
  stream.isTTY === true && stream.hasColors?.() === true && !process.env["NO_COLOR"] ? coloured : plain;
