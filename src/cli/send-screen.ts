/** The progress of sending: one line that is redrawn on a terminal, else a line now and then. */

import { forTerminal } from "./text.ts";

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const DRAW_MS = 100;
const LINE_MS = 10_000;

export class ProgressLine {
  readonly #out: Output;
  readonly #startMs: number;
  #startShare: number | null = null;
  #lastMs: number;
  #drawn = false;
  /** The reason for waiting, or null. */
  #waiting: string | null = null;

  constructor(out: Output, nowMs: number) {
    this.#out = out;
    this.#startMs = nowMs;
    this.#lastMs = nowMs;
  }

  /** `share` is the part that an earlier run has done. Only the first call counts. */
  begin(share: number): void {
    this.#startShare ??= share;
  }

  /** Says each reason once. */
  waits(why: string, patienceMs: number): void {
    if (this.#waiting === why) return;
    this.clear();
    const text = `retrying for ${span(patienceMs / 1_000)}: ${why}`;
    this.#out.write(`${this.#out.isTTY === true ? forTerminal(text) : text}\n`);
    this.#waiting = why;
  }

  /** `events` in all, `now` of them in this run. */
  show(events: number, now: number, share: number | null, nowMs: number): void {
    const terminal = this.#out.isTTY === true;
    if (this.#waiting !== null) this.#out.write("resumed\n");
    this.#waiting = null;
    if (nowMs - this.#lastMs < (terminal ? DRAW_MS : LINE_MS)) return;
    this.#lastMs = nowMs;
    const text = this.#text(events, now, share, nowMs);
    this.#out.write(terminal ? `\r\x1b[2K${text}` : `${text}\n`);
    this.#drawn = terminal;
  }

  #text(events: number, now: number, share: number | null, nowMs: number): string {
    const seconds = Math.max(0.001, (nowMs - this.#startMs) / 1_000);
    const parts = [
      `${events.toLocaleString("en-US")} events`,
      `${Math.round(now / seconds).toLocaleString("en-US")} a second`,
    ];
    if (share !== null) {
      const done = share - (this.#startShare ?? 0);
      parts.splice(1, 0, `${Math.floor(share * 100)} %`);
      if (done > 0) parts.push(`${span(((1 - share) / done) * seconds)} left`);
    }
    return parts.join(", ");
  }

  /** Call this before any other output. */
  clear(): void {
    if (this.#drawn) this.#out.write("\r\x1b[2K");
    this.#drawn = false;
  }
}

/** 7 s, 3:07, 1:03:07. */
function span(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const [h, m, s] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
