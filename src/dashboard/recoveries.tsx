/** The last recovery of each partition that D1 knows of. Each group of events records it there. */
import { useMemo } from "preact/hooks";
import type { RecoveryReport } from "../engine/recovery/open-partition.ts";
import type { OperatorGlance } from "../client/admin-answers.ts";
import { many, span } from "../client/amounts.ts";
import { TimeAgo } from "./when.tsx";

export function Recoveries({ operator }: { readonly operator: OperatorGlance }) {
  const known = operator.partitions.flatMap(({ partition, lastRecovery }) =>
    lastRecovery === undefined ? [] : [{ partition, report: lastRecovery }],
  );
  known.sort((a, b) => (a.report.at < b.report.at ? 1 : -1));
  return (
    <section class="panel" aria-labelledby="recoveries-title">
      <h2 id="recoveries-title">Recoveries</h2>
      {known.length === 0 ? (
        <p class="empty">None is known. A partition reports its last recovery with the next events that it logs.</p>
      ) : (
        <>
          <ol class="recoveries">
            {known.map(({ partition, report }) => (
              <Recovery key={partition} partition={partition} report={report} />
            ))}
          </ol>
          <PhaseKeys />
        </>
      )}
    </section>
  );
}

/** The same report comes with every overview, so it is drawn once. */
function Recovery({ partition, report }: { readonly partition: number; readonly report: RecoveryReport }) {
  return useMemo(
    () => (
      <li>
        <p>
          <b>Partition {partition}</b> <TimeAgo at={report.at} />
        </p>
        <Phases report={report} />
      </li>
    ),
    [partition, report.at],
  );
}

export interface Phase {
  readonly name: string;
  readonly ms: number;
}

/** The phases of its time. Reports of older code have one number. */
export function phasesOf({ ms, phases }: RecoveryReport): Phase[] {
  if (phases === undefined) return [{ name: "rest", ms }];
  const { openMs, loadMs, replayMs } = phases;
  return [
    { name: "open", ms: openMs },
    { name: "load", ms: loadMs },
    { name: "replay", ms: replayMs },
    // Mostly the bases that failed.
    { name: "rest", ms: Math.max(0, ms - loadMs - replayMs) },
  ];
}

export function Phases({ report }: { readonly report: RecoveryReport }) {
  const { manifest, replayedEvents, fallbacks } = report;
  const phases = phasesOf(report).filter(({ name, ms }) => name !== "rest" || ms > 0);
  const first = manifest === null && replayedEvents === 0;
  const from = first ? "a first start" : manifest === null ? "from the log alone" : `from snapshot ${manifest}`;
  const past = fallbacks === 0 ? "" : `, past ${many(fallbacks, "corrupt snapshot")}`;
  return (
    <div class="phases">
      <div class="bar" aria-hidden="true">
        {phases.map(({ name, ms }) => (
          <i key={name} class={name} style={{ flexGrow: String(Math.max(ms, 0.2)) }} />
        ))}
      </div>
      <p>
        <b>{span(phases.reduce((sum, { ms }) => sum + ms, 0))}</b>{" "}
        {phases.length > 1 && `= ${phases.map(({ name, ms }) => `${name} ${span(ms)}`).join(" + ")}; `}
        {from}
        {past}
        {!first && `, ${many(replayedEvents, "event")} replayed`}
      </p>
    </div>
  );
}

export const PhaseKeys = () => (
  <p class="legend">
    <span>
      <i class="swatch open" /> open: the epoch, the row and the tail's first page, from D1
    </span>
    <span>
      <i class="swatch load" /> load: what the opening needs of the snapshot, from R2 or the object's cache
    </span>
    <span>
      <i class="swatch replay" /> replay: the tail through the handlers
    </span>
  </p>
);
