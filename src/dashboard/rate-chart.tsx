/** Events per second over the last hour: by the minute before the page was opened, then by overview. */
import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { lastOverview, samples } from "./live.ts";
import { curveOf, pastOf, rateOf, type Sample } from "./rates.ts";
import { count } from "../client/amounts.ts";
import { rate } from "./text.ts";
import { scheme } from "./theme.ts";

const HEIGHT = 150;
const SPAN_SEC = 3_600;
const FONT = "11px ui-sans-serif, system-ui, sans-serif";

/** `operator`: of this one alone. */
export function RateChart({ operator }: { readonly operator?: string }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const at = box.current!;
    let chart: uPlot | null = null;
    let width = at.clientWidth;
    const draw = effect(() => {
      void scheme.value;
      chart?.destroy();
      chart = new uPlot(optionsOf(at, width), dataOf(samples.peek(), operator), at);
    });
    const feed = effect(() => chart?.setData(dataOf(samples.value, operator)));
    const resized = new ResizeObserver(() => {
      if (at.clientWidth === width || at.clientWidth === 0) return;
      width = at.clientWidth;
      chart?.setSize({ width, height: HEIGHT });
    });
    resized.observe(at);
    return () => {
      resized.disconnect();
      feed();
      draw();
      chart?.destroy();
    };
  }, [operator]);
  const now = rateOf(samples.value, operator);
  const label = now === null ? "Events per second, not known yet" : `Events per second: ${rate(now)} now`;
  return <div ref={box} class="chart" role="img" aria-label={label} />;
}

function dataOf(all: readonly Sample[], operator: string | undefined): [number[], (number | null)[]] {
  const [times, rates] = curveOf(all, operator);
  const operators =
    lastOverview.peek()?.operators.filter(({ name }) => operator === undefined || name === operator) ?? [];
  const [earlier, before] = pastOf(operators, all[0]?.at ?? 0);
  return [
    [...earlier, ...times],
    [...before, ...rates],
  ];
}

function optionsOf(at: HTMLElement, width: number): uPlot.Options {
  const [ink, line, accent, wash] = ["--ink-2", "--line", "--accent", "--wash"].map((name) => colour(at, name));
  const axis = { stroke: ink!, font: FONT, grid: { stroke: line!, width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    padding: [8, 8, 0, 0],
    scales: {
      x: { time: true, range: (_, __, last) => [(last ?? 0) - SPAN_SEC, last ?? 0] },
      // A lower bound for the scale, so that a few events don't fill it.
      y: { range: (_, __, most) => [0, Math.max(10, (most ?? 0) * 1.15)] },
    },
    series: [
      {},
      { stroke: accent!, fill: wash!, width: 1.5, points: { show: false }, paths: uPlot.paths.stepped!({ align: -1 }) },
    ],
    axes: [
      { ...axis, grid: { show: false }, size: 26, space: 90, values: (_, ticks) => ticks.map(timeOfDay) },
      { ...axis, size: 52, space: 26, values: (_, ticks) => ticks.map((tick) => (tick % 1 === 0 ? count(tick) : "")) },
    ],
  };
}

const timeOfDay = (sec: number): string =>
  new Date(sec * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** Reads a colour of the style sheet, since a canvas knows no variables. */
function colour(at: HTMLElement, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  at.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
