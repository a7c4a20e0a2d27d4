/**
 * Events per second, from two overviews: `appliedSeq` counts every event that got a place in the log.
 *
 * A rate covers about ten seconds, so that it can be read; the curve shows each step.
 */
import type { LastHour, OperatorGlance, Overview } from "../client/admin-answers.ts";

export interface Sample {
  /** Milliseconds, by the app's clock. */
  readonly at: number;
  /** Operator -> its partitions' seqs. */
  readonly seqs: ReadonlyMap<string, readonly number[]>;
}

/** Five minutes at the pace of overviews. */
export const SAMPLES = 160;
const WINDOW_MS = 10_000;
/** A gap this long, as in a hidden tab: events in it give no current rate. */
const GAP_MS = 30_000;

export const sampleOf = ({ at, operators }: Overview): Sample => ({
  at: Date.parse(at),
  seqs: new Map(operators.map(({ name, partitions }) => [name, partitions.map(({ appliedSeq }) => appliedSeq)])),
});

const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
};

const inAll = ({ seqs }: Sample): number => sum([...seqs.values()].map(sum));
const inOne =
  (operator: string, partition?: number) =>
  ({ seqs }: Sample): number => {
    const all = seqs.get(operator) ?? [];
    return partition === undefined ? sum(all) : (all[partition] ?? 0);
  };

/** Null until the rate is known. */
export function rateOf(samples: readonly Sample[], operator?: string, partition?: number): number | null {
  const last = samples.at(-1);
  if (last === undefined) return null;
  const first = samples.find(({ at }) => at >= last.at - WINDOW_MS && at < last.at);
  if (first === undefined) return null;
  const of = operator === undefined ? inAll : inOne(operator, partition);
  return Math.max(0, ((of(last) - of(first)) / (last.at - first.at)) * 1000);
}

/** Whole minutes before the page was opened: the ends in seconds, and the events per second of each minute. */
export function pastOf(operators: readonly OperatorGlance[], untilMs: number): [number[], number[]] {
  const [times, rates]: [number[], number[]] = [[], []];
  const hours = operators.map(({ lastHour }) => lastHour);
  for (let i = 0; i < (hours[0]?.applied.length ?? 0); i++) {
    const end = Date.parse(hours[0]!.from) + (i + 1) * MINUTE_MS;
    if (end > untilMs) break;
    times.push(end / 1000);
    rates.push(sum(hours.map((hour) => loggedIn(hour, i))) / 60);
  }
  return [times, rates];
}

const MINUTE_MS = 60_000;
const loggedIn = ({ applied, refused, quarantined }: LastHour, i: number): number =>
  (applied[i] ?? 0) + (refused[i] ?? 0) + (quarantined[i] ?? 0);

/** The ends of steps in seconds, and the events per second of each step, or null across a gap. */
export function curveOf(samples: readonly Sample[], operator?: string): [number[], (number | null)[]] {
  const of = operator === undefined ? inAll : inOne(operator);
  const [times, rates]: [number[], (number | null)[]] = [[], []];
  for (const [i, sample] of samples.entries()) {
    const before = samples[i - 1];
    if (before === undefined || sample.at <= before.at) continue;
    const ms = sample.at - before.at;
    times.push(sample.at / 1000);
    rates.push(ms > GAP_MS ? null : Math.max(0, ((of(sample) - of(before)) / ms) * 1000));
  }
  return [times, rates];
}
