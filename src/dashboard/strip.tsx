/**
 * The heat strip: each partition is a gauge. Its level is the tail, on a logarithmic scale; its tone the age of the
 * snapshot; its cap shows trouble. Arrow keys go from one to the next, Enter opens it.
 */
import { useRef, useState } from "preact/hooks";
import type { OperatorGlance, PartitionGlance } from "../client/admin-answers.ts";
import { healthOf, NOT_KNOWN, type Health } from "./health.ts";
import { lookedAt, stale } from "./live.ts";
import { hrefOf } from "./place.ts";
import { age, many } from "../client/amounts.ts";

/** A tail of this many events fills the gauge: a second's replay at the rate that is assumed until one was measured. */
const FULL_EVENTS = 100_000;

export const level = (events: number): number => Math.min(1, Math.log1p(events) / Math.log1p(FULL_EVENTS));

/** 0: as young as the policy wants, 1: a few times that, 2: older. An empty tail needs no snapshot. */
function tone({ tailEvents, lastSnapshot, tailSince }: PartitionGlance, everyMs: number, nowMs: number): 0 | 1 | 2 {
  const since = lastSnapshot !== undefined && "at" in lastSnapshot ? lastSnapshot.at : tailSince;
  if (tailEvents === 0 || since === undefined) return 0;
  const ages = (nowMs - Date.parse(since)) / everyMs;
  return ages < 1.2 ? 0 : ages < 4 ? 1 : 2;
}

export function readout(one: PartitionGlance, health: Health, nowMs: number): string {
  const { partition, tailEvents, lastSnapshot, unknown } = one;
  if (unknown !== undefined || health.level === "unknown") return `partition ${partition}: ${health.why}`;
  if (health.level === "unused") return `partition ${partition}: ${health.kind}`;
  const saved =
    lastSnapshot !== undefined && "at" in lastSnapshot
      ? `snapshot ${lastSnapshot.manifest}, ${age(nowMs - Date.parse(lastSnapshot.at))} old`
      : "no snapshot yet";
  return `partition ${partition}: ${many(tailEvents, "event")} not yet in a snapshot, ${saved}, ${health.why}`;
}

export function Strip({ operator }: { readonly operator: OperatorGlance }) {
  const { name, everyMs, partitions } = operator;
  const list = useRef<HTMLUListElement>(null);
  const [at, setAt] = useState(0);
  const [pointed, setPointed] = useState<number | null>(null);
  const nowMs = lookedAt();
  const onKey = (event: KeyboardEvent): void => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(partitions.length - 1, at + step));
    setAt(next);
    list.current?.querySelectorAll("a")[next]?.focus();
  };
  const shown = pointed === null ? largest(partitions) : partitions[pointed];
  return (
    <div class="strip">
      <ul ref={list} onKeyDown={onKey} onMouseLeave={() => setPointed(null)} aria-label={`Partitions of ${name}`}>
        {partitions.map((one, i) => {
          const health = judged(one, operator, nowMs);
          return (
            <li key={one.partition}>
              <a
                href={hrefOf(name, "partitions", { partition: String(one.partition) })}
                class={`gauge ${health.level} tone${tone(one, everyMs, nowMs)}`}
                tabIndex={i === at ? 0 : -1}
                aria-label={readout(one, health, nowMs)}
                onMouseEnter={() => setPointed(i)}
                onFocus={() => (setAt(i), setPointed(i))}
                onBlur={() => setPointed(null)}
              >
                <i style={{ "--level": level(one.tailEvents).toFixed(3) }} />
              </a>
            </li>
          );
        })}
      </ul>
      <p class="readout" aria-hidden="true">
        {shown === undefined
          ? "nothing was sent here yet"
          : (pointed === null && partitions.length > 1 ? "the largest tail: " : "") +
            readout(shown, judged(shown, operator, nowMs), nowMs)}
      </p>
    </div>
  );
}

const judged = (one: PartitionGlance, operator: OperatorGlance, nowMs: number): Health =>
  stale.value ? NOT_KNOWN : healthOf(one, operator, nowMs);

/** The partition that is shown while the pointer is on none. */
const largest = (partitions: readonly PartitionGlance[]): PartitionGlance | undefined =>
  partitions
    .filter(({ appliedSeq }) => appliedSeq > 0)
    .reduce<PartitionGlance | undefined>((a, b) => (a === undefined || b.tailEvents > a.tailEvents ? b : a), undefined);

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  ArrowUp: -1,
  ArrowDown: 1,
  Home: -1e9,
  End: 1e9,
};
