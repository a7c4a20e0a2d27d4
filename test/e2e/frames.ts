/** What a page's main thread does, turn by turn, from the browser's own trace. */
import type { Browser, Page } from "playwright-core";

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor; missing where the system doesn't count them. */
  readonly tdur?: number;
  readonly dur?: number;
  readonly args?: { readonly name?: string };
}

const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata"];

export class Frames {
  /** Of each turn, milliseconds, longest first. */
  readonly #turns: readonly number[];

  private constructor(turns: readonly number[]) {
    this.#turns = turns;
  }

  static async record(browser: Browser, page: Page, ms: number): Promise<Frames> {
    await browser.startTracing(page, { categories: CATEGORIES });
    await page.waitForTimeout(ms);
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    const main = traceEvents.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
    const threads = new Set(main.map(({ pid, tid }) => `${pid} ${tid}`));
    const tasks = traceEvents.filter(
      ({ name, ph, pid, tid }) => name.endsWith("RunTask") && ph === "X" && threads.has(`${pid} ${tid}`),
    );
    const turns = tasks.map(({ tdur, dur = 0 }) => (tdur ?? dur) / 1_000).sort((a, b) => b - a);
    if (turns.length === 0) throw new Error("the trace has no turns of a page's main thread");
    return new Frames(turns);
  }

  get count(): number {
    return this.#turns.length;
  }

  longest(n: number): readonly number[] {
    return this.#turns.slice(0, n);
  }
}
