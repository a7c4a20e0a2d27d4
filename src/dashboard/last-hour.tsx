/** The counts of each minute of the last hour, beside the events, as bars small enough for a phone. */
import type { LastHour, OperatorGlance } from "../client/admin-answers.ts";
import { span, count } from "../client/amounts.ts";
import { minuteTime } from "./text.ts";

interface Bars {
  readonly name: string;
  /** The value in a minute, or null if there is none. */
  readonly values: readonly (number | null)[];
  readonly total: string;
  readonly tone: "" | "note" | "bad";
  readonly shown: (n: number) => string;
}

export function LastHourCharts({ operators }: { readonly operators: readonly OperatorGlance[] }) {
  const hour = togetherOf(operators.map(({ lastHour }) => lastHour));
  if (hour === null) return null;
  return (
    <>
      <h3 class="hour-title">The last hour, by the minute</h3>
      <ul class="hour" aria-label="In the last hour, by the minute">
        {barsOf(hour).map((bars) => (
          <Chart key={bars.name} bars={bars} from={hour.from} />
        ))}
      </ul>
    </>
  );
}

const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);
const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((n, i) => n + (b[i] ?? 0));

/** The sum over all operators, or null if there is none. */
export function togetherOf(all: readonly LastHour[]): LastHour | null {
  const [first, ...rest] = all;
  if (first === undefined) return null;
  return rest.reduce(
    ({ from, ...sums }, hour) => ({ from, ...mapped(sums, (name) => plus(sums[name], hour[name])) }),
    first,
  );
}

type Counts = Omit<LastHour, "from">;
const mapped = (counts: Counts, of: (name: keyof Counts) => number[]): Counts =>
  Object.fromEntries(Object.keys(counts).map((name) => [name, of(name as keyof Counts)])) as unknown as Counts;

function barsOf(hour: LastHour): Bars[] {
  const { refused, quarantined, duplicates, reused, snapshotFailures, commitMs, commits } = hour;
  const rejected = sum(reused);
  const of = (name: string, values: readonly number[], tone: Bars["tone"]): Bars => ({
    name,
    values,
    total: count(sum(values)),
    tone: sum(values) === 0 ? "" : tone,
    shown: count,
  });
  const all = sum(commits);
  const means = commits.map((n, i) => (n === 0 ? 0 : commitMs[i]! / n));
  return [
    of("duplicates", duplicates, ""),
    ...(rejected === 0 ? [] : [of("ids reused", reused, "note")]),
    of("refused", refused, ""),
    of("quarantined", quarantined, "note"),
    of("failed snapshots", snapshotFailures, "bad"),
    {
      name: "commit",
      values: commits.map((n, i) => (n === 0 ? null : means[i]!)),
      total: all === 0 ? "–" : `${span(sum(commitMs) / all)}, at most ${span(Math.max(...means))}`,
      tone: "",
      shown: span,
    },
  ];
}

function Chart({ bars, from }: { readonly bars: Bars; readonly from: string }) {
  const { name, values, total, tone, shown } = bars;
  const most = Math.max(1e-9, ...values.map((n) => n ?? 0));
  const peak = values.findIndex((n) => n === most);
  const said = peak < 0 ? "" : `, the most at ${minuteTime(from, peak)}: ${shown(most)}`;
  return (
    <li class={tone} title={`${name} in the last hour: ${total}${said}`}>
      <span>{name}</span> <b>{total}</b>
      <svg viewBox={`0 0 ${values.length * 2} 20`} preserveAspectRatio="none" aria-hidden="true">
        <path d={values.map((n, i) => (n ? `M${2 * i + 1} 20v${-Math.max(1.5, (n / most) * 20)}` : "")).join("")} />
      </svg>
    </li>
  );
}
