/** The kept snapshots of a partition: when, how large, full or delta. */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import type { KeptManifest } from "../client/admin-answers.ts";
import { useAnswer } from "./answer.ts";
import { partitionPath } from "../client/paths.ts";
import { lookedAt } from "./live.ts";
import { age, bytes, count, span } from "../client/amounts.ts";
import { clock } from "./text.ts";
import { TimeAgo } from "./when.tsx";

export interface SnapshotsProps {
  readonly operator: string;
  readonly partition: number;
  /** The number of the current manifest. A change means that the list is old. */
  readonly current: number;
}

export function Snapshots({ operator, partition, current }: SnapshotsProps) {
  const { value, error } = useAnswer<KeptManifest[]>(`${partitionPath(operator, partition)}/manifests`, current);
  if (error !== null) return <p class="trouble">{error}</p>;
  if (value === null) return <p class="empty">One moment.</p>;
  const manifests = value.filter((one): one is Manifest => !("unreadable" in one));
  const damaged = value.flatMap((one) => ("unreadable" in one ? [one.unreadable] : []));
  return (
    <>
      <h3>Snapshots</h3>
      {damaged.map((why) => (
        <p key={why} class="trouble">
          A manifest can't be read: {why}
        </p>
      ))}
      {manifests.length === 0 ? (
        <p class="empty">None yet. The first comes when there is something worth saving, or when you ask for one.</p>
      ) : (
        <>
          <Timeline manifests={manifests} />
          <Table manifests={manifests} />
        </>
      )}
    </>
  );
}

/** Places sizes on a logarithmic scale, whose ground is the lowest decade below all of them. */
function scaleOf(manifests: readonly Manifest[]): { ticks: number[]; at: (size: number) => number } {
  const sizes = manifests.map(({ snapshot }) => Math.max(1, snapshot.bytes));
  const low = Math.floor(Math.log10(Math.min(...sizes)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...sizes))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, at: (size) => (Math.log10(Math.max(1, size)) - low) / (high - low) };
}

const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;

function Timeline({ manifests }: { readonly manifests: readonly Manifest[] }) {
  const { ticks, at } = scaleOf(manifests);
  const times = manifests.map((one) => Date.parse(one.at));
  const from = Math.min(...times);
  const wide = Math.max(1_000, lookedAt() - from);
  const said = `${manifests.length} snapshots over ${age(wide)}; the table below has their times and sizes`;
  return (
    <figure class="timeline">
      <div class="plot" role="img" aria-label={said}>
        {ticks.map((tick) => (
          <span key={tick} class="tick" style={{ bottom: percent(at(tick)) }}>
            {bytes(tick)}
          </span>
        ))}
        <div class="stems">
          {manifests.map((one) => (
            <i
              key={one.number}
              class={one.kind}
              title={`${one.number}: ${one.kind}, ${bytes(one.snapshot.bytes)}, ${clock(one.at)}`}
              style={{ left: percent((Date.parse(one.at) - from) / wide), height: percent(at(one.snapshot.bytes)) }}
            />
          ))}
        </div>
      </div>
      <figcaption>
        <span>{age(wide)} ago</span>
        <span class="keys">
          <i class="full" /> full <i class="delta" /> delta
        </span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}

const Table = ({ manifests }: { readonly manifests: readonly Manifest[] }) => (
  <div class="scroll short" tabIndex={0} role="region" aria-label="Table of the snapshots">
    <table>
      <thead>
        <tr>
          <th scope="col">Manifest</th>
          <th scope="col">Kind</th>
          <th scope="col" class="n">
            Size
          </th>
          <th scope="col" class="n wide">
            Took
          </th>
          <th scope="col" class="n">
            Events
          </th>
          <th scope="col" class="n wide">
            Keys
          </th>
          <th scope="col">Taken</th>
        </tr>
      </thead>
      <tbody>
        {manifests.map(({ number, kind, snapshot, ms, seq, keys, at }) => (
          <tr key={number}>
            <th scope="row">{number}</th>
            <td>{kind}</td>
            <td class="n">{bytes(snapshot.bytes)}</td>
            <td class="n wide">{span(ms)}</td>
            <td class="n">{count(seq)}</td>
            <td class="n wide">{count(keys)}</td>
            <td>
              <TimeAgo at={at} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);
