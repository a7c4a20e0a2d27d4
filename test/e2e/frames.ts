/** The turns of a page's main thread, from the browser's own trace. */
import type { Browser, Page } from "playwright-core";

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  /** Microseconds since some beginning. */
  readonly ts: number;
  readonly tid: number;
  /** Microseconds of the processor; missing where the system doesn't count them. */
  readonly tdur?: number;
  readonly dur?: number;
  readonly args?: { readonly name?: string };
}

const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata"];

export class Frames {
  /** In their order: when each began, and how long it took, milliseconds. */
  readonly #turns: readonly (readonly [at: number, ms: number])[];

  private constructor(turns: readonly (readonly [number, number])[]) {
    this.#turns = turns;
  }

  static async record(browser: Browser, page: Page, ms: number): Promise<Frames> {
    await browser.startTracing(page, { categories: CATEGORIES });
    await page.waitForTimeout(ms);
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    const main = traceEvents.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
    const threads = new Set(main.map(({ pid, tid }) => `${pid} ${tid}`));
    const tasks = traceEvents.filter(
      ({ name, ph, pid, tid }) => name === "RunTask" && ph === "X" && threads.has(`${pid} ${tid}`),
    );
    tasks.sort((a, b) => a.ts - b.ts);
    const turns = tasks.map(({ ts, tdur, dur = 0 }) => [ts / 1_000, (tdur ?? dur) / 1_000] as const);
    if (turns.length === 0) throw new Error("the trace has no turns of a page's main thread");
    return new Frames(turns);
  }

  get count(): number {
    return this.#turns.length;
  }

  longest(n: number): readonly number[] {
    return longestOf(
      n,
      this.#turns.map(([, ms]) => ms),
    );
  }

  /** Turns that follow on each other within 100 ms, as one: an update and what draws it. */
  busiest(n: number): readonly number[] {
    const bursts: number[] = [];
    let begun = Number.NEGATIVE_INFINITY;
    for (const [at, ms] of this.#turns) {
      if (at - begun < 100) bursts.push(bursts.pop()! + ms);
      else {
        begun = at;
        bursts.push(ms);
      }
    }
    return longestOf(n, bursts);
  }
}

const longestOf = (n: number, all: readonly number[]): readonly number[] => [...all].sort((a, b) => b - a).slice(0, n);
