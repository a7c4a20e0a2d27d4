/*
 * The output of the demo: lines with a label in front, and a progress bar below them.
 *
 * A terminal gets a bar that is redrawn in place. Any other output gets a line at every tenth.
 */
import { count } from "../client/amounts.ts";

const LABEL_WIDTH = 10;
const BAR_WIDTH = 24;
const TENTHS = 10;

export class DemoScreen {
  readonly #out: NodeJS.WriteStream;
  readonly #total: number;
  #done = 0;
  #startedAt: number | null = null;
  #pausedMs = 0;
  #pausedAt: number | null = null;
  #tenths = 0;

  constructor(out: NodeJS.WriteStream, total: number) {
    this.#out = out;
    this.#total = total;
  }

  line(label: string, text: string): void {
    this.#clearBar();
    this.#out.write(`  ${this.#dim(label.padEnd(LABEL_WIDTH))}${text}\n`);
    this.#drawBar();
  }

  plain(text: string): void {
    this.#clearBar();
    this.#out.write(`${text}\n`);
    this.#drawBar();
  }

  progress(done: number): void {
    this.#startedAt ??= performance.now();
    this.#done = done;
    if (this.#out.isTTY) this.#drawBar();
    else this.#writeTenth();
  }

  /** Stops the clock of the rate while no app takes events. */
  pause(): void {
    this.#pausedAt ??= performance.now();
  }

  resume(): void {
    if (this.#pausedAt !== null) this.#pausedMs += performance.now() - this.#pausedAt;
    this.#pausedAt = null;
  }

  /** Leaves the full bar as a line. */
  finishBar(): void {
    if (!this.#out.isTTY) return;
    this.#drawBar();
    this.#out.write("\n");
    this.#startedAt = null;
  }

  #writeTenth(): void {
    const tenths = Math.floor((this.#done / this.#total) * TENTHS);
    if (tenths <= this.#tenths) return;
    this.#tenths = tenths;
    this.#out.write(`  ${"stream".padEnd(LABEL_WIDTH)}${this.#bar()}\n`);
  }

  #clearBar(): void {
    if (this.#out.isTTY && this.#startedAt !== null) this.#out.write("\r\x1b[2K");
  }

  #drawBar(): void {
    if (!this.#out.isTTY || this.#startedAt === null) return;
    this.#out.write(`\r\x1b[2K  ${this.#dim("stream".padEnd(LABEL_WIDTH))}${this.#bar()}`);
  }

  #bar(): string {
    const filled = Math.round((this.#done / this.#total) * BAR_WIDTH);
    const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
    return `${bar}  ${count(this.#done)} of ${count(this.#total)}${this.#rate()}`;
  }

  #rate(): string {
    if (this.#startedAt === null) return "";
    const now = this.#pausedAt ?? performance.now();
    const seconds = (now - this.#startedAt - this.#pausedMs) / 1000;
    return seconds < 0.2 ? "" : `, ${count(Math.round(this.#done / seconds))} a second`;
  }

  #dim(text: string): string {
    return this.#out.isTTY && process.env["NO_COLOR"] === undefined ? `\x1b[2m${text}\x1b[0m` : text;
  }
}
